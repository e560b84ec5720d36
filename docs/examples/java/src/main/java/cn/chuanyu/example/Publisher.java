package cn.chuanyu.example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Publishes what was shown, signed: one line of the file (id, time, data) is one event. Signs with the key in SIGNING_KEY
 * under the id SIGNING_KEY_ID, where these are set.
 */
public final class Publisher {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String SOURCE = "urn:chuanyu:" + Platform.PROVINCE;

    private final Signing signing;

    private Publisher(Signing signing) {
        this.signing = signing;
    }

    public static void main(String[] arguments) throws Exception {
        String keyFile = System.getenv("SIGNING_KEY");
        Publisher publisher = new Publisher(keyFile == null ? null : new Signing(Path.of(keyFile)));
        Properties options = Platform.connection();
        options.put("acks", "all");
        options.put("enable.idempotence", "true");
        options.put("linger.ms", "5");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(options, new StringSerializer(), new ByteArraySerializer())) {
            for (String line : Files.readAllLines(Path.of(arguments[0]))) {
                JsonNode display = JSON.readTree(line);
                // The key is the holder's reference: it keeps a holder's displays in order.
                String key = display.at("/data/holder/ref").textValue();
                sent.add(producer.send(
                        new ProducerRecord<>(Platform.PROVINCE + ".display", key, publisher.event(display))));
            }
        }
        for (Future<RecordMetadata> each : sent) {
            each.get(); // throws where the broker did not take it
        }
        System.err.println(sent.size() + " delivered");
    }

    /** The CloudEvent: the very bytes of {@code data} that were signed go into it. */
    private byte[] event(JsonNode display) throws Exception {
        byte[] data = JSON.writeValueAsBytes(display.get("data"));
        String id = display.get("id").textValue(); // the platform's own: sent again, it is known
        String time = display.get("time").textValue();
        ObjectNode context = JSON.createObjectNode()
                .put("specversion", "1.0")
                .put("type", "cn.chuanyu.certificate.displayed.v1")
                .put("source", SOURCE)
                .put("id", id)
                .put("time", time)
                .put("datacontenttype", "application/json");
        if (signing != null) {
            context.put("signature", signing.sign(id, SOURCE, time, data));
            context.put("signaturekey", Platform.required("SIGNING_KEY_ID"));
        }
        byte[] head = JSON.writeValueAsBytes(context);
        ByteArrayOutputStream event = new ByteArrayOutputStream();
        event.write(head, 0, head.length - 1);
        event.writeBytes(",\"data\":".getBytes(StandardCharsets.UTF_8));
        event.writeBytes(data);
        event.write('}');
        return event.toByteArray();
    }
}

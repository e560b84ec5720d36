package cn.chuanyu.example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads what comes back: verification records of what was shown here, and rejections of what this platform sent. One line
 * of JSON each; stops after as many as the argument says, else never.
 */
public final class Consumer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private Consumer() {}

    public static void main(String[] arguments) throws Exception {
        long left = arguments.length > 0 ? Long.parseLong(arguments[0]) : Long.MAX_VALUE;
        String group = System.getenv("GROUP");
        Properties options = Platform.connection();
        options.put("group.id", group == null ? Platform.PROVINCE + "-platform" : group); // begins with the province's name
        options.put("isolation.level", "read_committed"); // not what a transaction took back
        options.put("enable.auto.commit", "false");
        options.put("auto.offset.reset", "earliest");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(Platform.PROVINCE + ".verification", Platform.PROVINCE + ".rejection"));
            while (left > 0) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    handle(record.topic(), JSON.readTree(record.value()));
                    left--;
                }
                consumer.commitSync(); // after the work: nothing is passed over
            }
        }
    }

    /** The platform's own work. A record may come again after a crash: its {@code id} tells. */
    private static void handle(String topic, JsonNode record) throws Exception {
        JsonNode data = record.get("data");
        ObjectNode said = JSON.createObjectNode().put("event", data.at("/event/id").textValue());
        if (topic.endsWith(".verification")) {
            said.put("outcome", "verified")
                    .put("batch", data.at("/list/batch").intValue())
                    .put("row", data.at("/list/row").intValue())
                    .put("certificate", data.at("/certificate/type_name").textValue());
        } else {
            said.put("outcome", "rejected").putArray("reasons").addAll(data.get("reasons").findValues("code"));
        }
        OUT.println(JSON.writeValueAsString(said));
    }
}

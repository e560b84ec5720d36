package cn.chuanyu.clients;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonCloudEventData;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventDeserializer;
import io.cloudevents.kafka.CloudEventSerializer;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** CloudEvents by the Java SDK: {@code Client publish BOOTSTRAP FILE} and {@code Client read BOOTSTRAP ENDS}. */
public final class Client {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("publish")) {
            publish(arguments[1], Path.of(arguments[2]));
        } else {
            read(arguments[1], JSON.readTree(arguments[2]));
        }
        OUT.flush();
    }

    private static void publish(String bootstrap, Path file) throws Exception {
        Map<List<String>, KafkaProducer<String, CloudEvent>> producers = new HashMap<>();
        List<Future<?>> sent = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            JsonNode order = JSON.readTree(line);
            List<String> kind = List.of(order.get("mode").textValue(), order.get("codec").textValue());
            KafkaProducer<String, CloudEvent> producer =
                producers.computeIfAbsent(kind, each -> producer(bootstrap, each.get(0), each.get(1)));
            sent.add(producer.send(new ProducerRecord<>(
                order.get("topic").textValue(), order.get("key").textValue(), event(order))));
        }
        producers.values().forEach(KafkaProducer::close);
        for (Future<?> each : sent) {
            each.get();
        }
    }

    private static KafkaProducer<String, CloudEvent> producer(String bootstrap, String mode, String codec) {
        return new KafkaProducer<>(Map.of(
            "bootstrap.servers", bootstrap,
            "compression.type", codec,
            "key.serializer", StringSerializer.class,
            "value.serializer", CloudEventSerializer.class,
            CloudEventSerializer.ENCODING_CONFIG, Encoding.valueOf(mode.toUpperCase()),
            CloudEventSerializer.EVENT_FORMAT_CONFIG, JsonFormat.CONTENT_TYPE));
    }

    private static CloudEvent event(JsonNode order) throws Exception {
        CloudEventBuilder builder = CloudEventBuilder.v1();
        for (Map.Entry<String, JsonNode> each : order.get("event").properties()) {
            JsonNode value = each.getValue();
            switch (each.getKey()) {
                case "specversion", "data" -> { }
                case "id" -> builder.withId(value.textValue());
                case "source" -> builder.withSource(URI.create(value.textValue()));
                case "type" -> builder.withType(value.textValue());
                case "subject" -> builder.withSubject(value.textValue());
                case "time" -> builder.withTime(OffsetDateTime.parse(value.textValue()));
                case "datacontenttype" -> builder.withDataContentType(value.textValue());
                default -> {
                    if (value.isInt()) {
                        builder.withExtension(each.getKey(), value.intValue());
                    } else if (value.isBoolean()) {
                        builder.withExtension(each.getKey(), value.booleanValue());
                    } else {
                        builder.withExtension(each.getKey(), value.textValue());
                    }
                }
            }
        }
        JsonNode data = order.get("event").get("data");
        return order.get("data").textValue().equals("bytes")
            ? builder.withData(JSON.writeValueAsBytes(data)).build()
            : builder.withData(JsonCloudEventData.wrap(data)).build();
    }

    private static void read(String bootstrap, JsonNode ends) throws Exception {
        Map<TopicPartition, Long> open = new HashMap<>();
        ends.properties().forEach(topic -> topic.getValue().properties().forEach(last ->
            open.put(new TopicPartition(topic.getKey(), Integer.parseInt(last.getKey())), last.getValue().asLong())));
        Map<TopicPartition, Long> last = Map.copyOf(open);
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", bootstrap, "isolation.level", "read_committed",
            "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.assign(last.keySet());
            consumer.seekToBeginning(last.keySet());
            while (!open.isEmpty()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                    if (record.offset() <= last.get(partition)) {
                        OUT.println(describe(record));
                    }
                    if (record.offset() >= last.get(partition)) {
                        open.remove(partition);
                    }
                }
            }
        }
    }

    /** What the SDK makes of a record: its deserializer is called here, so that an error is the record's and not the poll's. */
    private static ObjectNode describe(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode line = JSON.createObjectNode();
        line.put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset());
        try (CloudEventDeserializer deserializer = new CloudEventDeserializer()) {
            CloudEvent event = deserializer.deserialize(record.topic(), record.headers(), record.value());
            Object traceparent = event.getExtension("traceparent");
            line.put("id", event.getId()).put("source", event.getSource().toString()).put("type", event.getType())
                .put("subject", event.getSubject())
                .put("time", event.getTime() == null ? null : event.getTime().toString())
                .put("traceparent", traceparent == null ? null : traceparent.toString())
                .set("data", JSON.readTree(event.getData().toBytes()));
        } catch (Exception error) {
            line.put("error", error.toString());
        }
        return line;
    }
}

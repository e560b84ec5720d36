package cn.chuanyu.benchmarks;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** The reduced job: parse, serialise, forward; exactly once (v2), one stream thread, all else as Kafka Streams has it. */
public final class Copy {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Copy() {}

  public static void main(String[] arguments) throws InterruptedException {
    Map<String, String> environment = System.getenv();
    String prefix = environment.get("BENCH_PREFIX");
    StreamsBuilder builder = new StreamsBuilder();
    forward(builder, prefix + "sichuan.display", prefix + "chongqing.verification");
    forward(builder, prefix + "chongqing.display", prefix + "sichuan.verification");
    Properties options = new Properties();
    options.put(StreamsConfig.APPLICATION_ID_CONFIG, environment.get("BENCH_GROUP"));
    options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("BENCH_BOOTSTRAP_SERVERS"));
    options.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    options.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    options.put(StreamsConfig.STATE_DIR_CONFIG, environment.get("BENCH_STATE_DIR"));
    options.put("auto.offset.reset", "earliest");
    KafkaStreams streams = new KafkaStreams(builder.build(), options);
    CountDownLatch ended = new CountDownLatch(1);
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
        ended.countDown();
      }
    });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    ended.await();
  }

  private static void forward(StreamsBuilder builder, String input, String output) {
    builder.stream(input, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .mapValues(Copy::parseAndSerialise)
        .to(output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
  }

  private static byte[] parseAndSerialise(byte[] value) {
    try {
      return JSON.writeValueAsBytes(JSON.readTree(value));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}

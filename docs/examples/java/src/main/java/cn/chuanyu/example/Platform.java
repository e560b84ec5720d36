package cn.chuanyu.example;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** How a platform connects, out of the environment; the same names as in the Python example. */
final class Platform {
    static final String PROVINCE = required("PROVINCE");

    private Platform() {}

    /** What every client of this platform needs. */
    static Properties connection() throws IOException {
        String password = Files.readString(Path.of(required("PASSWORD_FILE"))).strip();
        String ca = System.getenv("CA_FILE");
        Properties options = new Properties();
        options.put("bootstrap.servers", required("BOOTSTRAP_SERVERS"));
        options.put("security.protocol", ca == null ? "SASL_PLAINTEXT" : "SASL_SSL");
        options.put("sasl.mechanism", "SCRAM-SHA-512");
        options.put(
                "sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"%s\" password=\"%s\";"
                        .formatted(PROVINCE, password));
        if (ca != null) {
            options.put("ssl.truststore.type", "PEM");
            options.put("ssl.truststore.location", ca);
        }
        return options;
    }

    static String required(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalStateException("set the environment variable " + name);
        }
        return value;
    }
}

"""The edges: settings, Kafka clients, a local Kafka, logs."""

"""Department reports: what happened, how much, what to repair. For readers who were never told about
Kafka."""

"""What the gateway is compared with, each started as a process of its own; see ``benchmarks.engines``."""

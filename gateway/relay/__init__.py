"""The hot path: one lane an input partition, each consume → decide → transaction."""

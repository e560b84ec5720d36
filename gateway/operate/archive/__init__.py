"""``gateway archive``: what the topics and the ledger say, kept in files that prove themselves (see
docs/archive.md)."""

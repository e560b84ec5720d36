"""The contract with both provinces, one module per message: its model, its builder and its reader."""

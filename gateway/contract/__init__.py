"""The contract with both provinces, one module a message: its model, the function that builds it, the one that reads it back."""

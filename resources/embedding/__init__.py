"""Embedding: the model registry, batches, the circuit breaker and the client of the server."""

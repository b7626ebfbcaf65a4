"""The cost of embedding: python -m benchmarks.embedding."""

"""What embedding costs: python -m benchmarks.embedding."""

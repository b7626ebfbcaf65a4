"""What a search costs: python -m benchmarks.search."""

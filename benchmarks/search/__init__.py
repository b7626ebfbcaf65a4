"""The cost of a search: python -m benchmarks.search."""

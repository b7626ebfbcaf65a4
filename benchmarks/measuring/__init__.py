"""What the benchmarks share: real pictures, Spark clusters, new processes, clocks and tables."""

"""What the benchmarks share: real pictures, Spark clusters, fresh processes, clocks and tables."""

"""The product's search by a graph against hnswlib in the same process: `python -m benchmarks.hnswlib --help`."""

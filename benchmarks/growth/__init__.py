"""How the product behaves as it fills up: queue, corpora, chunks. `python -m benchmarks.growth --help`."""

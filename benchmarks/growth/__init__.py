"""How the product behaves as it fills up: queue, corpora, chunks. `python -m benchmarks.growth --help`."""

from pathlib import Path

MODEL = "mock-384"
MODELS_FILE = Path(__file__).parent / "models.toml"

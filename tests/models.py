"""A second model for tests: the same tokenizer, other vectors."""

from __future__ import annotations

from pathlib import Path

import psycopg

from resources.embedding.registry import Model, load_registry
from resources.postgres import vector_relations
from resources.postgres.models import mirror_models
from tests.database import Database, default_model, model_entry

SECOND = "second-model"
SECOND_DIMENSION = 16


def write_models_file(folder: Path, *, max_tokens: int = 256) -> Path:
    """Write a models file with the default model and a second one of 16 dimensions."""
    first = default_model()
    entries = [(first.id, first.revision, first.dimension, first.max_tokens, first.weights_sha256)]
    entries.append((SECOND, "1", SECOND_DIMENSION, max_tokens, None))
    path = folder / "models.toml"
    path.write_text("\n".join(_entry(first, *each) for each in entries))
    return path


def _entry(first: Model, name: str, revision: str, dimension: int, max_tokens: int, weights: str | None) -> str:
    chunk_tokens = min(first.chunk_max_tokens, max_tokens)
    lines = [
        "[[model]]",
        f'id = "{name}"',
        f'revision = "{revision}"',
        f"dimension = {dimension}",
        f"max_tokens = {max_tokens}",
        f"chunk_max_tokens = {chunk_tokens}",
        f"chunk_overlap_tokens = {min(first.chunk_overlap_tokens, chunk_tokens // 4)}",
        f'tokenizer = "{first.tokenizer_path}"',
        f'tokenizer_sha256 = "{first.tokenizer_sha256}"',
        *([f'weights_sha256 = "{weights}"'] if weights else []),
        "enabled = true",
    ]
    return "\n".join(lines) + "\n"


def migrate_models(database: Database, path: Path) -> None:
    """Mirror a models file in the database, as `cixml migrate` does."""
    with psycopg.connect(database.owner_url) as owner:
        for row in mirror_models(owner, [model_entry(model) for model in load_registry(path).enabled]):
            vector_relations.ensure(owner, relation=row.relation, dimension=row.dimension)

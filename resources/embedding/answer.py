"""Reads and judges the body of an embeddings answer. Nothing invalid passes: a wrong vector in the database is worse
than a failed request, because nobody sees it. Pure: no network here."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from resources.errors import EmbeddingInvalidError

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors in the order of the texts, (n, dimension), length 1 each; tokens as the server counted them."""

    vectors: Vectors
    tokens: int


def read_answer(body: bytes, *, count: int, dimension: int) -> Embedded:
    """Return the vectors of an answer. Raises EmbeddingInvalidError for a wrong count, order, dimension, or number."""
    try:
        answer = orjson.loads(body)
        data = answer["data"]
        indexes = [row["index"] for row in data]
        rows = [_read_row(row["embedding"]) for row in data]
        tokens = int((answer.get("usage") or {}).get("prompt_tokens") or 0)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise EmbeddingInvalidError(f"The embedding server's answer can't be read: {error!r}"[:300]) from error
    if indexes != list(range(count)):
        raise EmbeddingInvalidError(
            f"The embedding server answered {len(indexes)} vectors, or not in order, for {count}"
        )
    wrong = {len(row) for row in rows} - {dimension}
    if wrong:
        raise EmbeddingInvalidError(f"The embedding server's vectors have {min(wrong)} numbers, not {dimension}")
    return Embedded(vectors=_normalise(np.stack(rows)), tokens=tokens)


def _read_row(embedding: object) -> Vectors:
    """Return one vector from base64 (little-endian float32) or a list (some servers send one whatever is asked)."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)


def _normalise(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise EmbeddingInvalidError("The embedding server answered a vector that is not finite")
    if not (norms > 1e-12).all():
        raise EmbeddingInvalidError("The embedding server answered a vector of zeros")
    normalised: Vectors = (vectors / norms).astype(np.float32)
    return normalised

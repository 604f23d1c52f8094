"""Vectors of the questions that an index is asked before it serves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from resources.embedding.client import EmbeddingClient
from resources.errors import EmbeddingRejectedError
from resources.orchestration.runtime import Runtime

Vector = npt.NDArray[np.float32]


def query_vectors(parts: Runtime, client: EmbeddingClient, texts: Sequence[str]) -> list[Vector | None]:
    """Return the vector of each query; None for those that the model can't take, which are asked alone then."""
    try:
        return list(parts.loop.run(client.embed(texts, operation="read")).vectors)
    except EmbeddingRejectedError:
        if len(texts) == 1:
            return [None]
    return [vector for text in texts for vector in query_vectors(parts, client, [text])]

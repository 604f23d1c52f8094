"""Says which corpora can't be searched because their model is gone: from models.toml, or from its server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from cixml_api.searching import Embedder
from resources.errors import EmbeddingRejectedError, EmbeddingUnavailableError
from resources.postgres.health import ServingModel

LOOK_SECONDS = 30.0
"""/healthz is asked often and without a key: the servers are asked no oftener than this."""


class ModelWatch:
    """Asks the servers of the enabled models, one look at a time, what they serve."""

    def __init__(self, embedders: Iterable[Embedder]) -> None:
        self._embedders = {embedder.model.fingerprint: embedder for embedder in embedders}
        self._absent: frozenset[str] = frozenset()
        self._looked_at = -LOOK_SECONDS
        self._looking = asyncio.Lock()

    async def warnings(self, serving: Sequence[ServingModel]) -> list[str]:
        """Return a sentence with the remedy for each model that serves corpora and can't embed a query for them."""
        await self._look()
        found = []
        for model in serving:
            if model.fingerprint not in self._embedders:
                found.append(
                    f"{_corpora(model)} served by a version of {model.name} that is not enabled: searches get 503 and "
                    f"pages wait; run 'cixml models enable {model.name}', or embed them again with another model"
                )
            elif model.fingerprint in self._absent:
                found.append(
                    f"{_corpora(model)} served by {model.name}, which its embedding server does not serve (any more): "
                    "searches get 503 and pages wait; serve it again, give its server as base_url in models.toml, or "
                    "embed them again with another model"
                )
        return found

    async def _look(self) -> None:
        async with self._looking:
            if time.monotonic() - self._looked_at < LOOK_SECONDS:
                return
            fingerprints = list(self._embedders)
            answers = await asyncio.gather(*(_is_absent(self._embedders[each]) for each in fingerprints))
            self._absent = frozenset(each for each, is_absent in zip(fingerprints, answers, strict=True) if is_absent)
            self._looked_at = time.monotonic()


async def _is_absent(embedder: Embedder) -> bool:
    """Return whether the server names models, and not this one. One that does not answer is the breaker's matter."""
    try:
        served = await embedder.served_models()
    except (EmbeddingUnavailableError, EmbeddingRejectedError):
        return False
    return bool(served) and embedder.model.id not in served


def _corpora(model: ServingModel) -> str:
    return "1 corpus is" if model.corpora == 1 else f"{model.corpora} corpora are"

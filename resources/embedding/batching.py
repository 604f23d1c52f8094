"""Packs texts into requests. Pure: no text is here, only keys and token counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Key = TypeVar("Key")


def pack(items: Iterable[tuple[Key, int]], *, max_tokens: int, max_texts: int) -> Iterator[list[Key]]:
    """Yield batches of keys, longest texts first, each within both limits.

    Texts of like length share a batch because a server pads each text to the longest of its batch. A text above
    `max_tokens` goes alone. Items are (key, token count); equal lengths keep their order.
    """
    batch: list[Key] = []
    batch_tokens = 0
    for key, tokens in sorted(items, key=lambda item: -item[1]):
        if batch and (batch_tokens + tokens > max_tokens or len(batch) >= max_texts):
            yield batch
            batch, batch_tokens = [], 0
        batch.append(key)
        batch_tokens += tokens
    if batch:
        yield batch

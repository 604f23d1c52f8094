"""Token windows with overlap. Pure. The sizes are the product's, the rule is the plain one: no look at paragraphs."""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import Tokenizer


def cut(text: str, tokenizer: Tokenizer, *, max_tokens: int, overlap_tokens: int) -> Iterator[tuple[str, int]]:
    """Yield (chunk, tokens with the special ones). Words stay whole, so that a chunk's own tokens are as many."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    words, offsets = encoding.word_ids, encoding.offsets
    special = tokenizer.num_special_tokens_to_add(False)
    room = max_tokens - special
    start = 0
    while start < len(words):
        end = _word_start(words, min(start + room, len(words)), above=start)
        yield text[offsets[start][0] : offsets[end - 1][1]], end - start + special
        if end == len(words):
            return
        start = _word_start(words, end - overlap_tokens, above=start)


def _word_start(words: list[int | None], at: int, *, above: int) -> int:
    """Return the last place at or before `at` where a word begins; `at` itself when a single word fills the window."""
    place = at
    while above < place < len(words) and words[place] == words[place - 1]:
        place -= 1
    return place if place > above else at

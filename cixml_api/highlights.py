"""Where the words of a question stand in a hit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from resources.lexemes import AskedWord, stemmed_language, words

Span = tuple[int, int]


def highlights(text: str, language: str | None, asked: Sequence[AskedWord], stopped: Collection[str]) -> list[Span]:
    """Return where words of the question stand in a text, in code points; what touches or overlaps is one span.

    Words that say nothing are left out, unless the question has no others.
    """
    stemmer = stemmed_language(language)
    ours = [word for word in asked if word.language == stemmer]
    lexemes = {word.lexeme for word in ours if word.word not in stopped} or {word.lexeme for word in ours}
    spans: list[Span] = []
    for word in words(text, stemmer):
        if word.lexeme not in lexemes:
            continue
        if spans and word.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(word.end, spans[-1][1]))
        else:
            spans.append((word.start, word.end))
    return spans

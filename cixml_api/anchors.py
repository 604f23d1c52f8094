"""Links to the very place: URLs with a text fragment, which browsers scroll to and mark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

EDGE_WORDS = 6
"""Words at the beginning and at the end that name a passage: few enough to stand in one element of the page."""
_MARKS = re.compile(r"^[\s#>*+|\-]+|\s*\|.*$")
"""What the text layer writes around a line and the page does not: marks of headings, lists and tables."""


def text_fragment(url: str, text: str) -> str:
    """Return the URL with a fragment for the text: its first words and, of a longer one, its last ones."""
    lines = text.splitlines()
    top, bottom = next(_with_words(lines), None), next(_with_words(reversed(lines)), None)
    if top is None or bottom is None:
        return url
    (above, first), (below, last) = top, bottom
    if above + 1 + below == len(lines) and len(first) <= 2 * EDGE_WORDS:
        passage = _encoded(first)
    else:
        passage = f"{_encoded(first[:EDGE_WORDS])},{_encoded(last[-EDGE_WORDS:])}"
    return f"{url}{':~:text=' if '#' in url else '#:~:text='}{passage}"


def _with_words(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that has some, and how many lines come before it: a chunk's middle is not read."""
    for number, line in enumerate(lines):
        if words := _MARKS.sub("", line).split():
            yield number, words


def _encoded(words: list[str]) -> str:
    """Return words as a part of a fragment directive, in which a hyphen, a comma and an ampersand are syntax."""
    return quote(" ".join(words), safe="").replace("-", "%2D")

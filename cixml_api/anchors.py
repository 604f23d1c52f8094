"""Links to the very place: URLs with a text fragment, which browsers scroll to and mark."""

from __future__ import annotations

import re
from urllib.parse import quote

EDGE_WORDS = 6
"""Words at the beginning and at the end that name a passage: few enough to stand in one element of the page."""
_MARKS = re.compile(r"^[\s#>*+|\-]+|\s*\|.*$")
"""What the text layer writes around a line and the page does not: marks of headings, lists and tables."""


def text_fragment(url: str, text: str) -> str:
    """Return the URL with a fragment for the text: its first words and, of a longer one, its last ones."""
    lines = [words for line in text.splitlines() if (words := _MARKS.sub("", line).split())]
    if not lines:
        return url
    first, last = lines[0], lines[-1]
    if len(lines) == 1 and len(first) <= 2 * EDGE_WORDS:
        passage = _encoded(first)
    else:
        passage = f"{_encoded(first[:EDGE_WORDS])},{_encoded(last[-EDGE_WORDS:])}"
    return f"{url}{':~:text=' if '#' in url else '#:~:text='}{passage}"


def _encoded(words: list[str]) -> str:
    """Return words as a part of a fragment directive, in which a hyphen, a comma and an ampersand are syntax."""
    return quote(" ".join(words), safe="").replace("-", "%2D")

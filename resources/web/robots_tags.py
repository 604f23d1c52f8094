"""What a page asks of robots itself: `X-Robots-Tag` and `<meta name="robots">`, for all of them or for one by its name.

robots.txt says what may be fetched (robots.py); this says what may become of it. What is asked of all and what is asked
of us count together: the strictest is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_WORD = re.compile(r"([^\s,;:]+)\s{0,20}(:?)")
_NO_INDEX = frozenset({"noindex", "none"})
_NO_FOLLOW = frozenset({"nofollow", "none"})
_HAVE_A_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsTags:
    """`is_noindex`: the page is not to be indexed. `is_nofollow`: its links are not to be followed."""

    is_noindex: bool = False
    is_nofollow: bool = False

    @classmethod
    def of(cls, words: Iterable[str]) -> Self:
        asked = set(words)
        return cls(is_noindex=not asked.isdisjoint(_NO_INDEX), is_nofollow=not asked.isdisjoint(_NO_FOLLOW))

    def __or__(self, other: RobotsTags) -> RobotsTags:
        return RobotsTags(
            is_noindex=self.is_noindex or other.is_noindex, is_nofollow=self.is_nofollow or other.is_nofollow
        )


def tags_of_headers(values: Iterable[str], *, agent: str) -> RobotsTags:
    """Return what the values of X-Robots-Tag ask of an agent (a product token in lower case)."""
    return RobotsTags.of(word for value in values for word in _words_for(value.lower(), agent))


def tags_of_head(named: Iterable[tuple[str, str]], *, agent: str) -> RobotsTags:
    """Return what the <meta> elements of a page ask of an agent."""
    contents = (content for name, content in named if name in ("robots", agent))
    return RobotsTags.of(match[1] for content in contents for match in _WORD.finditer(content.lower()))


def _words_for(value: str, agent: str) -> Iterable[str]:
    """Yield the words of a header that are for everybody or for the agent: `name:` holds up to the next name."""
    name = ""
    for word, colon in _WORD.findall(value):
        if colon and word[0].isalpha() and word not in _HAVE_A_VALUE:  # of a time, as 15:00, it is no name
            name = word
        elif name in ("", agent):
            yield word

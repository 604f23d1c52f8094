"""Patterns over paths: `*` within a segment, `**` across segments, everything else as it stands. Pure.

Matched in one pass over the path: a regular expression with several wildcards takes polynomial time on a hostile path.
"""

from __future__ import annotations

from functools import lru_cache

MAX_PATTERN_CHARACTERS = 200


class Glob:
    """One pattern. With a `?` it is compared to path and query, else to the path alone."""

    def __init__(self, pattern: str) -> None:
        self.reads_query = "?" in pattern
        self._step: dict[str, int] = {}  # by character: the places that it leads over
        self._any = self._segment = 0  # the places of `**` and `*`
        place = 0
        position = 0
        while position < len(pattern):
            if pattern.startswith("**", position):
                self._any |= 1 << place
                position += 2
            elif pattern[position] == "*":
                self._segment |= 1 << place
                position += 1
            else:
                self._step[pattern[position]] = self._step.get(pattern[position], 0) | 1 << place
                position += 1
            place += 1
        self._end = 1 << place

    def matches(self, text: str) -> bool:
        """Return whether the whole of `text` is as the pattern says."""
        wild = self._any | self._segment
        places = self._passed(1, wild)
        for character in text:
            stays = places & (self._any if character == "/" else wild)
            places = self._passed((places & self._step.get(character, 0)) << 1 | stays, wild)
            if not places:
                return False
        return bool(places & self._end)

    @staticmethod
    def _passed(places: int, wild: int) -> int:
        """Add the places that are reached without a character: a wildcard may stand for nothing."""
        while (more := places | (places & wild) << 1) != places:
            places = more
        return places


@lru_cache(maxsize=1024)
def glob(pattern: str) -> Glob:
    return Glob(pattern)


def matches(pattern: str, path: str, query: str) -> bool:
    """Return whether a URL's path (with its `?query`) is as a pattern says. `/docs/**` takes `/docs`, too."""
    found = glob(pattern)
    text = path + query if found.reads_query else path
    return found.matches(text) or (pattern.endswith("/**") and glob(pattern[:-3]).matches(text))

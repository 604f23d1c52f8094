"""Cut a text layer into chunks by the model's own tokenizer. Pure; deterministic.

Laws (tests hold them): `text[chunk.start:chunk.end] == chunk.text`, chunks in order, nothing but white space between
them lost, `token_count` (special tokens included) exact and at most `max_tokens`, overlap at most `overlap_tokens`.

Strategies: `recursive` fills chunks and cuts at the largest unit that ends in the second half of one; `headings` does
so within sections and lets no chunk reach from one into the next; `sentences` cuts and overlaps at the ends of
sentences alone. A unit that is larger than a chunk is cut at words, a word within.

The text is tokenised once and cut at token offsets. semantic-text-splitter was tried: it tokenises every candidate,
which costs five times as much, and its chunks came out one token over the limit.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from resources.errors import ChunkingError
from resources.types import CHUNKING_STRATEGIES, Chunking, TextChunk

MAX_WORD_CHARACTERS = 1_000  # a longer run without white space is tokenised in parts: tokenizers are slow in words
MAX_PIECE_CHARACTERS = 100_000  # tokenised at once
MAX_CHARACTERS_PER_TOKEN = 32  # a chunk holds no more: WordPiece makes one token of a word of any length
MIN_FILL = 0.5  # a nicer cut is taken only in the second half of the window
MAX_HEADING_CHARACTERS = 200
MAX_HEADING_DEPTH = 3

_HEADING = re.compile(r"(?:\A|(?<=\n\n))(#{1,6}) (\S[^\n]*)(?=\n\n|\Z)")
_WHITE = " \t\n\r"  # what every tokenizer splits at; wider Unicode space is not
# Where units end, the largest first.
_UNIT_ENDS = (
    re.compile(r"\n\n(?=#{1,6} )"),
    re.compile(r"\n\n"),
    re.compile(r"\n"),
    re.compile(r"[.!?…][\"'”’)\]]*(?=\s)|[。！？｡؟۔।]"),
)
_SENTENCE_ENDS = re.compile("|".join((r"\n", _UNIT_ENDS[-1].pattern)))
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD_CHARACTERS + 1}}}")
_PIECE = re.compile(rf"\S{{1,{MAX_WORD_CHARACTERS}}}\s*")


def chunk_text(text: str, tokenizer: Tokenizer, chunking: Chunking) -> list[TextChunk]:
    """Return the chunks of a text. Raises ValueError when `chunking` leaves no room for text."""
    headings = _headings(text)
    return [
        TextChunk(
            ordinal=ordinal,
            text=text[span.start : span.end],
            start=span.start,
            end=span.end,
            token_count=span.tokens,
            heading=_heading_at(headings, span.start),
        )
        for ordinal, span in enumerate(_Cutter(text, tokenizer, chunking).spans())
    ]


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    tokens: int


class _Cutter:
    def __init__(self, text: str, tokenizer: Tokenizer, chunking: Chunking) -> None:
        if chunking.strategy not in CHUNKING_STRATEGIES:
            raise ValueError(f"there is no strategy {chunking.strategy!r}")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._text = text
        self._tokenizer = tokenizer
        self._special_tokens = tokenizer.num_special_tokens_to_add(False)
        self._room = chunking.max_tokens - self._special_tokens
        self._overlap = chunking.overlap_tokens
        if self._room < 1 or not 0 <= self._overlap < self._room:
            raise ValueError(f"{chunking.max_tokens} tokens with an overlap of {self._overlap} leave no room for text")
        self._adds_up = _adds_up_at_white_space(tokenizer)
        self._starts = _token_starts(text, tokenizer)
        is_by_sentence = chunking.strategy == "sentences"
        self._min_fill = 0.0 if is_by_sentence else MIN_FILL
        patterns = (_SENTENCE_ENDS,) if is_by_sentence else _UNIT_ENDS
        self._units = [[match.end() for match in pattern.finditer(text)] for pattern in patterns]
        self._starts_of_overlap = self._units if is_by_sentence else self._units[1:]
        self._overlaps_at_words = not is_by_sentence
        self._walls: list[int] = [*(_sections(text) if chunking.strategy == "headings" else ()), len(text)]

    def spans(self) -> Iterator[_Span]:
        """Yield spans in order: each begins behind the one before, or earlier by the overlap."""
        start, reached = self._skip_white(0), 0
        while start < len(self._text):
            span = self._span(start, reached)
            if not self._text[span.start : span.end].isspace():  # no-break spaces and the like
                yield span
            reached = span.end
            start = self._next_start(span)

    def _span(self, start: int, reached: int) -> _Span:
        """Return the longest good span from `start` that fits and reaches beyond `reached`."""
        limit = self._limit(start)
        while True:
            end = self._end(start, reached, limit)
            tokens = self._count(start, end)
            if tokens <= self._room:
                return _Span(start, end, tokens + self._special_tokens)
            if end - start <= 1:
                raise ChunkingError("extraction_failed", f"one character has more than {self._room} tokens")
            limit = max(start + 1, min(end - 1, start + (end - start) * self._room // tokens))
            if limit <= reached:  # cut finer without the overlap
                start = self._skip_white(reached)
                limit = min(self._limit(start), max(start + 1, limit + start - reached))

    def _limit(self, start: int) -> int:
        """Return how far a chunk's tokens reach from `start`, by the tokens of the whole text; walls hold it up."""
        beyond = bisect_left(self._starts, start) + self._room
        limit = self._starts[beyond] if beyond < len(self._starts) else len(self._text)
        return max(start + 1, min(limit, start + self._room * MAX_CHARACTERS_PER_TOKEN, self._wall(start)))

    def _wall(self, start: int) -> int:
        return self._walls[bisect_right(self._walls, start)]

    def _end(self, start: int, reached: int, limit: int) -> int:
        """Return where the best unit before `limit` ends, without white space; beyond `reached`."""
        if limit == self._wall(start) and self._strip(limit) > max(reached, start):
            return self._strip(limit)
        floor = max(reached, start, start + int((limit - start) * self._min_fill))
        for ends in self._units:
            at = bisect_right(ends, limit) - 1
            if at >= 0 and self._strip(ends[at]) > floor:
                return self._strip(ends[at])
        space = max(self._text.rfind(white, floor + 1, limit + 1) for white in _WHITE)
        if space > floor and self._strip(space) > max(reached, start):
            return self._strip(space)
        return max(limit, max(reached, start) + 1)

    def _next_start(self, span: _Span) -> int:
        """Return where the next span begins: at a unit or word within the overlap, but never before a heading."""
        following = self._skip_white(span.end)
        if not self._overlap or following >= len(self._text) or self._is_heading(following):
            return following
        earliest = self._starts[max(0, bisect_left(self._starts, span.end) - self._overlap)]
        earliest = max(earliest, span.start + 1, span.end - self._overlap * MAX_CHARACTERS_PER_TOKEN)
        start = self._unit_start(earliest, span.end)
        return start if start < span.end and self._count(start, span.end) <= self._overlap else following

    def _unit_start(self, earliest: int, end: int) -> int:
        for ends in self._starts_of_overlap:
            at = bisect_left(ends, earliest)
            if at < len(ends) and self._skip_white(ends[at]) < end:
                return self._skip_white(ends[at])
        if not self._overlaps_at_words:
            return end
        for offset in range(earliest, min(end, earliest + MAX_WORD_CHARACTERS)):
            if self._text[offset - 1] in _WHITE and self._text[offset] not in _WHITE:
                return offset
        return end

    def _count(self, start: int, end: int) -> int:
        """Return the exact number of tokens of a stretch, without special ones."""
        if self._adds_up and self._is_border(start) and self._is_border(end):
            return bisect_left(self._starts, end) - bisect_left(self._starts, start)
        return len(self._tokenizer.encode(self._text[start:end], add_special_tokens=False).ids)

    def _is_border(self, offset: int) -> bool:
        text = self._text
        return offset in (0, len(text)) or text[offset - 1] in _WHITE or text[offset] in _WHITE

    def _is_heading(self, offset: int) -> bool:
        return self._text.startswith("#", offset) and _HEADING.match(self._text, offset) is not None

    def _strip(self, end: int) -> int:
        while end > 0 and self._text[end - 1] in _WHITE:
            end -= 1
        return end

    def _skip_white(self, start: int) -> int:
        while start < len(self._text) and self._text[start] in _WHITE:
            start += 1
        return start


def _adds_up_at_white_space(tokenizer: Tokenizer) -> bool:
    """Say whether the tokens of parts split at white space are those of the whole: BERT's; others are recounted."""
    names = type(tokenizer.model).__name__, type(tokenizer.pre_tokenizer).__name__
    return names == ("WordPiece", "BertPreTokenizer")


def _token_starts(text: str, tokenizer: Tokenizer) -> list[int]:
    starts: list[int] = []
    for offset, piece in _pieces(text):
        encoding = tokenizer.encode(piece, add_special_tokens=False)
        starts += (
            [offset + start for start, _ in encoding.offsets] if offset else [start for start, _ in encoding.offsets]
        )
    return starts


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield the text in parts that a tokenizer takes at once, cut at white space or inside a very long word."""
    start = end = 0
    if len(text) <= MAX_PIECE_CHARACTERS and not _LONG_WORD.search(text):
        yield 0, text
        return
    for match in _PIECE.finditer(text):
        is_long = match.end() - match.start() >= MAX_WORD_CHARACTERS
        if end > start and (is_long or match.end() - start > MAX_PIECE_CHARACTERS):
            yield start, text[start:end]
            start = match.start()
        end = match.end()
    if end > start:
        yield start, text[start:end]


def _headings(text: str) -> tuple[list[int], list[str]]:
    """Return the offsets of the headings and the path of each, as `Chapter > Section`."""
    offsets: list[int] = []
    paths: list[str] = []
    open_headings: list[tuple[int, str]] = []
    for match in _HEADING.finditer(text):
        level = len(match[1])
        open_headings = [each for each in open_headings if each[0] < level]
        open_headings.append((level, match[2].strip()[:MAX_HEADING_CHARACTERS]))
        offsets.append(match.start())
        paths.append(" > ".join(name for _, name in open_headings[-MAX_HEADING_DEPTH:]))
    return offsets, paths


def _sections(text: str) -> list[int]:
    """Return where sections begin: at headings, but not between a heading and its first sub-heading."""
    starts: list[int] = []
    before: re.Match[str] | None = None
    for match in _HEADING.finditer(text):
        if before is None or len(match[1]) <= len(before[1]) or text[before.end() : match.start()].strip():
            starts.append(match.start())
        before = match
    return starts


def _heading_at(headings: tuple[list[int], list[str]], offset: int) -> str | None:
    offsets, paths = headings
    at = bisect_right(offsets, offset) - 1
    return paths[at] if at >= 0 else None

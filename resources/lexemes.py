"""The words of a text as keyword search knows them: normalised, stemmed by the text's language. Pure; no database.

A text and a question about it must pass through the same rules: who changes one makes `cixml.chunk_lexemes` anew.
Scripts that are written without spaces (Chinese, Japanese, Thai and their neighbours) and Korean, whose words carry
their particles, are cut into overlapping pairs of characters.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import regex
import Stemmer

MAX_LEXEME_CHARACTERS = 64
"""A longer run of letters is no word anybody types; Postgres would take 2,046 bytes."""
MOST_COUNTED = 40
"""More occurrences in one chunk count as this many: the weight of a word has long stopped growing by then."""
LANGUAGES = (
    "ar", "ca", "cs", "da", "de", "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fr", "ga", "hi", "hu", "hy", "id",
    "it", "lt", "ne", "nl", "no", "pl", "pt", "ro", "ru", "sr", "sv", "ta", "tr", "yi",
)  # fmt: skip
"""By ISO 639-1, those that have a stemmer of the Snowball project."""
UNSTEMMED = ""
"""The language of a text whose words are kept as they are."""

MOST_ASKED = 64
"""Words of a question that are looked for; what is longer is a text, and its first words say what it is about."""
DICTIONARIES = {
    "da": "danish_stem", "de": "german_stem", "en": "english_stem", "es": "spanish_stem", "fi": "finnish_stem",
    "fr": "french_stem", "hu": "hungarian_stem", "it": "italian_stem", "ne": "nepali_stem", "nl": "dutch_stem",
    "no": "norwegian_stem", "pt": "portuguese_stem", "ru": "russian_stem", "sv": "swedish_stem", "tr": "turkish_stem",
}  # fmt: skip
"""Dictionaries of Postgres that know which words of a language say nothing."""

_NORWEGIAN = {"nb": "no", "nn": "no"}
_PAIRED = r"\p{Han}\p{Hiragana}\p{Katakana}ー々〆ﾞﾟ\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_RUN = regex.compile(
    rf"(?P<paired>(?:[{_PAIRED}]\p{{M}}*)+)|[[\p{{L}}\p{{N}}]--[{_PAIRED}]][[\p{{L}}\p{{N}}\p{{M}}]--[{_PAIRED}]]*",
    regex.VERSION1,
)
_ASCII_RUN = re.compile("[A-Za-z0-9]+")
_POSITIONS = ["", *(",".join(str(at) for at in range(1, times + 1)) for times in range(1, MOST_COUNTED + 1))]
_stemmers = threading.local()


@dataclass(frozen=True, slots=True)
class Word:
    """A lexeme and where it stands in the text, in code points."""

    lexeme: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AskedWord:
    """A word of a question as the stemmer of one language makes it; `dictionary` stops what says nothing in it."""

    word: str
    lexeme: str
    language: str
    dictionary: str | None


def stemmed_language(language: str | None) -> str:
    """Return the language whose stemmer a text gets: that of `pt-BR` is `pt`; UNSTEMMED where there is none.

    A text whose language nobody knows gets the English one, which leaves other scripts alone.
    """
    code = (language or "en").replace("_", "-").partition("-")[0].lower()
    code = _NORWEGIAN.get(code, code)
    return code if code in LANGUAGES else UNSTEMMED


def words(text: str, language: str) -> Iterator[Word]:
    """Yield every word of the text in order, stemmed as `language` (one of LANGUAGES, or UNSTEMMED) wants it."""
    for letters, start, end, is_stemmed in _pieces(text):
        yield Word(_lexeme(letters, language) if is_stemmed else letters, start, end)


def asked(question: str) -> list[AskedWord]:
    """Return the words of a question as every language stems them: which ones a corpus has is known where it lies."""
    pieces = [
        (letters, question[start:end].casefold(), is_stemmed)
        for letters, start, end, is_stemmed in islice(_pieces(question), MOST_ASKED)
    ]
    found: list[AskedWord] = []
    for language in (*LANGUAGES, UNSTEMMED):
        dictionary = DICTIONARIES.get(language)
        given_first: dict[str, str] = {}
        for letters, given, is_stemmed in pieces:
            given_first.setdefault(_lexeme(letters, language) if is_stemmed else letters, given)
        found += [AskedWord(given, lexeme, language, dictionary) for lexeme, given in given_first.items()]
    return found


def _pieces(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yield what a text is cut into whatever its language, where it stands, and whether it is a word: pairs stay."""
    for run in _RUN.finditer(text):
        start, end = run.span()
        if run["paired"] is None:
            yield run[0], start, end, True
            continue
        letters = unicodedata.normalize("NFKC", run[0])
        is_aligned = len(letters) == end - start
        for at in range(max(1, len(letters) - 1)):
            pair = letters[at : at + 2]
            yield (pair, start + at, start + at + len(pair), False) if is_aligned else (pair, start, end, False)


def counts(text: str, language: str) -> Counter[str]:
    """Return how often each lexeme occurs in the text."""
    if not text.isascii():
        return Counter(word.lexeme for word in words(text, language))
    found: Counter[str] = Counter()
    for word, times in Counter(_ASCII_RUN.findall(text)).items():  # a third of the time: most of what is stored
        found[_lexeme(word, language)] += times
    return found


def as_tsvector(found: Counter[str], *marks: str) -> str:
    """Return a tsvector as text: a lexeme has a position for each time it occurs. `marks` are lexemes of no text."""
    parts = [f"'{mark}'" for mark in marks]
    parts += [
        f"'{lexeme}'" if times == 1 else f"'{lexeme}':{_POSITIONS[min(times, MOST_COUNTED)]}"
        for lexeme, times in found.items()
    ]
    return " ".join(parts)


@lru_cache(maxsize=50_000)
def _lexeme(word: str, language: str) -> str:
    """Return the stem of a word. Accents of Latin letters go after it: stemmers know them, who types may not."""
    normal = unicodedata.normalize("NFKC", word).casefold()[:MAX_LEXEME_CHARACTERS]
    stem = (_stemmer(language).stemWord(normal) if language else "") or normal  # nothing is left of a lone tatweel
    if stem.isascii() or not all(letter < "ɐ" or unicodedata.combining(letter) for letter in stem):
        return stem
    bare = "".join(letter for letter in unicodedata.normalize("NFD", stem) if not unicodedata.combining(letter))
    return bare or stem


def _stemmer(language: str) -> Stemmer.Stemmer:
    """Return the stemmer of this thread: one must not be used by two at once."""
    known: dict[str, Stemmer.Stemmer] = _stemmers.__dict__.setdefault("known", {})
    if language not in known:
        known[language] = Stemmer.Stemmer(language, 0)
    return known[language]

"""Which of the Latin charsets a text is in, by the letters that its bytes would be in each. Pure.

Every byte is some letter in all of them, so decoding never fails; but no language is written with the letters that a
wrong one gives: Polish read as Western has ³ and ¿ within words, Hungarian has both ö and õ.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

WESTERN = "cp1252"
# The letters beyond ASCII of the languages that are written in each charset, one string a language.
_ALPHABETS = {
    WESTERN: (
        "äöüß", "àâæçèéêëîïôœùûüÿ", "áéíñóúüç", "àáâãçéêíóôõúü", "àèéìíîòóùú", "áâèéêëïíóöúü", "åäöéü", "æøåéóôäöü",
        "áæðéíóöþúý", "àçèéíïòóúü", "äõöšüž", "çë",
    ),
    "cp1250": (
        "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "ąćęłńóśźż", "áéíóöőúüű", "ćčđšž", "ăâîşţ",
    ),
    "cp1254": ("çğıöşüİ",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņōŗšūž"),
    "cp1258": ("àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",),
}  # fmt: skip
_KIN = {"cp1250": ("cp1250", "iso8859_2")}  # the same letters, some of them at other places
MIN_LETTERS = 4
MIN_SHARE = 0.95
MIN_LEAD = 0.03
_WORD = re.compile(rb"[A-Za-z]?[\x80-\xff][A-Za-z\x80-\xff]*")  # from the letter before the first accent on
MAX_WORDS = 1_000
_PUNCTUATION = re.compile("[\u2010-\u203a\xa0\xa7\xa9\xab\xae\xb0\xb7\xbb\x84\x85\x91-\x97]")


def latin_charset_of(sample: bytes) -> str | None:
    """Return the charset in which almost all letters of a text without markup belong to one language; None: unsure.

    Western ones win where they fit as well.
    """
    words = b" ".join(_WORD.findall(sample)[:MAX_WORDS])
    western, total = _fit(words, WESTERN, _ALPHABETS[WESTERN])
    if western >= MIN_SHARE and total < MIN_LETTERS:
        return WESTERN
    others = [
        (_fit(words, kin, alphabets)[0], kin)
        for name, alphabets in _ALPHABETS.items()
        if name != WESTERN
        for kin in _KIN.get(name, (name,))
    ]
    best, charset = max(others, key=lambda pair: pair[0])  # the first of equals
    if total >= MIN_LETTERS and best >= MIN_SHARE and best >= western + MIN_LEAD:
        return charset
    return WESTERN if western >= MIN_SHARE else None


def _fit(words: bytes, charset: str, alphabets: tuple[str, ...]) -> tuple[float, int]:
    """Return what share of the letters beyond ASCII is of one language, and how many there are."""
    letters: Counter[str] = Counter()
    text = _PUNCTUATION.sub(" ", words.decode(charset, "replace"))
    for word in unicodedata.normalize("NFC", text).split():
        letters.update(
            letter for at, letter in enumerate(word) if letter > "\x7f" and (letter.isalpha() or 0 < at < len(word) - 1)
        )
    total = letters.total()
    if not total:
        return 1.0, 0
    shares = (
        sum(count for letter, count in letters.items() if letter in alphabet or letter.lower() in alphabet)
        for alphabet in alphabets
    )
    return max(shares) / total, total

"""Words become lexemes that a question in other forms, scripts and spellings still finds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lexemes import LANGUAGES, MOST_COUNTED, UNSTEMMED, as_tsvector, asked, counts, stemmed_language, words


def lexemes(text: str, language: str = UNSTEMMED) -> list[str]:
    return [word.lexeme for word in words(text, language)]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Running runs, RUN!", "en", ["run", "run", "run"]),
        ("die Häuser des Hauses", "de", ["die", "haus", "des", "haus"]),
        ("les économies françaises", "fr", ["le", "econom", "franc"]),
        ("max_connections=3.11", "en", ["max", "connect", "3", "11"]),
        ("Cafe\u0301 café CAFÉ ｃａｆｅ", UNSTEMMED, ["cafe"] * 4),
        ("東京都庁", UNSTEMMED, ["東京", "京都", "都庁"]),
        ("Kubernetesの設定", UNSTEMMED, ["kubernetes", "の設", "設定"]),
        ("字", UNSTEMMED, ["字"]),
        ("ประเทศ", UNSTEMMED, ["ปร", "ระ", "ะเ", "เท", "ทศ"]),
        ("서울에서", UNSTEMMED, ["서울", "울에", "에서"]),
        ("…— !", UNSTEMMED, []),
    ],
)
def test_a_text_becomes_its_lexemes(text: str, language: str, expected: list[str]) -> None:
    assert lexemes(text, language) == expected


@pytest.mark.parametrize(
    ("language", "stemmer"),
    [("en", "en"), ("pt-BR", "pt"), ("nb", "no"), ("DE_at", "de"), ("ja", UNSTEMMED), (None, "en"), ("x", UNSTEMMED)],
)
def test_a_language_has_its_stemmer_or_none(language: str | None, stemmer: str) -> None:
    assert stemmed_language(language) == stemmer


@given(st.text(max_size=200), st.sampled_from([*LANGUAGES, UNSTEMMED]))
def test_words_stand_where_they_say_and_are_never_empty(text: str, language: str) -> None:
    found = list(words(text, language))
    assert all(word.lexeme and 0 <= word.start < word.end <= len(text) for word in found)
    assert [word.start for word in found] == sorted(word.start for word in found)
    assert counts(text, language) == Counter(word.lexeme for word in found)


def test_half_a_width_is_placed_as_a_whole() -> None:
    assert [(word.lexeme, word.start, word.end) for word in words("ｶﾞｽ", UNSTEMMED)] == [("ガス", 0, 3)]


def test_a_lexeme_has_as_many_positions_as_it_occurs() -> None:
    assert as_tsvector(Counter({"a": 1, "b": 3}), "c:1") == "'c:1' 'a' 'b':1,2,3"
    assert as_tsvector(Counter({"a": 1000})).endswith(f",{MOST_COUNTED}")


@pytest.mark.parametrize(("text", "language"), [("ـ", "ar"), ("ـــ", "ar"), ("ﹷ", "ar"), ("छ", "ne")])
def test_a_word_of_which_its_stemmer_leaves_nothing_is_kept_as_it_is(text: str, language: str) -> None:
    """Postgres takes no empty lexeme."""
    assert all(counts(text, language))
    assert all(word.lexeme for word in asked(text))

"""Links to the very place are what browsers understand."""

from __future__ import annotations

import pytest

from cixml_api.anchors import text_fragment


@pytest.mark.parametrize(
    ("url", "text", "expected"),
    [
        ("https://e.com/a", "To rotate a key", "https://e.com/a#:~:text=To%20rotate%20a%20key"),
        ("https://e.com/a#b", "x", "https://e.com/a#b:~:text=x"),
        (
            "https://e.com/a",
            "## Well-known & more, then",
            "https://e.com/a#:~:text=Well%2Dknown%20%26%20more%2C%20then",
        ),
        ("https://e.com/a", "\n - one\n\ntwo\nthree four", "https://e.com/a#:~:text=one,three%20four"),
        (
            "https://e.com/a",
            " ".join("abcdefghijklmnop"),
            "https://e.com/a#:~:text=a%20b%20c%20d%20e%20f,k%20l%20m%20n%20o%20p",
        ),
        ("https://e.com/a", " \n ", "https://e.com/a"),
        ("https://e.com/a", "\n> one two\n|\n", "https://e.com/a#:~:text=one%20two"),
        ("https://e.com/a", "same\nelse\nsame", "https://e.com/a#:~:text=same,same"),
    ],
)
def test_a_text_is_named_by_its_edges(url: str, text: str, expected: str) -> None:
    assert text_fragment(url, text) == expected

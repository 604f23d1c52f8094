from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.web.globs import Glob, matches


@pytest.mark.parametrize(
    ("pattern", "path", "query", "expected"),
    [
        ("/docs/**", "/docs/a/b", "", True),
        ("/docs/**", "/docs/", "", True),
        ("/docs/**", "/docs", "", True),
        ("/docs/**", "/docs2/a", "", False),
        ("/docs/*", "/docs/a", "", True),
        ("/docs/*", "/docs/a/b", "", False),
        ("**/changelog/**", "/changelog/1", "", True),
        ("**/changelog/**", "/a/b/changelog", "", True),
        ("**/changelog/**", "/a/mychangelog/x", "", False),
        ("/**.html", "/a/b.html", "", True),
        ("/**.html", "/a/b.htm", "", False),
        ("/a", "/a", "?x=1", True),
        ("/a?x=*", "/a", "?x=1", True),
        ("/a?x=*", "/a", "", False),
        ("/a.c", "/abc", "", False),
        ("*", "/", "", False),
        ("**", "/a/b", "", True),
    ],
)
def test_patterns_are_compared_to_the_whole_path(pattern: str, path: str, query: str, expected: bool) -> None:
    assert matches(pattern, path, query) is expected


@given(
    pattern=st.text(alphabet="ab/*", max_size=12),
    path=st.text(alphabet="ab/", max_size=20),
)
def test_a_pattern_means_what_its_regular_expression_means(pattern: str, path: str) -> None:
    tokens = re.findall(r"\*\*|\*|[^*]", pattern)
    meaning = {"**": ".*", "*": "[^/]*"}
    expression = "".join(meaning.get(token) or re.escape(token) for token in tokens)
    assert Glob(pattern).matches(path) == (re.fullmatch(expression, path, re.DOTALL) is not None)


def test_many_wildcards_on_a_long_path_cost_milliseconds() -> None:
    started = time.monotonic()
    assert not Glob("**a*" * 45 + "b").matches("/" + "a" * 2000)
    assert time.monotonic() - started < 1

"""X-Robots-Tag and <meta name="robots">: for whom, and what."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.web.robots_tags import RobotsTags, tags_of_head, tags_of_headers

NOTHING = RobotsTags()
NO_INDEX = RobotsTags(is_noindex=True)
NO_FOLLOW = RobotsTags(is_nofollow=True)
NONE = RobotsTags(is_noindex=True, is_nofollow=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], NOTHING),
        ([""], NOTHING),
        (["index, follow"], NOTHING),
        (["all"], NOTHING),
        (["noindex"], NO_INDEX),
        (["NoIndex,NOFOLLOW"], NONE),
        (["none"], NONE),
        (["noarchive", "nofollow"], NO_FOLLOW),
        (["cixml: noindex"], NO_INDEX),
        (["CIXML:none"], NONE),
        (["googlebot: noindex, nofollow"], NOTHING),
        (["googlebot: noindex", "nofollow"], NO_FOLLOW),
        (["googlebot: noindex, cixml: nofollow"], NO_FOLLOW),
        (["nofollow, googlebot: noindex"], NO_FOLLOW),
        (["index", "cixml : noindex"], NO_INDEX),
        (["cixml2: noindex"], NOTHING),
        (["max-snippet: 20, noindex"], NO_INDEX),
        (["max-snippet:-1, max-image-preview:large"], NOTHING),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], NO_INDEX),
        (["noindexing, x-noindex"], NOTHING),
        (["noindex;nofollow"], NONE),
        ([":", ": noindex"], NO_INDEX),
    ],
)
def test_header_is_for_everybody_or_for_the_one_it_names(values: list[str], expected: RobotsTags) -> None:
    assert tags_of_headers(values, agent="cixml") == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([("robots", "NOINDEX, follow")], NO_INDEX),
        ([("robots", "index"), ("robots", "nofollow")], NO_FOLLOW),
        ([("cixml", "none")], NONE),
        ([("googlebot", "noindex"), ("description", "noindex")], NOTHING),
        ([("robots", "max-snippet:20, noindex nofollow")], NONE),
    ],
)
def test_elements_are_for_everybody_or_for_the_one_they_name(
    named: list[tuple[str, str]], expected: RobotsTags
) -> None:
    assert tags_of_head(named, agent="cixml") == expected


def test_long_header_costs_little() -> None:
    started = time.process_time()
    for piece in ("a", " ", ":", "a ", "a:", ","):
        tags_of_headers([piece * 100_000], agent="cixml")
    assert time.process_time() - started < 1


@settings(deadline=None)  # a busy machine is slow at times
@given(st.lists(st.text(max_size=60)))
def test_what_is_asked_of_all_is_done_whatever_else_is_said(values: list[str]) -> None:
    assert tags_of_headers([*values, "noindex"], agent="cixml").is_noindex

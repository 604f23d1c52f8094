"""robots.txt: the published cases, and what hostile files cost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.web.robots import parse_robots, product_token

CASES = json.loads((Path(__file__).parents[3] / "data" / "robots" / "robots_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_published_case(case: dict[str, str]) -> None:
    assert parse_robots(case["robots"], agent=case["agent"]).allows(case["url"]) is case["allowed"]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a*b$", "/axxb", True),
        ("/a*b$", "/axxbc", False),
        ("/a*b$", "/a", False),
        ("/*.php$", "/x.php?a=.php", True),
        ("/aa*aa$", "/aaa", False),
        ("/[a]", "/a", False),
        ("/é", "/%C3%A9", True),
        ("/%7Ejoe", "/~joe", True),
        ("/a%2Fb", "/a/b", False),
        ("*", "/", True),
    ],
)
def test_pattern(pattern: str, path: str, *, matches: bool) -> None:
    rules = parse_robots(f"user-agent: *\ndisallow: {pattern}", agent="cixml")
    assert rules.allows(f"http://example.com{path}") is not matches


def test_rules_of_one_agent_do_not_reach_another() -> None:
    text = "User-agent: other\nDisallow: /x\n\nUser-agent: other\nUser-agent: cixml\nDisallow: /y"
    rules = parse_robots(text, agent="cixml")
    assert rules.allows("http://example.com/x")
    assert not rules.allows("http://example.com/y")


def test_crawl_delay_is_read_and_nonsense_ignored() -> None:
    assert parse_robots("User-agent: *\nCrawl-delay: 2.5", agent="cixml").crawl_delay_seconds == 2.5
    assert parse_robots("User-agent: *\nCrawl-delay: -1e9", agent="cixml").crawl_delay_seconds == 0


def test_product_token_is_the_name_before_the_version() -> None:
    assert product_token("cixml/0.1 (+https://example.com)") == "cixml"


@pytest.mark.parametrize(
    "line",
    ["user-agent: " + "a" * 400_000 + "]", "disallow: /" + "*a" * 200_000, "user-agent: *\ndisallow: /*a\n" * 10_000],
)
def test_hostile_file_is_read_in_linear_time(line: str) -> None:
    started = time.process_time()
    parse_robots(f"user-agent: *\n{line}\n", agent="cixml").allows("http://example.com/" + "a" * 2000)
    assert time.process_time() - started < 1.0


@given(st.text(), st.text(max_size=40))
def test_any_file_gives_an_answer(text: str, path: str) -> None:
    assert parse_robots(text, agent="cixml").allows(f"http://example.com/{path}") in (True, False)

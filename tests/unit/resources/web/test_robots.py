"""robots.txt: the published cases, and what hostile files cost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from resources.settings import FetchSettings
from resources.web.robots import parse_robots, product_token

DATA = Path(__file__).parents[3] / "data" / "robots"
CASES = json.loads((DATA / "robots_cases.json").read_text())
GOOGLE = json.loads((DATA / "google_cases.json").read_text())
AGAINST_THE_RFC = [  # Google compares what it is given; by RFC 9309 2.2.2 both are escaped alike first
    ("Allow: /foo/bar/ツ", "http://foo.bar/foo/bar/ツ"),
    ("Allow: /foo/bar/%E3%83%84", "http://foo.bar/foo/bar/ツ"),
    ("Allow: /foo/bar/%62%61%7A", "http://foo.bar/foo/bar/baz"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_published_case(case: dict[str, str]) -> None:
    assert parse_robots(case["robots"], agent=case["agent"]).allows(case["url"]) is case["allowed"]


@pytest.mark.parametrize("case", GOOGLE["cases"], ids=lambda case: f"{case['group']}:{case['file']}:{case['url']}")
def test_google_case(case: dict[str, Any]) -> None:
    text = GOOGLE["files"][case["file"]]
    is_reversed = any(rule in text and case["url"] == url for rule, url in AGAINST_THE_RFC)
    assert parse_robots(text, agent=case["agent"]).allows(case["url"]) is (case["allowed"] is not is_reversed)


def test_google_cases_of_lines_that_are_too_long() -> None:
    def pattern(letter: str, key: str) -> str:
        return "/x/" + letter * (8 * 2083 - len("/x/") - len(key) + 1 - len("/x/"))

    cut = pattern("a", "disallow: ")
    rules = parse_robots(f"user-agent: FooBot\ndisallow: {cut}/qux\n", agent="FooBot")
    assert rules.allows("http://foo.bar/fux")
    assert not rules.allows(f"http://foo.bar{cut}/fux")
    first, second = pattern("a", "allow: "), pattern("b", "allow: ")
    text = f"user-agent: FooBot\ndisallow: /\nallow: {first}/qux\nallow: {second}/qux\n"
    rules = parse_robots(text, agent="FooBot")
    assert not rules.allows("http://foo.bar/")
    assert rules.allows(f"http://foo.bar{first}/qux")
    assert rules.allows(f"http://foo.bar{second}/fux")


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
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),  # the tables of RFC 9309 2.2.2 and 2.2.3
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", True),
        ("/foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/a$b", "/a$b/c", True),
        ("/", "/robots.txt", False),
        ("/*http://", "/go?to=http://example.org/", True),
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


def test_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert not parse_robots("\ufeffUser-agent: *\nDisallow: /", agent="cixml").allows("http://example.com/")


def test_paths_are_compared_by_their_octets_whatever_the_charset() -> None:
    text = "User-agent: *\nDisallow: /caf\xe9/\nDisallow: /ü".encode("latin-1").decode("utf-8", "surrogateescape")
    rules = parse_robots(text, agent="cixml")
    assert not rules.allows("http://example.com/caf%E9/x")
    assert rules.allows("http://example.com/caf%C3%A9/x")
    assert str(rules.match("http://example.com/%fc")) == "Disallow: /%FC"


def test_crawl_delay_is_read_and_nonsense_ignored() -> None:
    assert parse_robots("User-agent: *\nCrawl-delay: 2.5", agent="cixml").crawl_delay_seconds == 2.5
    assert parse_robots("User-agent: *\nCrawl-delay: -1e9", agent="cixml").crawl_delay_seconds == 0


def test_product_token_is_the_name_before_the_version() -> None:
    assert product_token(FetchSettings().agent_header) == "cixml"


@pytest.mark.parametrize("user_agent", ["", "1/0", "cixml\r\nEvil: 1", "Käfer/1"])
def test_agent_has_a_name_that_robots_txt_can_call(user_agent: str) -> None:
    with pytest.raises(ValidationError):
        FetchSettings(user_agent=user_agent)


@pytest.mark.parametrize("contact", ["", "a) b", "me\r\nEvil: 1"])
def test_agent_says_where_to_complain(contact: str) -> None:
    with pytest.raises(ValidationError):
        FetchSettings(contact=contact)


@pytest.mark.parametrize(
    "line",
    ["user-agent: " + "a" * 400_000 + "]", "disallow: /" + "*a" * 200_000, "user-agent: *\ndisallow: /*a\n" * 10_000],
)
def test_hostile_file_is_read_in_linear_time(line: str) -> None:
    started = time.process_time()
    parse_robots(f"user-agent: *\n{line}\n", agent="cixml").allows("http://example.com/" + "a" * 2000)
    assert time.process_time() - started < 1.0


@settings(deadline=None)  # a busy machine is slow at times
@given(st.text(), st.text(max_size=40))
def test_any_file_gives_an_answer(text: str, path: str) -> None:
    assert parse_robots(text, agent="cixml").allows(f"http://example.com/{path}") in (True, False)

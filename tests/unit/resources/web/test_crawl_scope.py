from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.web.crawl_scope import (
    DATE_FAMILY_URLS,
    MAX_REPEATS,
    MAX_SEGMENTS,
    CrawlRules,
    FoundUrl,
    found_urls,
    has_left,
    is_trap,
    without_session,
)
from resources.web.urls import parse_url

BASE = parse_url("https://docs.example.com/guide/start")


def make_rules(**more: Any) -> CrawlRules:
    rules: dict[str, Any] = {
        "mode": "links",
        "max_depth": 2,
        "max_pages": 100,
        "include": [],
        "exclude": [],
        "same_host": True,
        "hosts": ["docs.example.com"],
    }
    return CrawlRules(**rules | more)


def found(*hrefs: str, base: str = BASE.href, **rules: Any) -> list[FoundUrl]:
    return list(found_urls(make_rules(**rules), hrefs, base=parse_url(base)))


def urls(*hrefs: str, **more: Any) -> list[str]:
    return [each.url.href for each in found(*hrefs, **more)]


def test_links_are_resolved_and_named_once() -> None:
    assert urls("next", "./next#part", "https://docs.example.com/guide/next", "/a%7e", "/a~") == [
        "https://docs.example.com/guide/next",
        "https://docs.example.com/a%7e",
    ]
    assert urls("start#top", "", "mailto:a@b.example", "javascript:0", "ftp://docs.example.com/", "http://[") == []


def test_only_hosts_of_the_crawl_are_gone_to() -> None:
    others = ["https://www.example.com/", "https://evil.example/", "https://docs.example.com.evil.example/"]
    assert urls(*others) == []
    assert urls(*others, same_host=False) == ["https://www.example.com/"]
    assert urls("https://www.docs.example.com/a") == ["https://www.docs.example.com/a"]
    assert urls("https://docs.example.com:8443/a") == []
    assert urls("http://10.0.0.1/", base="http://10.0.0.2/", hosts=["10.0.0.2"], same_host=False) == []
    assert urls("https://a.co.uk/", base="https://b.co.uk/", hosts=["b.co.uk"], same_host=False) == []


def test_a_seed_may_redirect_to_its_real_host() -> None:
    assert urls("/a", base="https://real.example/", hosts=["short.example"]) == ["https://real.example/a"]
    rules = make_rules()
    assert has_left(rules, parse_url("https://login.example.net/"), BASE)
    assert not has_left(rules, parse_url("https://docs.example.com/b"), BASE)


def test_patterns_and_files_that_are_no_pages_narrow_the_crawl() -> None:
    assert urls("/guide/a", "/blog/b", "/guide/old/c", include=["/guide/**"], exclude=["**/old/**"]) == [
        "https://docs.example.com/guide/a"
    ]
    assert urls("/a.PNG", "/a.tar.gz", "/style.css", "/a.html", "/v1.0") == [
        "https://docs.example.com/a.html",
        "https://docs.example.com/v1.0",
    ]


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("/a?PHPSESSID=1f&x=1", "/a?x=1"),
        ("/a?sid=1", "/a"),
        ("/a;jsessionid=AB12?x=1#f", "/a?x=1#f"),
        ("/a?x=1&y", "/a?x=1&y"),
        ("/a?inside=1", "/a?inside=1"),
        ("/a", "/a"),
    ],
)
def test_session_ids_are_left_out(href: str, expected: str) -> None:
    assert without_session(href) == expected


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/a/b/a/b/a/b/a/b", "", True),
        ("/a/b/a/b", "", False),
        ("/" + "/".join(map(str, range(MAX_SEGMENTS + 1))), "", True),
        ("/search", "?q=" + "x" * 400, True),
        ("/search", "?" + "&".join(f"f{n}=1" for n in range(9)), True),
        ("/search", "?q=one&page=2", False),
    ],
)
def test_traps_are_told_by_their_shape(path: str, query: str, expected: bool) -> None:
    assert is_trap(path, query) is expected


@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_no_path_in_scope_repeats_itself_or_is_endless(segments: list[str]) -> None:
    for each in found("/" + "/".join(segments)):
        parts = [part for part in each.url.href.split("/")[3:] if part]
        assert len(parts) <= MAX_SEGMENTS
        assert all(parts.count(part) <= MAX_REPEATS for part in parts)


def test_a_calendar_is_one_family_and_articles_are_not() -> None:
    months = found(*(f"/calendar/{year}/{month:02}" for year in range(2020, 2040) for month in range(1, 13)))
    assert {each.family for each in months} == {"https://docs.example.com/calendar/0/0"}
    assert {each.family_urls for each in months} == {DATE_FAMILY_URLS}
    pages = found("/cal?month=3&view=day", "/cal?view=week&month=4")
    assert len({each.family for each in pages}) == 2  # the order of names is the site's own
    articles = found("/2024/05/one", "/2024/06/two", "/release-1.2", "/page/12345")
    assert [each.family for each in articles] == [
        "https://docs.example.com/0/0/one",
        "https://docs.example.com/0/0/two",
        None,
        None,
    ]


def test_values_of_a_query_make_no_family_of_their_own() -> None:
    assert {each.family for each in found("/list?color=red&size=1", "/list?size=2&color=blue")} == {
        "https://docs.example.com/list?color&size"
    }


@given(st.text(max_size=200))
def test_whatever_a_page_names_the_crawl_stays_on_its_host(href: str) -> None:
    for each in found(href):
        assert each.url.host in ("docs.example.com", "www.docs.example.com")
        assert "#" not in each.url.href

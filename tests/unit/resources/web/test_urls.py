"""URLs: what is accepted, what two URLs have in common, and the laws of the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resources.errors import InvalidUrlError
from resources.web.urls import MAX_URL_CHARACTERS, normalize_escapes, parse_url

DATA = Path(__file__).parents[3] / "data" / "url"
STANDARD = json.loads((DATA / "urltestdata.json").read_text())
PAIRS = json.loads((DATA / "equivalence.json").read_text())
ADDRESSES = json.loads((DATA / "ssrf_urls.json").read_text())


@pytest.mark.parametrize("case", STANDARD, ids=lambda case: case["id"])
def test_url_is_parsed_as_the_standard_says_or_refused(case: dict[str, str]) -> None:
    try:
        parsed = parse_url(case["input"], base=case["base"])
    except InvalidUrlError:
        refused = case.get("failure") or case["username"] or case["password"] or "\x00" in case["input"]
        assert refused or "." not in case["hostname"].rstrip(".") or case["protocol"] not in ("http:", "https:")
    else:
        assert not case.get("failure")
        assert parsed.href == case["href"].partition("#")[0]
        assert parsed.origin == case.get("origin", parsed.origin)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["why"])
def test_key_tells_same_documents_from_different_ones(pair: dict[str, str]) -> None:
    assert (parse_url(pair["a"]).key == parse_url(pair["b"]).key) is pair["same"]


@pytest.mark.parametrize("case", [c for c in ADDRESSES if c["kind"] == "scheme"], ids=lambda case: case["url"])
def test_other_schemes_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(InvalidUrlError, match="scheme"):
        parse_url(case["url"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "can't be parsed"),
        ("docs/page.html", "can't be parsed"),
        ("ftp://example.com/", "scheme"),
        ("http://user@example.com/", "user name"),
        ("http://:secret@example.com/", "user name"),
        ("http://intranet/", "no dot"),
        ("http://com./", "no dot"),
        ("http://./", "no host"),
        ("http://example.com/\x00", "NUL"),
        ("http://example.com/\ud800", "surrogate"),
        ("http://example.com/" + "a" * MAX_URL_CHARACTERS, "at most"),
        ("http://example.com/" + "é" * 1000, "at most"),
        ("http://example.com:99999/", "can't be parsed"),
    ],
)
def test_unfetchable_url_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidUrlError, match=reason):
        parse_url(text)


@pytest.mark.parametrize("text", ["http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://①②⑦.0.0.1/"])
def test_every_spelling_of_an_address_becomes_the_address(text: str) -> None:
    assert parse_url(text).host == "127.0.0.1"


def test_backslash_does_not_move_the_host() -> None:
    assert parse_url("http://example.com\\@127.0.0.1/").host == "example.com"


def test_parts_of_a_url() -> None:
    parsed = parse_url("https://[2001:DB8::1]:8443/a%7e?b=2&a=1#x")
    assert (parsed.scheme, parsed.host, parsed.port) == ("https", "2001:db8::1", 8443)
    assert parsed.href == "https://[2001:db8::1]:8443/a%7e?b=2&a=1"
    assert parsed.key == "https://[2001:db8::1]:8443/a~?b=2&a=1"
    assert parse_url("http://localhost/").port == 80


@settings(deadline=None)  # a busy machine is slow at times
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60))
@example("%%34%31")
@example("%2541%")
def test_key_is_stable(path: str) -> None:
    try:
        first = parse_url(f"http://example.com/{path}")
    except InvalidUrlError:
        return
    assert parse_url(first.href).href == first.href
    assert parse_url(first.key).key == first.key


@settings(deadline=None)  # a busy machine is slow at times
@given(st.text(max_size=60))
def test_normalizing_escapes_twice_changes_nothing(text: str) -> None:
    assert normalize_escapes(normalize_escapes(text)) == normalize_escapes(text)


def test_a_url_that_grows_beyond_the_limit_when_normalised_is_refused() -> None:
    with pytest.raises(InvalidUrlError, match="characters when encoded"):
        parse_url("https://example.com/" + "%z" * 900)

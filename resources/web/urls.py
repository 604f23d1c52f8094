"""URLs: one parser (WHATWG, ada) decides what is checked, fetched and stored. Nobody else takes a URL apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ada_url import URL, HostType

from resources.errors import InvalidUrlError

MAX_URL_CHARACTERS = 2048  # what browsers, proxies and sitemaps agree on
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986 2.3
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_SURROGATE_OR_NUL = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedUrl:
    """A URL that may be fetched. `href` goes on the wire; `key` is the identity of the document in a corpus."""

    href: str
    key: str
    host: str
    port: int
    scheme: str
    origin: str


def parse_url(text: str, *, base: str | None = None) -> ParsedUrl:
    """Parse an absolute URL, or one relative to `base` (a redirect). Raises InvalidUrlError with the remedy."""
    _check_text(text)
    try:
        url = URL(text, base=base)
    except ValueError as error:
        raise InvalidUrlError("the URL can't be parsed: give an absolute URL as https://example.com/page") from error
    _check_parts(url)
    url.hash = ""
    href = str(url.href)
    key = normalize_escapes(href)  # may be longer: a lone '%' becomes three characters
    if (length := max(len(href), len(key))) > MAX_URL_CHARACTERS:
        raise InvalidUrlError(f"the URL has {length} characters when encoded: at most {MAX_URL_CHARACTERS}")
    scheme = str(url.protocol).rstrip(":")
    port = int(url.port) if url.port else _DEFAULT_PORTS[scheme]
    host = str(url.hostname).strip("[]")
    return ParsedUrl(href=href, key=key, host=host, port=port, scheme=scheme, origin=str(url.origin))


def is_robots_file(url: ParsedUrl) -> bool:
    """Return whether a URL is the robots.txt of its host, which is never disallowed (RFC 9309 2.2.2)."""
    return url.href == url.origin + "/robots.txt"


def normalize_escapes(text: str) -> str:
    """Upper-case percent-escapes, decode the unreserved ones, escape a lone '%' (RFC 3986 6.2.2). Idempotent."""
    return _ESCAPE.sub(_normal_escape, text) if "%" in text else text


def _normal_escape(match: re.Match[str]) -> str:
    digits = match[1]
    if digits is None:
        return "%25"
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits.upper()}"


def _check_text(text: str) -> None:
    if len(text) > MAX_URL_CHARACTERS:
        raise InvalidUrlError(f"the URL has {len(text)} characters: at most {MAX_URL_CHARACTERS}")
    if _SURROGATE_OR_NUL.search(text):
        raise InvalidUrlError("the URL holds a NUL or a lone surrogate: percent-encode it")


def _check_parts(url: URL) -> None:
    if url.protocol not in ("http:", "https:"):
        raise InvalidUrlError(f"the scheme is {str(url.protocol)[:20]!r}: only http and https are fetched")
    if url.username or url.password:
        raise InvalidUrlError("the URL holds a user name or password: leave them out, they are never sent")
    name = str(url.hostname).removesuffix(".")
    if not name:
        raise InvalidUrlError("the URL has no host: give an absolute URL as https://example.com/page")
    if url.host_type == HostType.DEFAULT and "." not in name and name != "localhost":
        raise InvalidUrlError(f"the host {name[:80]!r} has no dot: give its full name as docs.example.com")

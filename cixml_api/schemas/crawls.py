"""What a job may find by itself: the rules of a crawl, as they are asked for and told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cixml_api.schemas.common import Answer, Request
from resources.web.globs import MAX_PATTERN_CHARACTERS

MOST_PATTERNS = 50
MOST_PAGES = 10_000
MOST_DEPTH = 10


def _check_pattern(pattern: str) -> str:
    if not pattern.startswith(("/", "*")):
        raise ValueError("a pattern is compared to the whole path: begin it with '/' or '*', as '/docs/**'")
    return pattern


_Pattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN_CHARACTERS), AfterValidator(_check_pattern)]
_Patterns = Annotated[list[_Pattern], Field(max_length=MOST_PATTERNS, fail_fast=True)]


class CrawlRequest(Request):
    """Which pages a job finds by itself, beginning with its `urls`.

    `links` follows the links of pages, `sitemap` takes what the sitemaps of the hosts name. Patterns are compared to
    the path of a URL, one with a `?` to path and query: `*` is any text within a segment, `**` any text at all.
    The URLs of the request are fetched whatever the patterns say.
    """

    mode: Literal["none", "sitemap", "links"] = "none"
    max_depth: int = Field(default=2, ge=0, le=MOST_DEPTH, description="of `links`: how far from a URL of the request")
    max_pages: int = Field(
        default=500,
        ge=1,
        le=MOST_PAGES,
        description="in all, those of the request included; what is found more is left",
    )
    include: _Patterns = Field(default=[], description="only pages that one of these fits; empty: all")
    exclude: _Patterns = Field(default=[], description="no page that one of these fits")
    same_host: bool = Field(
        default=True,
        description="only the hosts of the request (with `www.` or without); false: all hosts of their domains, "
        "as docs.example.com beside www.example.com",
    )


class Crawl(Answer):
    """How a job finds pages.

    `pages_left_out` were in scope, but beyond `max_pages` or the caller's quota of queued pages; a page that several
    others name counts each time.
    """

    mode: Literal["sitemap", "links"]
    max_depth: int
    max_pages: int
    include: list[str]
    exclude: list[str]
    same_host: bool
    pages_found: int
    pages_left_out: int

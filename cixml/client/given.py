"""What callers give beside plain texts and numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cixml.client.base import Metadata


class Given(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class UrlEntry(Given):
    """A URL with what it is to be found by."""

    url: str
    metadata: Metadata = Field(default_factory=dict)
    external_id: str | None = None


class CrawlRules(Given):
    """Which pages a job finds by itself, beginning with its URLs: by `links` or by the hosts' `sitemap`."""

    mode: Literal["links", "sitemap"]
    max_depth: int = 2
    max_pages: int = 500
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    same_host: bool = True


class PushedDocument(Given):
    """A document that comes with the request: `text`, or `markdown`."""

    external_id: str
    text: str | None = None
    markdown: str | None = None
    title: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class Exclusions(Given):
    """Elements of HTML pages that are left out with all that is in them."""

    tags: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

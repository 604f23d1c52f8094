"""Where a crawl begins: its rules as a row keeps them, and the items that come before its pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cixml_api import schemas
from resources.postgres.submissions import NewItem
from resources.web.crawl_scope import host_of
from resources.web.urls import is_robots_file, parse_url

_SITEMAP = re.compile(r"(?:/robots\.txt|\.xml(?:\.gz)?|sitemap[^/]*\.txt)$", re.IGNORECASE)


def rules_of(crawl: schemas.CrawlRequest | None, items: Sequence[NewItem]) -> dict[str, Any] | None:
    """Return what a run needs to know of the crawl; None: the job takes what it was given.

    Two jobs with the same rules and seeds are the same crawl, made again.
    """
    if crawl is None or crawl.mode == "none":
        return None
    hosts = sorted({host_of(parse_url(item.url)) for item in items if item.url is not None})
    seeds = hashlib.sha256("\n".join(sorted(item.url_key for item in items if item.url)).encode()).hexdigest()
    return crawl.model_dump() | {"hosts": hosts, "seeds": seeds}


def with_sitemaps(crawl: schemas.CrawlRequest | None, items: Sequence[NewItem]) -> list[NewItem]:
    """Return the items of a job; of a crawl by sitemap, with those that name the sitemaps of its hosts.

    A URL that is a sitemap (or a robots.txt) by its name is one; else the robots.txt of its host says where they are.
    """
    if crawl is None or crawl.mode != "sitemap":
        return list(items)
    own = [replace(item, kind="sitemap") if item.url and _is_sitemap(item.url) else item for item in items]
    robots = {}
    for item in own:
        if item.url is not None and item.kind == "page":
            url = parse_url("/robots.txt", base=item.url)
            robots[url.key] = NewItem(url=url.href, url_key=url.key, host=url.host, kind="sitemap")
    return [*own, *robots.values()]


def _is_sitemap(url: str) -> bool:
    return is_robots_file(parse_url(url)) or _SITEMAP.search(url) is not None

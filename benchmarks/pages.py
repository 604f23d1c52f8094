"""Which pages are measured. A folder with too few pages is served again as further editions.

An edition marks every paragraph with its number, so that its chunks are new to the product: nothing is measured twice
for free. Both the site and the bare extraction make their pages here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median

from benchmarks.errors import BenchmarkError

MOST_HOSTS = 200
SMALL_BYTES = range(3_000, 16_000)
_SMALL_SHARE = 4  # at most one page in four is kept for the one-page jobs


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the folder in one edition."""

    file: str
    edition: int

    @property
    def path(self) -> str:
        return f"/{self.edition}/{self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The pages of one measurement; no page is in two lists."""

    folder: Path
    available: int
    warm_up: list[Page]
    small: list[Page]
    bulk: list[Page]

    def facts(self) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "available": self.available,
            "small_bytes_median": round(median(self._sizes(self.small))),
            "bulk_bytes_median": round(median(self._sizes(self.bulk))),
            "bulk_bytes": sum(self._sizes(self.bulk)),
            "editions": 1 + max(page.edition for page in [*self.small, *self.bulk]),
        }

    def _sizes(self, pages: Iterable[Page]) -> list[int]:
        return [(self.folder / page.file).stat().st_size for page in pages]


def select(folder: Path, *, warm_up: int, small: int, bulk: int) -> Selection:
    """Choose pages by the hash of their path: the same ones at each run. Raises BenchmarkError without enough pages."""
    files = sorted(_html_files(folder), key=lambda file: hashlib.sha256(file.encode()).digest())
    short = [file for file in files if (folder / file).stat().st_size in SMALL_BYTES]
    kept = short[: min(warm_up + small, max(1, len(files) // _SMALL_SHARE))]
    rest = [file for file in files if file not in set(kept)]
    if not kept or not rest:
        raise BenchmarkError(f"{folder} has {len(files)} HTML pages, {len(short)} of them small: more are needed")
    one_page = list(islice(_editions(kept), warm_up + small))
    return Selection(
        folder=folder,
        available=len(files),
        warm_up=one_page[:warm_up],
        small=one_page[warm_up:],
        bulk=list(islice(_editions(rest), bulk)),
    )


def _html_files(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in (".html", ".htm") and path.is_file() and path.stat().st_size
    ]


def _editions(files: list[str]) -> Iterator[Page]:
    for edition in count():
        for file in files:
            yield Page(file, edition)


def host(number: int) -> str:
    """Return the address of one of the site's hosts, from 0."""
    return f"127.0.0.{1 + number}"


def host_of(path: str, hosts: int) -> str:
    """Return the host that a page belongs to: by the hash of its path, so the same one at each run."""
    return host(int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) % hosts)


def body_of(folder: Path, page: Page) -> bytes:
    """Return what the site answers for a page."""
    body = (folder / page.file).read_bytes()
    return body.replace(b"</p>", b" Edition %d.</p>" % page.edition) if page.edition else body

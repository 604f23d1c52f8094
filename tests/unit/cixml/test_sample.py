"""The bundled pages: enough, small enough, and licensed."""

from __future__ import annotations

from cixml.sample.server import PAGES, load_pages, sample_urls


def test_some_forty_pages_of_modest_size_lie_beside_their_licence() -> None:
    sizes = [path.stat().st_size for path in PAGES.glob("*.html")]
    assert 35 <= len(sizes) <= 50
    assert sum(sizes) < 600_000
    assert "PostgreSQL Global Development Group" in (PAGES.parent / "LICENSE.txt").read_text()


def test_every_address_has_a_page_with_its_own_validator() -> None:
    pages = load_pages()
    paths = [url.removeprefix("http://127.0.0.1:8099") for url in sample_urls(8099)]
    assert set(paths) == set(pages) - {"/robots.txt"}
    assert len({page.etag for page in pages.values()}) == len(pages)

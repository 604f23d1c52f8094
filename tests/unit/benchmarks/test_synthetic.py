from __future__ import annotations

import pytest

from benchmarks.synthetic import Kind, body_of, find, path_of
from cixml_assets.extraction import extract


@pytest.mark.parametrize("kind", Kind)
def test_a_path_is_found_again(kind: Kind) -> None:
    assert find(path_of(kind, 17)) == (kind, 17)


@pytest.mark.parametrize("path", ["/0/tiny/17.html", "/tiny/x.html", "/tiny/17.html/", "/0/index.html"])
def test_other_paths_are_not_made_pages(path: str) -> None:
    assert find(path) is None


def test_each_page_has_a_text_of_its_own() -> None:
    texts = {extract(body_of(kind, number).decode()).text for kind in Kind for number in range(50)}
    assert len(texts) == 100
    assert all(500 < len(text) < 1500 for text in texts)

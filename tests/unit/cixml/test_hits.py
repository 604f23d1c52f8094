"""What the console shows of hits, and of where one comes from."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from cixml.client import SearchAnswer
from cixml.client.hits import HitLineage
from cixml.hits import lineage, print_hits
from cixml_api import search_examples

HIT: Any = search_examples.SEARCH_ANSWER[0]
PASSPORT: Any = search_examples.HIT_LINEAGE[0]


def _console(*, is_terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=is_terminal)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_hits_show_rank_score_title_and_address() -> None:
    console = _console()
    hit = HIT["results"][0] | {"title": "Joins [2.6]", "text": "words " * 100}
    print_hits(console, SearchAnswer.model_validate(HIT | {"results": [hit]}))
    shown = _text(console)
    assert "1. Joins [2.6]" in shown
    assert "0.830" in shown
    assert hit["url"] in shown
    assert "..." in shown


def test_no_hits_and_degradation_are_said() -> None:
    console = _console()
    print_hits(console, SearchAnswer.model_validate(HIT | {"results": [], "degraded": "embedding_unavailable"}))
    assert "embedding_unavailable" in _text(console)
    assert "no hits" in _text(console)


def test_words_that_were_asked_for_are_marked_and_shown_wherever_they_stand() -> None:
    console = _console(is_terminal=True)
    text = "before " * 100 + "the [bold]grouse" + " after" * 100
    at = text.index("grouse")
    print_hits(
        console,
        SearchAnswer.model_validate(
            HIT | {"results": [HIT["results"][0] | {"text": text, "highlights": [[at, at + 6]]}]}
        ),
    )
    assert "the [bold]\x1b[1;33mgrouse\x1b[0m after" in _text(console)


def test_a_passport_names_each_step_with_its_run() -> None:
    console = _console()
    console.print(lineage(HitLineage.model_validate(PASSPORT)))
    shown = _text(console)
    assert shown.count(PASSPORT["vector"]["run_id"][:8]) == 3, "page, chunk, vector"
    assert all(told in shown for told in ("robots.txt: Allow: /", "all-MiniLM-L6-v2", PASSPORT["partition"]))

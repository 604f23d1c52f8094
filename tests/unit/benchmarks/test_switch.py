"""What the benchmark of a switch calls wrong."""

from __future__ import annotations

import numpy as np

from benchmarks.switch import FIRST, TOP_K, Answer, Switches, report
from tests.models import SECOND

TEXTS = [f"text {number}" for number in range(2 * TOP_K)]
EXACT = {
    FIRST: np.linspace(1, 0, len(TEXTS), dtype=np.float32)[None],
    SECOND: np.linspace(0, 1, len(TEXTS), dtype=np.float32)[None],
}


def answer(first: int, model: str, *, scored_by: str | None = None, version: str | None = None) -> Answer:
    """An answer of ten texts from `first` on."""
    places = range(first, first + TOP_K)
    scores = [float(EXACT[scored_by or model][0, place]) for place in places]
    texts = [TEXTS[place] for place in places]
    return Answer(query="q", seconds=0.1, model=model, version=version or model, texts=texts, scores=scores)


def test_a_hit_of_another_model_is_wrong_and_so_is_one_that_is_not_the_nearest() -> None:
    answers = [
        answer(0, FIRST),
        answer(TOP_K, SECOND),
        answer(0, FIRST, scored_by=SECOND),
        answer(3, FIRST),
        answer(0, FIRST, version=SECOND),
        Answer(query="q", seconds=0.1, error="corpus_search_501"),
    ]
    switches = Switches(models={FIRST: FIRST, SECOND: SECOND}, seconds=[1.0])
    found = report(answers, switches, EXACT, ["q"], TEXTS, is_exact=True)
    assert found["errors"] == {"corpus_search_501": 1}
    assert found["wrong"] == {
        "scores of another model": 1,
        "not the nearest": 1,
        "a version of another model is named": 1,
    }

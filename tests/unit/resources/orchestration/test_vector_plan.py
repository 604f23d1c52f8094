from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from resources.errors import EmbeddingRejectedError
from resources.orchestration.vector_plan import VectorPlan
from resources.postgres.chunks import BatchChunk


def make_chunk(item: int | None, text: int, *, tokens: int = 5, is_stored: bool = False) -> BatchChunk:
    return BatchChunk(
        item_id=None if item is None else UUID(int=item),
        document_id=UUID(int=1000 + (item or 0)),
        caller_id=f"c_{item}",
        chunk_hash=UUID(int=text),
        token_count=tokens,
        is_stored=is_stored,
    )


def test_a_text_in_two_documents_is_owed_once_and_paid_by_the_first() -> None:
    plan = VectorPlan.of([make_chunk(1, 7), make_chunk(2, 7)])
    assert list(plan.owed) == [UUID(int=7)]
    assert plan.owed[UUID(int=7)].caller_id == "c_1"
    assert plan.usage[UUID(int=1)].embedding_tokens == 5
    assert plan.usage[UUID(int=2)].cached_tokens == 5


def test_a_document_whose_vectors_are_all_stored_is_whole_at_once() -> None:
    plan = VectorPlan.of([make_chunk(1, 7, is_stored=True)])
    assert plan.whole() == [UUID(int=1)]
    assert plan.owed == {}


def test_a_document_becomes_whole_with_its_last_vector() -> None:
    plan = VectorPlan.of([make_chunk(1, 7), make_chunk(1, 8)])
    assert plan.stored([UUID(int=7)]) == []
    assert plan.stored([UUID(int=8)]) == [UUID(int=1)]
    assert plan.unfinished() == []


def test_a_refused_text_fails_every_document_that_holds_it_and_no_other() -> None:
    plan = VectorPlan.of([make_chunk(1, 7), make_chunk(2, 7), make_chunk(3, 8)])
    error = EmbeddingRejectedError("context_too_long", "too long")
    assert plan.refused({UUID(int=7): error}) == {UUID(int=1): error, UUID(int=2): error}
    assert plan.unfinished() == [UUID(int=3)]


def test_a_backfill_owes_vectors_but_waits_for_no_item() -> None:
    plan = VectorPlan.of([make_chunk(None, 7)])
    assert list(plan.owed) == [UUID(int=7)]
    assert plan.whole() == []
    assert plan.unfinished() == []


def test_a_text_is_wanted_while_one_of_its_items_is_and_always_in_a_backfill() -> None:
    plan = VectorPlan.of([make_chunk(1, 7), make_chunk(2, 7), make_chunk(1, 8), make_chunk(None, 9)])
    assert plan.is_wanted([UUID(int=7)], by=lambda item_id: item_id != UUID(int=1))
    assert not plan.is_wanted([UUID(int=8)], by=lambda item_id: item_id != UUID(int=1))
    assert plan.is_wanted([UUID(int=8), UUID(int=7)], by=lambda item_id: item_id != UUID(int=1))
    assert plan.is_wanted([UUID(int=9)], by=lambda item_id: item_id is None)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), max_size=40),
    st.sets(st.integers(1, 9)),
    st.randoms(use_true_random=False),
)
def test_every_item_becomes_whole_exactly_once_in_whatever_order_answers_come(
    pairs: list[tuple[int, int]], stored: set[int], random: object
) -> None:
    plan = VectorPlan.of([make_chunk(item, text, is_stored=text in stored) for item, text in pairs])
    owed = list(plan.owed)
    random.shuffle(owed)  # type: ignore[attr-defined]
    whole = plan.whole()
    for chunk_hash in owed:
        whole += plan.stored([chunk_hash])
    assert sorted(whole) == sorted({UUID(int=item) for item, _ in pairs})
    assert plan.unfinished() == []

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from resources.postgres.claims import Capacity, ClaimableItem
from sensors.planning import batch_limits, most_claimable, plan_batches

CORPORA = [UUID(int=number) for number in range(1, 5)]


def make_items(count: int, corpus: UUID = CORPORA[0], *, is_known: bool = False) -> list[ClaimableItem]:
    return [
        ClaimableItem(
            item_id=uuid4(),
            caller_id="c_1",
            corpus_id=corpus,
            url_key=f"https://example.com/{number}",
            is_known=is_known,
        )
        for number in range(count)
    ]


def plan(items: list[ClaimableItem], capacity: Capacity) -> list[list[UUID]]:
    return [batch.item_ids for batch in plan_batches(items, capacity, small_batch_items=10, batch_items=100)]


def idle(slots: int) -> Capacity:
    return Capacity(slots=slots, open_batches=0, large_batches=0)


def test_nothing_is_claimed_without_a_live_worker() -> None:
    assert plan(make_items(3), idle(0)) == []


def test_a_few_pages_of_one_corpus_make_one_batch() -> None:
    assert [len(batch) for batch in plan(make_items(3), idle(3))] == [3]


def test_one_slot_is_kept_for_small_batches() -> None:
    batches = plan(make_items(300), idle(4))
    assert [len(batch) for batch in batches] == [100, 100, 100]


def test_a_job_that_overflows_the_slots_starts_with_smaller_batches_so_that_runs_end_one_after_another() -> None:
    assert [len(batch) for batch in plan(make_items(400), idle(4))] == [34, 67, 100]
    one_free = Capacity(slots=4, open_batches=2, large_batches=2)
    assert [len(batch) for batch in plan(make_items(400), one_free)] == [100]


def test_a_job_of_a_few_dozen_pages_is_shared_by_the_slots() -> None:
    assert [len(batch) for batch in plan(make_items(43), idle(4))] == [15, 15, 13]


def test_pages_that_were_indexed_before_go_into_few_large_batches() -> None:
    assert [len(batch) for batch in plan(make_items(1000, is_known=True), idle(4))] == [334, 334, 332]
    assert most_claimable(idle(4), batch_items=100) >= 1000


def test_a_small_batch_of_another_corpus_is_claimed_beside_two_large_ones() -> None:
    items = make_items(200) + make_items(1, CORPORA[1])
    busy = Capacity(slots=3, open_batches=2, large_batches=2)
    assert plan(items, busy) == [[items[-1].item_id]]


def test_many_known_pages_do_not_take_the_slot_kept_for_small_batches() -> None:
    busy = Capacity(slots=3, open_batches=2, large_batches=2)
    assert plan(make_items(40, is_known=True), busy) == []
    assert [len(batch) for batch in plan(make_items(10, is_known=True), busy)] == [10]


def test_no_more_than_the_free_slots_are_claimed() -> None:
    items = [item for corpus in CORPORA for item in make_items(2, corpus)]
    assert len(plan(items, Capacity(slots=3, open_batches=1, large_batches=0))) == 2


def test_two_items_of_one_url_are_not_in_work_at_once() -> None:
    first, second = make_items(1)[0], make_items(1)[0]
    assert plan([first, second], idle(3)) == [[first.item_id]]


def test_a_single_slot_takes_large_batches_too() -> None:
    assert [len(batch) for batch in plan(make_items(50), idle(1))] == [50]


@given(
    corpora=st.lists(st.integers(0, 3), max_size=300),
    slots=st.integers(0, 6),
    open_batches=st.integers(0, 7),
    large=st.integers(0, 3),
)
def test_a_plan_takes_each_item_once_within_every_limit(
    corpora: list[int], slots: int, open_batches: int, large: int
) -> None:
    items = [
        ClaimableItem(item_id=uuid4(), caller_id="c", corpus_id=CORPORA[number], url_key=f"u{at}")
        for at, number in enumerate(corpora)
    ]
    batches = plan_batches(
        items,
        Capacity(slots=slots, open_batches=open_batches, large_batches=min(large, open_batches)),
        small_batch_items=10,
        batch_items=100,
    )
    taken = [item_id for batch in batches for item_id in batch.item_ids]
    corpus_of = {item.item_id: item.corpus_id for item in items}
    assert len(taken) == len(set(taken))
    assert len(batches) <= max(0, slots - open_batches)
    assert all(0 < len(batch.item_ids) <= 100 for batch in batches)
    assert all(corpus_of[item_id] == batch.corpus_id for batch in batches for item_id in batch.item_ids)


@given(waiting=st.integers(0, 10_000), slots=st.integers(-1, 64))
def test_a_batch_is_never_smaller_than_small_nor_larger_than_allowed(waiting: int, slots: int) -> None:
    limits = batch_limits(waiting, slots, small_batch_items=10, batch_items=100)
    assert all(10 <= limit <= 100 for limit in limits)
    assert limits == sorted(limits)

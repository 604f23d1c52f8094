from __future__ import annotations

from benchmarks.yardstick.queues import Stage


def test_stages_follow_one_another() -> None:
    assert [stage.following for stage in Stage] == [Stage.CHUNKING, Stage.EMBEDDING, None]
    assert [stage.queue for stage in Stage] == ["scrape", "chunk", "embed"]

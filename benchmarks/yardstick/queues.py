"""The three queues, their Celery applications, and what every stage's task has in common."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Any

import httpx
import psycopg
from celery import Celery, Task

from benchmarks.yardstick.configuration import configuration


class Stage(StrEnum):
    """The stages in their order. A queue and its task have the stage's verb as name."""

    SCRAPING = "scraping"
    CHUNKING = "chunking"
    EMBEDDING = "embedding"

    @property
    def queue(self) -> str:
        return {"scraping": "scrape", "chunking": "chunk", "embedding": "embed"}[self.value]

    @property
    def following(self) -> Stage | None:
        stages = list(Stage)
        at = stages.index(self) + 1
        return stages[at] if at < len(stages) else None


class PageError(Exception):
    """This page can't be indexed; trying again would not help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def celery_app(name: str) -> Celery:
    """Return an application whose tasks are acknowledged when their work is done."""
    app = Celery(name, broker=configuration().redis_url)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
    )
    return app


@cache
def _orchestrator() -> httpx.Client:
    settings = configuration()
    headers = {"Authorization": f"Bearer {settings.api_key}"}
    return httpx.Client(base_url=settings.orchestrator_url, headers=headers, timeout=30.0, trust_env=False)


def report(job_id: str, stage: Stage, error: dict[str, str] | None = None) -> None:
    """Tell the orchestrator that a stage has ended: services never call one another."""
    body = {"stage": stage.value, "error": error}
    _orchestrator().post(f"/jobs/{job_id}/complete", json=body).raise_for_status()


class StageTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task whose first argument is the job's id. Transient errors are retried, the last one is reported."""

    stage: Stage
    autoretry_for = (httpx.TransportError, psycopg.OperationalError)
    max_retries = 3
    retry_backoff = True

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        code = exc.code if isinstance(exc, PageError) else type(exc).__name__
        report(args[0], self.stage, {"code": code, "message": str(exc)[:500]})

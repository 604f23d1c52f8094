"""The Celery application that carries run ids to warm workers. Redis holds only what is on its way, never the truth."""

from __future__ import annotations

from celery import Celery
from kombu.entity import Exchange, Queue

from resources.orchestration import tags

EXECUTE_RUN = "cixml.execute_run"


def make_celery(broker_url: str) -> Celery:
    """Return the application, sender's side and worker's side alike.

    `worker_disable_prefetch`: a message reserved by a worker that dies is lost until the visibility time-out (an hour);
    with it, messages stay in the list until a child is free, and recovery took 31 s instead of minutes.
    Early acknowledgement: liveness is the lease in Postgres, a redelivered message would only be refused.
    """
    app = Celery("cixml", broker=broker_url)
    app.conf.update(
        task_queues=[_queue(tags.INGEST_QUEUE), _queue(tags.BACKFILL_QUEUE)],
        task_default_queue=tags.BACKFILL_QUEUE,
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_max_tasks_per_child=1000,
        worker_proc_alive_timeout=60.0,  # the default 4 s kills new children of a busy machine, again and again
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"queue_order_strategy": "priority"},
    )
    return app


def _queue(name: str) -> Queue:
    """Return a queue with an exchange of its own: on a shared one, Redis delivers a message to every queue bound."""
    return Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]  # kombu has no types

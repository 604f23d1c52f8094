"""Gauges of the product's state: read at a scrape, not counted, and the same from whichever process reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from resources.telemetry import attributes as names

Numbers = Mapping[str, Mapping[str, float]]
"""Metric to the value of its label (empty where it has none) to the number."""
BREAKER_VALUES: Mapping[str, float] = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


@dataclass(frozen=True, slots=True)
class Gauge:
    name: str
    meaning: str
    label: str | None = None


GAUGES: Mapping[str, Gauge] = {
    gauge.name: gauge
    for gauge in (
        Gauge(names.UP, "Whether what is asked for state answers: what does not has no gauges", "part"),
        Gauge(names.STATE_AGE, "How old the state is that is told of a part", "part"),
        Gauge(names.HEARTBEAT_AGE, "Since a process of which one works at a time was seen at work", "part"),
        Gauge(names.BREAKER_STATE, "0 closed, 1 half open, 2 open", "dependency"),
        Gauge(names.QUEUE_DEPTH, "Items waiting, by the stage they wait for", "stage"),
        Gauge(names.QUEUE_OLDEST, "Age of the oldest waiting item", "stage"),
        Gauge(names.JOBS, "Jobs submitted within the last day", "status"),
        Gauge(names.ITEMS_IN_WORK, "Items under a lease"),
        Gauge(names.LARGEST_SHARE, "Share of the items under a lease that one caller has"),
        Gauge(names.CALLERS_WAITING, "Callers with items that wait"),
        Gauge(names.BATCHES, "Batches that are not over", "state"),
        Gauge(names.WORKERS, "Workers seen within 15 seconds", "queue"),
        Gauge(names.WORKER_SLOTS, "Runs that these workers take at once", "queue"),
        Gauge(names.HOSTS_PAUSED, "Sites that asked for a pause, or have one"),
        Gauge(names.DELETIONS_OPEN, "Deletions whose rows are not all gone"),
        Gauge(names.DELETION_OLDEST, "Age of the oldest of these"),
        Gauge(names.POSTGRES_ROWS, "Rows as the statistics tell them", "table"),
        Gauge(names.POSTGRES_DEAD_ROWS, "Dead rows as the statistics tell them", "table"),
        Gauge(names.POSTGRES_CONNECTIONS, "Sessions of clients"),
        Gauge(names.POSTGRES_CONNECTIONS_LIMIT, "max_connections"),
        Gauge(names.POSTGRES_OLDEST_TRANSACTION, "Age of the oldest open transaction"),
        Gauge(names.POSTGRES_DATABASE_SIZE, "Size of a database on disk", "database"),
        Gauge(names.AUDIT_UNWRITTEN, "Since the last audit records were written, while others wait in this process"),
        Gauge(names.REDIS_MEMORY, "Memory that Redis uses"),
        Gauge(names.REDIS_MEMORY_LIMIT, "maxmemory; 0 is no limit"),
        Gauge(names.DAGSTER_RUNS, "Runs that are not over", "status"),
        Gauge(names.DAGSTER_EVENT_ROWS, "Rows of Dagster's event log, as the planner believes"),
    )
}


class StateCollector(Collector):
    """Tells the given numbers; a metric that is not there is absent from the answer."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, values in self._numbers.items():
            gauge = GAUGES[name]
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=[gauge.label] if gauge.label else [])
            for label, number in values.items():
                family.add_metric([label] if gauge.label else [], number)
            yield family

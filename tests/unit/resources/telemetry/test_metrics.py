"""What a metric may be labelled with."""

from __future__ import annotations

from resources.telemetry import attributes, metrics
from resources.telemetry.state_gauges import GAUGES

ALLOWED = {
    "cache",
    "change",
    "code",
    "database",
    "dependency",
    "kind",
    "layer",
    "mode",
    "model",
    "operation",
    "outcome",
    "part",
    "phase",
    "policy",
    "queue",
    "result",
    "route",
    "stage",
    "state",
    "status",
    "table",
}


def test_no_metric_has_a_caller_a_url_or_a_corpus_as_label() -> None:
    counted = [each for each in vars(metrics).values() if hasattr(each, "_labelnames")]
    assert len(counted) > 20
    labels = {label for each in counted for label in each._labelnames}
    labels |= {gauge.label for gauge in GAUGES.values() if gauge.label}
    assert labels <= ALLOWED
    assert not labels & {"caller", "caller_id", "url", "host", "corpus"}


def test_one_small_page_within_the_goal_can_be_read_from_the_buckets() -> None:
    bounds = metrics.submit_to_searchable_seconds._upper_bounds
    assert len([bound for bound in bounds if 0.3 <= bound <= 0.6]) >= 5


def test_every_metric_is_named_by_the_one_list() -> None:
    named = {value for name, value in vars(attributes).items() if isinstance(value, str) and name.isupper()}
    counted = {each._name for each in vars(metrics).values() if hasattr(each, "_labelnames")}
    assert counted | set(GAUGES) <= named

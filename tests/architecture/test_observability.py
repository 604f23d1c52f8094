"""What the profile `observability` is made of agrees with itself, with the product and with the runbook."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from deploy.observability.dashboards import DASHBOARDS, FOLDER, text
from resources.settings import PROJECT_ROOT
from resources.telemetry import metrics
from resources.telemetry.state_gauges import GAUGES
from tests.observing import OBSERVABILITY, panel_queries, rules

METRIC = re.compile(r"\b(?:cixml|openai)_[a-z_]+")
SEVERITIES = {"critical", "warning"}


def read_yaml(path: str) -> Any:
    return yaml.safe_load((OBSERVABILITY / path).read_text(encoding="utf-8"))


def known_metrics() -> set[str]:
    counted = [each for each in vars(metrics).values() if hasattr(each, "_labelnames")]
    names = {f"{each._name}_total" for each in counted if each._type == "counter"}
    names |= {f"{each._name}_bucket" for each in counted if each._type == "histogram"}
    return names | set(GAUGES)


def test_the_committed_dashboards_are_those_of_the_generator() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{each.uid}.json" for each in DASHBOARDS}
    for dashboard in DASHBOARDS:
        assert (FOLDER / f"{dashboard.uid}.json").read_text(encoding="utf-8") == text(dashboard), (
            "run python deploy/observability/dashboards.py"
        )


def test_a_dashboard_is_what_grafana_reads() -> None:
    for path in FOLDER.glob("*.json"):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        assert dashboard["schemaVersion"] >= 39
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            assert panel["title"]
            assert panel["description"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_every_query_names_metrics_that_there_are() -> None:
    queries = [query for _, query in panel_queries()] + [rule.query for rule in rules()]
    assert len(queries) > 60
    asked = {name for query in queries for name in METRIC.findall(query)}
    assert asked <= known_metrics()


def test_every_alert_has_its_part_of_the_runbook() -> None:
    runbook = (PROJECT_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    anchors = {heading.lower() for heading in re.findall(r"^### (\w+)$", runbook, re.MULTILINE)}
    for rule in rules():
        assert rule.annotations["runbook_url"] == f"docs/runbook.md#{rule.name.lower()}"
        assert rule.name.lower() in anchors
        assert rule.labels["severity"] in SEVERITIES
        assert rule.annotations["summary"]


def test_datasources_lead_to_each_other_by_ids_that_there_are() -> None:
    sources = read_yaml("grafana/provisioning/datasources/datasources.yaml")["datasources"]
    ids = {source["uid"] for source in sources}
    assert ids == {"mimir", "tempo", "loki", "pyroscope"}
    assert set(re.findall(r"datasourceUid['\"]?: (\w+)", str(sources).replace("'", ""))) <= ids
    used = {panel["datasource"]["uid"] for each in DASHBOARDS for panel in each.as_json()["panels"]}
    assert used <= ids


def test_what_the_configurations_say_of_each_other_holds() -> None:
    alloy = (OBSERVABILITY / "alloy" / "config.alloy").read_text(encoding="utf-8")
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = compose["services"]
    for name in re.findall(r'discovery\.dns "(\w+)"', alloy):
        assert name in services
    assert "http://mimir:9009/api/v1/push" in alloy
    assert read_yaml("mimir.yaml")["server"]["http_listen_port"] == 9009
    assert read_yaml("loki.yaml")["limits_config"]["allow_structured_metadata"] is True
    assert read_yaml("tempo.yaml")["server"]["http_listen_port"] == 3200
    observing = {name for name, service in services.items() if service.get("profiles") == ["observability"]}
    assert observing == {"alloy", "tempo", "loki", "mimir", "pyroscope", "grafana"}
    for name in observing:
        for mount in services[name]["volumes"]:
            source = str(mount).partition(":")[0]
            assert not source.startswith("./") or (PROJECT_ROOT / source).exists(), mount

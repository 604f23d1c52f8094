"""Dagster's GraphQL, as far as tests ask it."""

from __future__ import annotations

from typing import Any

import httpx

RUNS = """
query($filter: RunsFilter) { runsOrError(filter: $filter, limit: 500) { ... on Runs { results {
  runId status startTime endTime tags { key value } } } } }
"""
UNFINISHED = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"]
PARTITIONS = """
query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } } } } }
"""
LAUNCH_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
LAUNCH_RUN = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }
"""
BACKFILL = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename ... on PartitionBackfill {
  status numPartitions } } }
"""


class DagsterApi:
    """One webserver."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(self._url, json={"query": query, "variables": variables}, timeout=60)
        body: dict[str, Any] = answer.json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def runs(self, *, corpus_prefix: str = "", **only: Any) -> list[dict[str, Any]]:
        """Return runs with their tags as a dict and their partition, the newest first; `only` as in a RunsFilter."""
        found = self.ask(RUNS, filter=only)["runsOrError"]["results"]
        for run in found:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
            run["partition"] = run["tags"].get("dagster/partition", "")
        return [run for run in found if run["partition"].startswith(corpus_prefix)]

    def runs_of_backfill(self, backfill_id: str) -> list[dict[str, Any]]:
        return self.runs(tags=[{"key": "dagster/backfill", "value": backfill_id}])

    def unfinished(self, *, corpus_prefix: str) -> list[dict[str, Any]]:
        """Return runs that have not ended: a run's end is written after the job's."""
        return self.runs(corpus_prefix=corpus_prefix, statuses=UNFINISHED)

    def materialized_partitions(self, *key: str) -> set[str]:
        node = self.ask(PARTITIONS, key={"path": list(key)})["assetNodeOrError"]
        return set(node["assetPartitionStatuses"]["materializedPartitions"])

    def launch_backfill(self, key: list[str], partitions: list[str]) -> str:
        params = {"assetSelection": [{"path": key}], "partitionNames": partitions, "title": "test"}
        answer = self.ask(LAUNCH_BACKFILL, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def materialize(self, partition: str, *keys: list[str], config: dict[str, Any] | None = None) -> str:
        """Start what the UI's Materialize button starts for these assets, and return the run's id."""
        selector = {
            "repositoryLocationName": "cixml",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": key} for key in keys],
        }
        tags = [{"key": "dagster/partition", "value": partition}]
        params = {
            "selector": selector,
            "runConfigData": config or {},
            "executionMetadata": {"tags": tags},
            "mode": "default",
        }
        answer = self.ask(LAUNCH_RUN, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Do what the UI's Terminate does."""
        answer = self.ask(TERMINATE, id=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def status(self, run_id: str) -> str:
        [run] = self.runs(runIds=[run_id])
        return str(run["status"])

    def backfill_status(self, backfill_id: str) -> str:
        return str(self.ask(BACKFILL, id=backfill_id)["partitionBackfillOrError"]["status"])

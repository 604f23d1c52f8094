"""When an index version is tried again that could not be filled."""

from __future__ import annotations

import time
from uuid import UUID

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from resources.orchestration import tags
from resources.postgres.index_builds import DueBuild
from sensors.attempts import OUTAGE_CAP_SECONDS, RETRY_CAP_SECONDS
from sensors.index_versions import next_runs

VERSION = UUID(int=7)
JOB = dg.define_asset_job("reindex", selection="*")


@pytest.mark.parametrize(("is_away", "most"), [(True, OUTAGE_CAP_SECONDS), (False, RETRY_CAP_SECONDS)])
def test_after_a_long_outage_a_fill_does_not_rest_as_after_other_failures(is_away: bool, most: float) -> None:
    due = [DueBuild(index_version_id=VERSION, partition_key="docs-1", model="m", waits_for_server=is_away)]
    with DagsterInstance.ephemeral() as instance:
        for number in range(10):
            of = {tags.INDEX_VERSION: str(VERSION)}
            instance.add_run(
                dg.DagsterRun(job_name="reindex", run_id=f"{number:036d}", status=DagsterRunStatus.FAILURE, tags=of)
            )
        assert not next_runs(instance, due, {"m": JOB}, now=time.time() + most - 5)
        assert next_runs(instance, due, {"m": JOB}, now=time.time() + most + 5)

import logging

import dagster as dg
import pytest
from dagster._core.execution import context_creation_job

from resources.orchestration import run_log


@dg.op
def breaks(context: dg.OpExecutionContext) -> None:
    context.log.info("all is well")
    raise ValueError("a defect")


@dg.job
def broken() -> None:
    breaks()


def test_a_run_says_what_is_wrong_through_the_root_and_nothing_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(context_creation_job, "default_system_loggers", context_creation_job.default_system_loggers)
    run_log.install()
    with caplog.at_level(logging.INFO):
        assert not broken.execute_in_process(raise_on_error=False).success
    said = [record for record in caplog.records if record.name == "cixml.run"]
    assert {record.levelno for record in said} == {logging.ERROR}
    assert any("a defect" in record.getMessage() for record in said)
    assert "all is well" not in caplog.text
    assert capfd.readouterr().err == ""

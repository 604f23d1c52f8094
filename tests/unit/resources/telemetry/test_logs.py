"""Log lines: their form, the trace and the job on each, and no secret in any."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from resources.telemetry.logs import Redactor, configure_logging, current_ids, job_context

log = logging.getLogger("cixml.test")


@pytest.fixture(autouse=True)
def _own_handler() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpx2", "openai", "asyncio")}
    yield
    root.handlers[:] = before
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    line: dict[str, str] = json.loads(capsys.readouterr().err.splitlines()[-1])
    return line


def test_a_line_is_json_with_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True, service="cixml-test")
    with job_context("job-1"):
        log.info("fetched %d pages", 3)
    line = last_line(capsys)
    assert line.keys() == {"time", "level", "service", "logger", "message", "trace_id", "span_id", "job_id"}
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "cixml.test", "fetched 3 pages")
    assert (line["job_id"], line["trace_id"], line["span_id"]) == ("job-1", None, None)
    assert line["service"] == "cixml-test"


def test_a_line_inside_a_span_has_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    with TracerProvider().get_tracer("test").start_as_current_span("work"):
        trace_id, span_id = current_ids()
        log.info("inside")
    line = last_line(capsys)
    assert (line["trace_id"], line["span_id"]) == (trace_id, span_id)
    assert trace_id is not None
    assert span_id is not None
    assert (len(trace_id), len(span_id)) == (32, 16)


async def test_jobs_at_once_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)

    async def work(job: str) -> None:
        with job_context(job):
            await asyncio.sleep(0)
            log.info(job)

    await asyncio.gather(work("a"), work("b"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all(line["message"] == line["job_id"] for line in lines)
    assert len(lines) == 2


def test_a_traceback_is_one_line_without_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True, secrets=["hunter2hunter2"])
    try:
        raise ValueError("the key hunter2hunter2 is wrong")
    except ValueError:
        log.exception("failed with hunter2hunter2")
    out = capsys.readouterr().err
    assert "hunter2" not in out
    assert len(out.splitlines()) == 1
    assert "ValueError" in json.loads(out)["error"]


def test_the_readable_form_has_the_same_parts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=False)
    with job_context("job-1"):
        log.warning("slow")
    assert "WARNING cixml.test: slow job_id=job-1" in capsys.readouterr().err


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    configure_logging("info", json=True)
    log.info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("postgresql://cixml:s3cr3t-pw@127.0.0.1:5432/cixml", "s3cr3t-pw"),
        ("redis://:s3cr3t-pw@127.0.0.1/0", "s3cr3t-pw"),
        ("api_key=abcdef123456 and more", "abcdef123456"),
        ('{"api_key": "abcdef123456"}', "abcdef123456"),
        ("x-api-key: abcdef123456", "abcdef123456"),
        ("password='p4ssw0rd!'", "p4ssw0rd!"),
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text: str, secret: str) -> None:
    redacted = Redactor().redact(text)
    assert secret not in redacted
    assert "[redacted]" in redacted


@pytest.mark.parametrize(
    "text", ["https://www.example.com:8080/a@b", "openai_tokens_used 5", "15 tokens: fine", "the basic idea of it"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor().redact(text) == text


def test_arguments_that_do_not_fit_end_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True, secrets=["hunter2hunter2"])
    (handler,) = [each for each in logging.getLogger().handlers if each.get_name() == "cixml"]
    said = "%d pages of hunter2hunter2"
    handler.handle(log.makeRecord(log.name, logging.INFO, __file__, 1, said, ("two",), None))
    assert last_line(capsys)["message"] == "%d pages of [redacted] (its arguments do not fit)"

"""The API keeps to its own OpenAPI document, whatever is sent: schemathesis against the served app."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import psycopg

from tests.api import OPERATOR, index_document, running_api, served
from tests.contract import operations
from tests.database import Database
from tests.fakes.valkey import running_valkey

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
    "use_after_free",
)
STREAMS = ("job_watch",)
"""Left out: it answers until its job has ended, and here nothing works on jobs. test_job_events.py is for it."""
SEARCHES = ("corpus_search", "corpora_search")
"""Left out of the coverage phase: it goes over all the ways in which filters nest, 16,500 of its 19,000 requests."""
PHASES = (("coverage", 1, STREAMS + SEARCHES), ("examples,fuzzing", 6, STREAMS), ("stateful", 20, STREAMS))
"""With the number of examples for each route, or of walks from route to route (what one made, the next one uses)."""
SECONDS = 240
"""All together take about 25 of one core."""
UNLIMITED = {"requests_per_minute": 0, "bad_keys_per_minute": 0, "queued_pages": 0, "corpora": 0}
"""Its thousands of requests, many without a key, are one caller's from one address."""


async def test_every_answer_is_as_documented(database: Database, tmp_path: Path) -> None:
    url = "https://docs.example.com/start"
    with running_valkey() as valkey:
        settings = database.settings(api={"keys_file": tmp_path / "keys.json"}, limits=UNLIMITED, redis_url=valkey.url)
        async with running_api(settings) as api, served(api) as address:
            # The corpus and the URL of the document's examples.
            made = await api.post("/v1/jobs", {"corpus": "product-docs", "urls": [url]}, key=OPERATOR)
            assert made.status_code == 202
            with psycopg.connect(database.pipeline_url) as rows:
                index_document(rows, corpus="product-docs", owner=OPERATOR, url=url, texts=["one", "two"])
            for phases, examples, left_out in PHASES:
                output, code = await schemathesis(address, phases, examples, left_out, tmp_path)
                assert code == 0, output[-20_000:]
                if "stateful" not in phases:
                    tested = re.search(r"Tested: (\d+)", output)
                    assert tested, output[-5000:]
                    assert int(tested[1]) == len(operations(api.app)) - len(left_out)


async def schemathesis(
    address: str, phases: str, examples: int, left_out: tuple[str, ...], folder: Path
) -> tuple[str, int | None]:
    """Run phases of it, the same way every time; return what it says and its exit code."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{address}/openapi.json",
        f"--header=Authorization: Bearer {OPERATOR}",
        f"--checks={','.join(CHECKS)}",
        *(f"--exclude-operation-id={name}" for name in left_out),
        f"--phases={phases}",
        f"--max-examples={examples}",
        "--generation-deterministic",
        "--continue-on-failure",
        "--no-color",
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout=SECONDS)
    except TimeoutError:
        process.kill()
        raise
    return output.decode(errors="replace"), process.returncode

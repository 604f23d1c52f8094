"""The product under measurement: one embedded stack in a folder of its own, and the ways to watch a job on it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.errors import BenchmarkError
from benchmarks.rows import Rows
from benchmarks.servers import Server, Site
from benchmarks.system import Json, Outcome, wait_until
from cixml import keys
from cixml.client import Client
from cixml.embedded.environment import read_env_file
from cixml.embedded.stack import start_stack, stop_stack
from cixml.embedded.state import Home, load_kept
from cixml.embedded.status import read_status
from resources.settings import Settings

MODELS_FILE = Path(__file__).parent / "models.toml"
MODEL = "mock-1024"
ANOTHER_MODEL = "mock-another"
# Anything a developer may have exported that would change what is measured.
_FOREIGN = ("DATABASE_URL", "REDIS_URL", "EMBEDDING_API_BASE_URL", "EMBEDDING_API_KEY", "EMBEDDING_MODEL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A running stack."""

    home: Home
    client: Client
    rows: Rows
    started_seconds: float
    name: str = "product"

    def supervisor_pid(self) -> int:
        pid = read_status(self.home).supervisor_pid
        if pid is None:
            raise BenchmarkError("the supervisor died")
        return pid

    def groups(self) -> dict[str, int]:
        """Return the pid of each supervised process; its descendants belong to it."""
        return {process.name: process.pid for process in read_status(self.home).processes if process.pid}

    def restarts(self) -> dict[str, int]:
        return {process.name: process.restarts for process in read_status(self.home).processes if process.restarts}

    def run_job(self, corpus: str, urls: Sequence[str], *, poll_seconds: float, timeout_seconds: float) -> Outcome:
        """Submit, wait until the job's last commit shows, then ask for the job as its caller would.

        The wait looks at one row of Postgres (0.1 ms each time), because asking the API as often would slow the stack.
        """
        begun = time.perf_counter()
        job_id = self.submit(corpus, urls)
        posted = time.perf_counter()
        wait_until(
            lambda: not self.rows.open_jobs([job_id]),
            f"the job {job_id} did not end",
            poll_seconds=poll_seconds,
            timeout_seconds=timeout_seconds,
        )
        seen = time.perf_counter()
        job = self.client.jobs.get(job_id)
        answered = time.perf_counter()
        return Outcome(
            submission=job_id,
            status=job.status,
            failed=self.failures([job_id]),
            posted_seconds=posted - begun,
            searchable_seconds=seen - begun,
            answered_seconds=answered - begun,
            job=job.model_dump(mode="json"),
        )

    def submit(self, corpus: str, urls: Sequence[str]) -> str:
        return self.client.jobs.submit(corpus, urls).id

    def open_submissions(self, submissions: Sequence[str]) -> int:
        return self.rows.open_jobs(submissions)

    def failures(self, submissions: Sequence[str]) -> dict[str, int]:
        return self.rows.failures(submissions)

    def search(self, corpus: str, query: str, *, top_k: int, mode: str = "dense") -> int:
        return len(self.client.search(corpus, query, top_k=top_k, mode=mode).results)

    def settle(self, outcome: Outcome, *, timeout_seconds: float) -> str:
        wait_until(
            lambda: not self.rows.index(outcome.submission)["is_changing"],
            "the index of the bulk corpus was not built",
            poll_seconds=0.2,
            timeout_seconds=timeout_seconds,
        )
        return str(self.rows.index(outcome.submission)["kind"])

    def job_facts(self, outcome: Outcome) -> Json:
        usage = outcome.job["usage"]
        return {
            "chunks": usage["chunks"],
            "embedding_tokens": usage["embedding_tokens"],
            "cached_tokens": usage["cached_tokens"],
            "items": {state: number for state, number in outcome.job["items"].items() if number},
            "runs": self.rows.batches(outcome.submission),
        }

    def another_caller(self, name: str) -> Client:
        """Return a client with a key of its own. The caller closes it."""
        path, pepper = keys.key_store(self.home, Settings.load())
        url = read_status(self.home).api_url
        assert url
        return Client(url, keys.create_key(path, pepper, name=name))


def prepare(site: Site, gpu: Server, *, host_concurrency: int | None) -> Home:
    """Make a temporary state folder and set the environment that everything started from here inherits."""
    root = Path(tempfile.mkdtemp(prefix="cixml-benchmark-"))
    _set_environment(root, site, gpu, host_concurrency)
    return Home(root)


@contextmanager
def running(home: Home, *, keep: bool) -> Iterator[Product]:
    """Start the stack; stop it and remove its folder at the end unless `keep`."""
    is_kept = False
    try:
        begun = time.perf_counter()
        start_stack(home)
        values = read_env_file(home)
        url = read_status(home).api_url
        assert url
        with (
            Client(url, keys.local_key(home, Settings.load())) as client,
            psycopg.connect(values["DATABASE_URL"], autocommit=True) as product,
            psycopg.connect(_plain(values["CIXML_DAGSTER__DATABASE_URL"]), autocommit=True) as dagster,
        ):
            yield Product(
                home=home, client=client, rows=Rows(product, dagster), started_seconds=time.perf_counter() - begun
            )
        is_kept = keep
    except Exception:  # not Ctrl-C: then nothing has failed
        keep_logs(home)
        raise
    finally:
        if not is_kept:
            stop_stack(home)
            remove_home(home)


def _set_environment(root: Path, site: Site, gpu: Server, host_concurrency: int | None) -> None:
    for name in [name for name in os.environ if name in _FOREIGN or name.startswith("CIXML_")]:
        del os.environ[name]
    os.environ |= {
        "CIXML_HOME": str(root),
        "CIXML_LIMITS__REQUESTS_PER_MINUTE": "0",  # the load is the point
        "CIXML_LIMITS__QUEUED_PAGES": "0",
        "CIXML_EMBEDDING__MODELS_FILE": str(MODELS_FILE),
        "CIXML_FETCH__ALLOW_NETWORKS": json.dumps([f"{address}/32:{site.port}" for address in site.addresses]),
        "EMBEDDING_API_BASE_URL": f"{gpu.url}/v1",
        "EMBEDDING_MODEL": MODEL,
    }
    if host_concurrency is not None:
        os.environ["CIXML_FETCH__HOST_CONCURRENCY"] = str(host_concurrency)


def remove_home(home: Home) -> None:
    """Remove the state folder and its folder of sockets, which lies outside."""
    if home.state_file.exists() and (sockets := load_kept(home).sockets):
        shutil.rmtree(sockets, ignore_errors=True)
    shutil.rmtree(home.root, ignore_errors=True)


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)


def keep_logs(home: Home) -> None:
    """Copy the logs to a folder that stays, and name it."""
    if home.logs.exists():
        folder = tempfile.mkdtemp(prefix="cixml-benchmark-logs-")
        shutil.copytree(home.logs, folder, dirs_exist_ok=True)
        print(f"the stack's logs are kept in {folder}", file=sys.stderr)

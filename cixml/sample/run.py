"""Index the sample on the running stack: one job with progress, one search with its hits."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console

from cixml.client import Client
from cixml.embedded.environment import read_env_file
from cixml.embedded.errors import StackError
from cixml.embedded.state import Home
from cixml.following import follow, print_job
from cixml.hits import print_hits
from cixml.sample.server import CORPUS, sample_urls

NETWORKS = "CIXML_FETCH__ALLOW_NETWORKS"
QUESTION = "Why does my query not use the index?"


def allow_sample(given: Mapping[str, str], port: int) -> dict[str, str]:
    """Return the user's networks and the sample's one address and port. Raises StackError on a list that is none."""
    try:
        networks = json.loads(given.get(NETWORKS) or "[]")
    except ValueError as error:
        raise StackError(f'{NETWORKS} is no JSON list: write ["127.0.0.1/32:8099"]') from error
    return {NETWORKS: json.dumps([*networks, _network(port)])}


def check_allowed(home: Home, port: int) -> None:
    """Raise StackError when the stack was started without the sample: its processes would refuse the address."""
    if _network(port) not in read_env_file(home).get(NETWORKS, ""):
        raise StackError("the stack runs without the sample: 'cixml down', then 'cixml up --sample'")


def _network(port: int) -> str:
    return f"127.0.0.1/32:{port}"


def index_sample(client: Client, port: int, console: Console) -> bool:
    """Submit the sample's pages, wait, search. Returns False when the job failed."""
    urls = sample_urls(port)
    console.print(f"indexing {len(urls)} pages of the PostgreSQL documentation as corpus {CORPUS}")
    job = follow(client, client.jobs.submit(CORPUS, urls).id, console)
    print_job(console, client, job)
    if not job.is_good:
        return False
    console.print(f"\nsearch: {QUESTION}")
    print_hits(console, client.search(CORPUS, QUESTION, top_k=3))
    return True

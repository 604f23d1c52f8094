"""What the children of the stack get to know: addresses, passwords and folders, from the kept state and the user's own.

A variable that the user set wins. Where the user names a server (DATABASE_URL, REDIS_URL, EMBEDDING_API_BASE_URL),
that one is used and no local one starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from dotenv import dotenv_values

from cixml.embedded.files import write_atomically
from cixml.embedded.state import Home, Kept

# Marks the processes that a supervisor of ours started, so that a sweep never meets somebody's shell.
MARK = "CIXML_SUPERVISED"
OWNER_ONLY = ("DATABASE_URL",)
_REMOTE = {"postgres": "DATABASE_URL", "redis": "REDIS_URL", "embedding": "EMBEDDING_API_BASE_URL"}
_FROM_USER = ("EMBEDDING_API_KEY", "EMBEDDING_MODEL")


def user_environment() -> Mapping[str, str]:
    """Return the environment of this command: what the user set."""
    return os.environ


def remote_servers(user: Mapping[str, str] | None = None) -> frozenset[str]:
    """Name the processes that do not start here because the user named a server."""
    given = os.environ if user is None else user
    return frozenset(name for name, variable in _REMOTE.items() if given.get(variable))


def build_environment(home: Home, kept: Kept, user: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the stack's processes need to know, by the names of `resources.settings`."""
    given = os.environ if user is None else user
    made = {
        "CIXML_HOME": str(home.root),
        "DAGSTER_HOME": str(home.dagster),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(home.metrics),
        "CIXML_TELEMETRY__TRACES": "files",
        "CIXML_TELEMETRY__LOGS": "terminal",
        "CIXML_TELEMETRY__ENVIRONMENT": "embedded",
        "CIXML_API__PORT": str(kept.ports["api"]),
        "CIXML_API__METRICS_PORT": str(kept.ports["metrics"]),
        "CIXML_API__KEYS_FILE": str(home.keys_file),
        "CIXML_API__KEY_PEPPER": kept.key_pepper,
        "CIXML_DAGSTER__WEBSERVER_PORT": str(kept.ports["webserver"]),
        "CIXML_DAGSTER__CODE_SERVER_HOST": "127.0.0.1",
        "CIXML_DAGSTER__CODE_SERVER_PORT": str(kept.ports["code_server"]),
        "CIXML_EXTRACTOR__SOCKET": str((kept.sockets or home.run) / "extractor.sock"),
        "REDIS_URL": f"redis://:{kept.redis_password}@127.0.0.1:{kept.ports['redis']}/0",
        **_database_urls(kept, given),
        **_embedding(kept, given),
    }
    folders = {"CIXML_HOME", "DAGSTER_HOME", "PROMETHEUS_MULTIPROC_DIR", "DAGSTER_DISABLE_TELEMETRY"}
    chosen = {name: given[name] for name in [*made, *_FROM_USER] if given.get(name) and name not in folders}
    return made | chosen


def _database_urls(kept: Kept, given: Mapping[str, str]) -> dict[str, str]:
    """Derive the three logins' URLs from the owner's, wherever that server is."""
    local = f"postgresql://cixml_owner:{kept.owner_password}@127.0.0.1:{kept.ports['postgres']}/cixml"
    owner = given.get("DATABASE_URL") or local
    dagster = login_url(owner, "cixml_dagster_login", kept.dagster_password, database="cixml_dagster")
    joined = "&" if urlsplit(dagster).query else "?"
    return {
        "DATABASE_URL": owner,
        "CIXML_API__DATABASE_URL": login_url(owner, "cixml_api_login", kept.api_password),
        "CIXML_PIPELINE__DATABASE_URL": login_url(owner, "cixml_pipeline_login", kept.pipeline_password),
        # The driver is named because SQLAlchemy 2.1 takes psycopg 3 for a bare URL, which Dagster's storage can't use.
        "CIXML_DAGSTER__DATABASE_URL": dagster.replace("postgresql://", "postgresql+psycopg2://", 1)
        + f"{joined}options=-csynchronous_commit%3Doff",
    }


def _embedding(kept: Kept, given: Mapping[str, str]) -> dict[str, str]:
    """Address the local model server, unless the user named one: its key is the user's too."""
    if given.get("EMBEDDING_API_BASE_URL"):
        return {"EMBEDDING_API_BASE_URL": given["EMBEDDING_API_BASE_URL"]}
    return {
        "EMBEDDING_API_BASE_URL": f"http://127.0.0.1:{kept.ports['embedding']}/v1",
        "EMBEDDING_API_KEY": kept.embedding_key,
        "EMBEDDING_MODEL": "all-MiniLM-L6-v2",
        # Two cores embed about 2,500 tokens a second: requests for a GPU would time out in its queue.
        "CIXML_EMBEDDING__BATCH_TOKENS": "4096",
    }


def login_url(owner: str, login: str, password: str, *, database: str | None = None) -> str:
    """Return the owner's URL with another login, and another database if given."""
    parts = urlsplit(owner)
    address = parts.netloc.rpartition("@")[2]
    scheme = "postgresql" if parts.scheme == "postgres" else parts.scheme
    path = f"/{database}" if database else parts.path
    return urlunsplit((scheme, f"{quote(login)}:{quote(password, safe='')}@{address}", path, parts.query, ""))


def child_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the supervised processes: the owner's URL stays with `migrate`."""
    inherited = {name: value for name, value in os.environ.items() if name not in OWNER_ONLY}
    return inherited | {name: value for name, value in values.items() if name not in OWNER_ONLY} | {MARK: "1"}


def write_env_file(home: Home, values: Mapping[str, str]) -> None:
    """Store what the stack uses, for the other commands and for `resources.settings`."""
    lines = [f"{name}='{_escaped(value)}'" for name, value in sorted(values.items()) if name != "CIXML_HOME"]
    head = "# Written by 'cixml up' at each start; holds passwords. Set variables in the environment instead."
    write_atomically(home.env_file, "\n".join([head, *lines]) + "\n")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def read_env_file(home: Home) -> dict[str, str]:
    """Return what the running (or last) stack uses; empty for a folder that never ran."""
    pairs = dotenv_values(home.env_file, interpolate=False) if home.env_file.exists() else {}
    return {name: value for name, value in pairs.items() if value is not None}

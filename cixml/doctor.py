"""Looks at an installation part by part and says what to mend. Changes nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from psycopg import errors as postgres_errors
from pydantic import BaseModel
from redis.exceptions import RedisError

from cixml.client import ApiError, ApiUnavailableError, Client
from cixml.embedded.environment import read_env_file
from cixml.embedded.readiness import takes_unix_connections
from cixml.embedded.state import Home
from cixml.embedded.status import StackState, StackStatus, read_status
from resources.cache.redis import assert_noeviction, make_sync_client
from resources.embedding.registry import Model, Registry, load_registry
from resources.embedding.servers import base_url_of, build_client
from resources.errors import CixmlError, ConfigurationError, DatabaseUnavailableError
from resources.postgres import installation
from resources.postgres.database import Database
from resources.postgres.health import QueueNumbers
from resources.settings import Settings

POSTGRES_FROM = 16
PGVECTOR_FROM = (0, 8)
FREE_BYTES_FROM = 2 * 2**30
WAIT_SECONDS_TO = 300.0
HEARTBEAT_SECONDS_TO = 120.0
"""Dagster's daemons beat every 30 s; it calls them dead after five minutes."""
DAEMONS = ("SENSOR", "QUEUED_RUN_COORDINATOR", "BACKFILL")
CONNECTIONS_TO = 0.9
_NO_SETTINGS = frozenset({"CIXML_URL", "CIXML_API_KEY", "CIXML_SINCE"})


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found of one part. `remedy`: what to do about it, null where nothing is to be done."""

    name: str
    verdict: Verdict
    found: str
    remedy: str | None = None


def examine(home: Home, settings: Settings, *, api_url: str, environment: Mapping[str, str]) -> Iterator[Check]:
    """Yield what is found of each part, in the order in which they need one another."""
    yield from _names(environment)
    yield _disk(home)
    registry, models = _models(settings)
    yield models
    if read_env_file(home):
        status = read_status(home)
        yield _stack(home, status)
        if status.state is StackState.STOPPED:
            return
    yield from _postgres(settings)
    yield _redis(settings)
    for model in registry.enabled if registry else ():
        yield _embedding(settings, model)
    yield _extractor(settings)
    yield from _dagster(settings)
    yield _api(api_url)


def _ok(name: str, found: str) -> Check:
    return Check(name=name, verdict=Verdict.OK, found=found)


def _warning(name: str, found: str, remedy: str) -> Check:
    return Check(name=name, verdict=Verdict.WARNING, found=found, remedy=remedy)


def _failed(name: str, found: str, remedy: str) -> Check:
    return Check(name=name, verdict=Verdict.FAILED, found=found, remedy=remedy)


def setting_names(model: type[BaseModel] = Settings, prefix: str = "CIXML_") -> frozenset[str]:
    """Return the environment names of all settings that begin with CIXML_."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= setting_names(field.annotation, f"{prefix}{name.upper()}__")
        else:
            found.add(f"{prefix}{name.upper()}")
    return frozenset(found)


def _names(environment: Mapping[str, str]) -> Iterator[Check]:
    known = setting_names() | _NO_SETTINGS
    unknown = sorted(name for name in environment if name.startswith("CIXML_") and name not in known)
    if unknown:
        remedy = "unset it, or mend its name: docs/configuration.md lists them all"
        yield _warning("settings", f"nobody reads {', '.join(unknown)}", remedy)
    else:
        yield _ok("settings", "every name is known")


def _disk(home: Home) -> Check:
    folder = next(each for each in (home.root, *home.root.resolve().parents) if each.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < FREE_BYTES_FROM:
        return _warning("disk", found, "make room: Postgres refuses submissions when none is left")
    return _ok("disk", found)


def _models(settings: Settings) -> tuple[Registry | None, Check]:
    path = settings.embedding.models_file
    try:
        registry = load_registry(path)
        serving = registry.serving(settings.embedding_model)
    except ConfigurationError as error:
        return None, _failed("models", str(error), f"mend {path.name} or EMBEDDING_MODEL")
    enabled = ", ".join(model.id for model in registry.enabled)
    return registry, _ok("models", f"{enabled}; new corpora are served by {serving.id}")


def _stack(home: Home, status: StackStatus) -> Check:
    if status.state is StackState.STOPPED:
        return _failed("stack", "it is stopped", "start it with 'cixml up'")
    down = [process.name for process in status.processes if not process.pid]
    restarts = [f"{process.name} {process.restarts} times" for process in status.processes if process.restarts]
    logs = f"read its log in {home.root / 'logs'}"
    if status.state is not StackState.RUNNING:
        return _failed("stack", f"it is {status.state}; not up: {', '.join(down) or 'unknown'}", logs)
    if restarts:
        return _warning("stack", f"started again: {', '.join(restarts)}", logs)
    return _ok("stack", f"{len(status.processes)} processes run")


def _postgres(settings: Settings) -> Iterator[Check]:
    logins = {
        "CIXML_PIPELINE__DATABASE_URL": settings.pipeline.database_url,
        "CIXML_API__DATABASE_URL": settings.api.database_url,
    }
    for name, secret in logins.items():
        part = f"postgres ({'api' if 'API' in name else 'pipeline'})"
        if secret is None:
            yield _failed(part, f"{name} is not set", f"set {name}")
            continue
        database = Database(secret.get_secret_value(), has_vectors=False)
        try:
            with database.transaction() as connection:
                missing = installation.missing_migrations(connection)
                server = installation.look(connection)
                numbers = None if missing else installation.queue(connection)
        except (DatabaseUnavailableError, postgres_errors.InsufficientPrivilege) as error:
            yield _failed(part, str(error), f"start Postgres, or mend {name}")
            continue
        finally:
            database.close()
        yield _server(part, server, missing, is_held=name == "CIXML_API__DATABASE_URL")
        if numbers is not None and name == "CIXML_PIPELINE__DATABASE_URL":
            yield _lifeline(server)
            yield from _queue(numbers)


def _server(part: str, server: installation.Installation, missing: list[str], *, is_held: bool) -> Check:
    pgvector = tuple(int(number) for number in (server.pgvector_version or "0").split(".")[:2])
    found = f"Postgres {server.server_version}, pgvector {server.pgvector_version or 'missing'}, " + (
        f"{server.connections} of {server.max_connections} connections"
    )
    if server.server_version < POSTGRES_FROM or pgvector < PGVECTOR_FROM:
        needed = f"Postgres {POSTGRES_FROM} and pgvector {'.'.join(map(str, PGVECTOR_FROM))} or later are needed"
        return _failed(part, found, needed)
    if missing:
        return _failed(part, f"{len(missing)} migrations are not applied, from {missing[0]}", "run 'cixml migrate'")
    if is_held and server.sees_everything:
        remedy = "let CIXML_API__DATABASE_URL name the login that 'cixml migrate' makes"
        return _failed(part, "its login passes by row-level security", remedy)
    if server.connections > CONNECTIONS_TO * server.max_connections:
        return _warning(part, found, "raise max_connections, or lower CIXML_API__POOL_SIZE")
    return _ok(part, found)


def _lifeline(server: installation.Installation) -> Check:
    if not server.has_lifeline:
        return _failed("lifeline", "nobody takes lost work back", "start a lifeline process")
    return _ok("lifeline", "it looks every two seconds")


def _queue(numbers: QueueNumbers) -> Iterator[Check]:
    found = f"{numbers.ready} items ready, {numbers.waiting} waiting, {numbers.leased} under work"
    if numbers.live_slots == 0:
        yield _failed("workers", "no worker takes runs", "start a worker")
    else:
        yield _ok("workers", f"{numbers.live_slots} runs at once")
    if numbers.ready and numbers.oldest_seconds > WAIT_SECONDS_TO:
        waits = f"{found}; the oldest for {numbers.oldest_seconds / 60:.0f} minutes"
        yield _warning("queue", waits, "look at /healthz and the runs in Dagster; add workers where it only grows")
    else:
        yield _ok("queue", found)


def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        return _failed("redis", "REDIS_URL is not set", "set REDIS_URL")
    with make_sync_client(settings.redis_url.get_secret_value()) as client:
        try:
            assert_noeviction(client)
            info = client.info()
        except (CixmlError, RedisError, OSError) as error:
            return _failed("redis", str(error), "start Redis, mend REDIS_URL, or its configuration")
    return _ok("redis", f"version {info['redis_version']}, {info['used_memory_human']} in use, noeviction")


def _embedding(settings: Settings, model: Model) -> Check:
    name = f"embedding ({model.id})"
    try:
        base_url = base_url_of(settings, model)
        seconds = asyncio.run(_embed_once(settings, model))
    except CixmlError as error:
        remedy = f"start the embedding server, mend its address and key, or run 'cixml models disable {model.id}'"
        return _failed(name, str(error), remedy)
    return _ok(name, f"{model.dimension} dimensions in {seconds * 1000:.0f} ms from {base_url}")


async def _embed_once(settings: Settings, model: Model) -> float:
    client, _ = build_client(settings, model, None)
    try:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await client.embed(["Is anybody there?"], operation="read")
        return loop.time() - before
    finally:
        await client.aclose()


def _extractor(settings: Settings) -> Check:
    path = settings.extractor_socket
    if not path.exists():
        return _warning("extractor", f"none on this machine ({path})", "each machine with a worker needs one")
    if not takes_unix_connections(path):
        return _failed("extractor", f"nobody listens at {path}", "start it: python -m cixml_assets.extractor")
    return _ok("extractor", f"it listens at {path}")


def _dagster(settings: Settings) -> Iterator[Check]:
    if settings.dagster.database_url is None:
        yield _failed("dagster", "CIXML_DAGSTER__DATABASE_URL is not set", "set CIXML_DAGSTER__DATABASE_URL")
        return
    database = Database(settings.dagster_libpq_url(), has_vectors=False)
    try:
        with database.transaction() as connection:
            beats = installation.daemon_heartbeats(connection)
    except DatabaseUnavailableError as error:
        yield _failed("dagster", str(error), "start Postgres, or mend CIXML_DAGSTER__DATABASE_URL")
        return
    finally:
        database.close()
    late = [name.lower() for name in DAEMONS if beats.get(name, HEARTBEAT_SECONDS_TO + 1) > HEARTBEAT_SECONDS_TO]
    if late:
        yield _failed("dagster", f"no heartbeat of late: {', '.join(late)}", "start the Dagster daemon; read its log")
    else:
        oldest = max(beats[name] for name in DAEMONS)
        yield _ok("dagster", f"the daemon beat {oldest:.0f} s ago")


def _api(url: str) -> Check:
    try:
        with Client(url, "none", retry_seconds=0.0) as client:
            health = client.health()
    except (ApiError, ApiUnavailableError) as error:
        return _failed("api", f"{url}: {error}", "start the API, or set CIXML_URL")
    if health.status != "ok":
        return _warning("api", f"{url} is {health.status}: {'; '.join(health.warnings)}", "mend what it names")
    return _ok("api", f"{url} is ok")

"""Brings a backup back: into an empty installation, or in place of one. Nothing else may work on it meanwhile.

What was under work at the moment of the backup has leases that have long ended: lifeline takes it up when it starts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from psycopg import Connection
from psycopg.rows import TupleRow

from cixml import keys
from cixml.backup import tools
from cixml.backup.manifest import KEYS, MODELS, SECRETS, BackupError, Manifest, Secrets, mark_of, read_manifest
from cixml.backup.server import running_postgres
from cixml.backup.tools import Say
from cixml.embedded import supervisor
from cixml.embedded.environment import remote_servers, user_environment
from cixml.embedded.files import write_atomically
from cixml.embedded.migration import run_migrations
from cixml.embedded.state import Home, load_kept, save_kept
from resources.postgres import backups
from resources.postgres.migrate import checksums, prepare_server
from resources.settings import Settings

PEPPER = "CIXML_API__KEY_PEPPER"


def restore_backup(home: Home, folder: Path, *, overwrite: bool, jobs: int, say: Say) -> list[str]:
    """Restore, and bring to this version's schema; return what is left to do by hand. Raises BackupError."""
    manifest = read_manifest(folder)
    _check_version(manifest)
    made = _read_secrets(folder)
    _check_pepper(manifest, made)
    if supervisor.living_supervisor(home):
        raise BackupError("the stack runs: stop it with 'cixml down'")
    home.make_folders()
    with running_postgres(home, say):
        settings = Settings.load()
        owner_url = settings.require(settings.database_url, "DATABASE_URL")
        with backups.connected(owner_url) as connection:
            _check_target(connection, home, settings, manifest, overwrite=overwrite)
            say("the removal of what was there")
            dagster_database = _database_of(settings.dagster_libpq_url())
            backups.clear(connection, dagster_database=dagster_database)
            prepare_server(connection, settings)
            try:
                _bring_back(settings, folder, manifest, jobs=jobs, say=say)
            except BaseException:
                backups.clear(connection, dagster_database=dagster_database)  # half of it would look like all of it
                raise
        say("migrate")
        run_migrations(home)
    _put_files(home, settings, folder, made)
    return _left_to_do(settings, folder)


def _check_version(manifest: Manifest) -> None:
    here = checksums()
    unknown = [each.name for each in manifest.migrations if here.get(each.name) != each.checksum]
    if unknown:
        raise BackupError(
            f"the backup is of a schema that this version does not know ({', '.join(unknown[:3])}): "
            "restore it with the version that made it, or a newer one"
        )


def _read_secrets(folder: Path) -> Secrets | None:
    path = folder / SECRETS
    return Secrets.model_validate_json(path.read_bytes()) if path.exists() else None


def _check_pepper(manifest: Manifest, made: Secrets | None) -> None:
    """Without its pepper every key would be another caller's, and no corpus anybody's."""
    if manifest.pepper_mark is None:
        return
    given = user_environment().get(PEPPER)
    if given is None and made is None:
        raise BackupError(f"set {PEPPER} to the pepper of the installation that was backed up: it is not in the backup")
    if given is not None and mark_of(given) != manifest.pepper_mark:
        raise BackupError(f"{PEPPER} is not the pepper of the installation that was backed up: no key would be known")


def _check_target(
    connection: Connection[TupleRow], home: Home, settings: Settings, manifest: Manifest, *, overwrite: bool
) -> None:
    server = backups.look(connection)
    if server.owner != manifest.owner:
        raise BackupError(f"DATABASE_URL logs in as {server.owner}: the backup's owner is {manifest.owner}")
    if server.server_version // 10_000 < manifest.server_version // 10_000:
        raise BackupError(
            f"Postgres {server.server_version // 10_000} is older than that of the backup, "
            f"{manifest.server_version // 10_000}"
        )
    databases = [
        _database_of(url) for url in (settings.require(settings.database_url, ""), settings.dagster_libpq_url())
    ]
    if connected := backups.others(connection, databases):
        raise BackupError(f"stop everything but Postgres: {', '.join(connected)} is connected")
    keys_file = settings.api.keys_file or home.keys_file
    if not overwrite and not (backups.is_empty(connection) and not keys.read_keys(keys_file)):
        raise BackupError("there are callers or keys here: give --overwrite to lose them, or restore elsewhere")


def _bring_back(settings: Settings, folder: Path, manifest: Manifest, *, jobs: int, say: Say) -> None:
    owner_url, dagster_url = settings.require(settings.database_url, "DATABASE_URL"), settings.dagster_libpq_url()
    tools.restore(owner_url, folder / "cixml", jobs=jobs, say=say)
    tools.restore(dagster_url, folder / "dagster", jobs=jobs, say=say)
    say("the count of rows")
    with backups.connected(owner_url) as rows, backups.connected(dagster_url) as dagster:
        wrong = backups.differences(manifest.rows, backups.count_rows(rows, backups.SCHEMA))
        wrong += backups.differences(manifest.dagster_rows, backups.count_rows(dagster, backups.DAGSTER_SCHEMA))
        if wrong:
            raise BackupError(f"not everything came back: {'; '.join(wrong[:5])}")
        backups.record_migrations(rows, manifest.migrations)
        backups.analyse(rows)
        backups.analyse(dagster)


def _put_files(home: Home, settings: Settings, folder: Path, made: Secrets | None) -> None:
    """Put back the keys and what the state folder had made for itself. Its own Redis begins empty."""
    if (folder / KEYS).exists():
        write_atomically(settings.api.keys_file or home.keys_file, (folder / KEYS).read_text(encoding="utf-8"))
    if made is not None and PEPPER not in user_environment():
        save_kept(home, load_kept(home).model_copy(update={"key_pepper": made.key_pepper}))
        if made.local_key is not None:
            write_atomically(home.local_key_file, made.local_key + "\n")
    if "redis" not in remote_servers():
        shutil.rmtree(home.valkey)
        home.make_folders()


def _left_to_do(settings: Settings, folder: Path) -> list[str]:
    left = []
    here = settings.embedding.models_file
    if (folder / MODELS / here.name).read_bytes() != here.read_bytes():
        left.append(f"{here} is not the backup's: compare it with {folder / MODELS}")
    if "redis" in remote_servers():
        left.append("empty Redis (FLUSHDB): it may know runs that are no more")
    return left


def _database_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")

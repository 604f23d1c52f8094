"""Makes the database roles: two groups that the policies name, and the logins of the URLs as their members."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from psycopg import Connection, sql

from resources.errors import ConfigurationError

API_GROUP = "cixml_api"
PIPELINE_GROUP = "cixml_pipeline"
_PLANNER: Mapping[str, Mapping[str, str]] = {
    # A generic plan turns a 0.4 ms search into 100 ms at its sixth run on a connection.
    API_GROUP: {"plan_cache_mode": "force_custom_plan", "jit": "off"},
    # Custom plans would plan each foreign key check anew: bulk inserts took twice the time.
    PIPELINE_GROUP: {"plan_cache_mode": "auto", "jit": "off"},
}


def ensure_groups(connection: Connection[tuple[object, ...]]) -> None:
    """Create the group roles where they are missing. Idempotent; needs CREATEROLE."""
    for group in (API_GROUP, PIPELINE_GROUP):
        if not _role_exists(connection, group):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(group)))


def ensure_login(connection: Connection[tuple[object, ...]], url: str, *, group: str) -> None:
    """Create or update the login that `url` names (user and password), as a plain member of `group`."""
    parts = urlsplit(url)
    if not parts.username or parts.password is None:
        raise ConfigurationError(f"the database URL of the {group} login needs a user and a password")
    user, password = unquote(parts.username), unquote(parts.password)
    _ensure_role(connection, user, password)
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(user)))
    _set_planner(connection, user, _PLANNER[group])


def ensure_database(connection: Connection[tuple[object, ...]], url: str) -> None:
    """Create the database of `url` and its login, as the owner of it, where they are missing. Needs CREATEDB."""
    parts = urlsplit(url)
    if not parts.username or parts.password is None:
        raise ConfigurationError("CIXML_DAGSTER__DATABASE_URL needs a user and a password")
    user, database = unquote(parts.username), parts.path.lstrip("/")
    _ensure_role(connection, user, unquote(parts.password))
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        return
    names = {"user": sql.Identifier(user), "database": sql.Identifier(database)}
    connection.execute(sql.SQL("GRANT {user} TO CURRENT_USER").format(**names))
    connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {user}").format(**names))
    connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC").format(**names))


def _ensure_role(connection: Connection[tuple[object, ...]], user: str, password: str) -> None:
    # A new role is no superuser and creates nothing; only a superuser may say so again in an ALTER.
    verb = sql.SQL("ALTER" if _role_exists(connection, user) else "CREATE")
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(user), sql.Literal(password))
    )


def _set_planner(connection: Connection[tuple[object, ...]], user: str, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(sql.Identifier(user), sql.Identifier(name), sql.Literal(value))
        )


def _role_exists(connection: Connection[tuple[object, ...]], role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None

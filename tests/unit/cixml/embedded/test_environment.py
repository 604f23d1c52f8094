"""Addresses and passwords of the children, from the kept state and what the user set."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from cixml.embedded.environment import (
    MARK,
    build_environment,
    child_environment,
    login_url,
    read_env_file,
    remote_servers,
    write_env_file,
)
from cixml.embedded.state import PORT_NAMES, Home, Kept
from cixml.sample.run import NETWORKS, allow_sample
from resources.settings import Settings

PORTS = {name: 20_000 + number for number, name in enumerate(PORT_NAMES)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "state")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(ports=PORTS, sockets=tmp_path)


def test_each_login_has_its_own_url_on_the_one_server(home: Home, kept: Kept) -> None:
    values = build_environment(home, kept, {})
    names = ("DATABASE_URL", "CIXML_API__DATABASE_URL", "CIXML_PIPELINE__DATABASE_URL", "CIXML_DAGSTER__DATABASE_URL")
    urls = [urlsplit(values[name]) for name in names]
    assert {url.port for url in urls} == {PORTS["postgres"]}
    assert [url.username for url in urls] == [
        *("cixml_owner", "cixml_api_login", "cixml_pipeline_login", "cixml_dagster_login"),
    ]
    assert len({url.password for url in urls}) == 4


def test_the_dagster_url_names_its_driver_and_database(home: Home, kept: Kept) -> None:
    url = build_environment(home, kept, {})["CIXML_DAGSTER__DATABASE_URL"]
    assert url.startswith("postgresql+psycopg2://")
    assert url.endswith("/cixml_dagster?options=-csynchronous_commit%3Doff")


def test_a_server_of_the_user_is_used_and_not_started(home: Home, kept: Kept) -> None:
    user = {
        "DATABASE_URL": "postgresql://boss:s%40fe@db.example:5433/product?sslmode=require",
        "EMBEDDING_API_BASE_URL": "https://gpu.example/v1",
    }
    values = build_environment(home, kept, user)
    api = urlsplit(values["CIXML_API__DATABASE_URL"])
    assert remote_servers(user) == {"postgres", "embedding"}
    assert (api.hostname, api.port, api.path, api.query) == ("db.example", 5433, "/product", "sslmode=require")
    assert "sslmode=require&options=" in values["CIXML_DAGSTER__DATABASE_URL"]
    assert values["EMBEDDING_API_BASE_URL"] == "https://gpu.example/v1"
    assert "CIXML_EMBEDDING__BATCH_TOKENS" not in values, "the CPU's small batches are nothing for a GPU"
    assert "EMBEDDING_API_KEY" not in values, "our local key is nothing for somebody else's server"


def test_what_the_user_set_wins_but_not_over_the_folders(home: Home, kept: Kept) -> None:
    values = build_environment(home, kept, {"CIXML_API__PORT": "8080", "DAGSTER_HOME": "/elsewhere"})
    assert values["CIXML_API__PORT"] == "8080"
    assert values["DAGSTER_HOME"] == str(home.dagster)


def test_a_password_with_special_characters_survives_the_url() -> None:
    url = login_url("postgres://a:b@h:1/d", "login", "p@ss/wörd?#")
    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname, unquote(parts.password or "")) == ("postgresql", "h", "p@ss/wörd?#")


def test_the_owner_url_stays_away_from_the_children(home: Home, kept: Kept) -> None:
    child = child_environment(build_environment(home, kept, {}))
    assert "DATABASE_URL" not in child
    assert child[MARK] == "1"


def test_the_env_file_is_private_and_read_by_the_settings(
    home: Home, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = build_environment(home, kept, {}) | {NETWORKS: '["127.0.0.1/32:8099"]', "EMBEDDING_API_KEY": "it's \\ me"}
    write_env_file(home, values)
    for name in values:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIXML_HOME", str(home.root))
    settings = Settings.load()
    assert stat.S_IMODE(home.env_file.stat().st_mode) == 0o600
    assert settings.api.port == PORTS["api"]
    assert settings.fetch.allow_networks == ["127.0.0.1/32:8099"]
    assert settings.embedding_api_key is not None
    assert settings.embedding_api_key.get_secret_value() == "it's \\ me"
    assert read_env_file(home) == {name: value for name, value in values.items() if name != "CIXML_HOME"}


def test_the_sample_is_added_to_the_networks_of_the_user() -> None:
    assert json.loads(allow_sample({NETWORKS: '["10.0.0.0/8"]'}, 8099)[NETWORKS]) == ["10.0.0.0/8", "127.0.0.1/32:8099"]
    assert json.loads(allow_sample({}, 8099)[NETWORKS]) == ["127.0.0.1/32:8099"]

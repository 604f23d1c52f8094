"""docker-compose.yml as Compose itself reads it: what is published, allowed, limited, and secret."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cixml.embedded.processes import APPLICATION
from resources.settings import PROJECT_ROOT, Settings
from tests.image import DOCKERFILE

Service = dict[str, Any]
EXAMPLE = PROJECT_ROOT / ".env.example"
ONE_SHOT = {"migrate", "console", "models"}
OURS = "cixml:0.1.0"
THEIR_ENTRY_POINTS = {"postgres", "redis"}
"""They begin as root to hand their volume to a user of their own."""


def example() -> dict[str, str]:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def compose(env_file: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Run the binary inside the package: the script beside it ends with 0 whatever was wrong."""
    spec = importlib.util.find_spec("compose")
    assert spec
    assert spec.origin
    binary = Path(spec.origin).parent / "docker-compose"
    given = [part for file in ("docker-compose.yml", *files) for part in ("--file", file)]
    command = [binary, *given, "--env-file", env_file, "--profile", "*", "config", "--format", "json"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(env_file.parent)}
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    env_file = tmp_path_factory.mktemp("compose") / "env"
    env_file.write_text(
        "\n".join(f"{name}={value or 'secret' + str(n)}" for n, (name, value) in enumerate(example().items()))
    )
    done = compose(env_file)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def services(parsed: dict[str, Any]) -> dict[str, Service]:
    found: dict[str, Service] = parsed["services"]
    return found


def test_without_its_secrets_it_does_not_start(tmp_path: Path) -> None:
    for missing in ("POSTGRES_PASSWORD", "CIXML_API__KEY_PEPPER", "REDIS_PASSWORD", "EMBEDDING_API_BASE_URL"):
        env_file = tmp_path / missing
        env_file.write_text("\n".join(f"{name}={value or 'x'}" for name, value in example().items() if name != missing))
        done = compose(env_file)
        assert done.returncode != 0
        assert missing in done.stderr


def test_every_process_of_the_product_has_a_service(services: dict[str, Service]) -> None:
    assert set(APPLICATION) | {"gateway", "postgres", "redis", "migrate", "worker_backfill"} <= set(services)
    queues = {name: services[name]["command"][4] for name in ("worker", "worker_backfill")}
    assert queues == {"worker": "ingest", "worker_backfill": "backfill"}
    for name in queues:
        assert services[name]["command"][:3] == ["python", "-m", "cixml.worker"]


def test_the_gateway_alone_publishes_and_on_loopback_until_told_otherwise(services: dict[str, Service]) -> None:
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert set(published) == {"gateway"}
    assert {(port["host_ip"], port["target"]) for port in published["gateway"]} == {
        ("127.0.0.1", 8080),
        ("127.0.0.1", 3000),
    }
    assert not any("network_mode" in each or each.get("privileged") for each in services.values())


def test_databases_have_no_way_out_and_the_gateway_no_way_to_them(
    parsed: dict[str, Any], services: dict[str, Service]
) -> None:
    assert parsed["networks"]["inner"]["internal"] is True
    networks = {name: set(each["networks"]) for name, each in services.items()}
    assert networks["postgres"] == networks["redis"] == {"inner"}
    assert networks["gateway"] == {"edge"}
    assert {name for name, each in networks.items() if "edge" in each} == {
        "gateway",
        "api",
        "webserver",
        "grafana",
        "alloy",
    }
    trusted = json.loads(services["api"]["environment"]["CIXML_API__TRUSTED_PROXIES"])
    assert trusted == [services["gateway"]["networks"]["edge"]["ipv4_address"]]


def test_images_are_pinned(services: dict[str, Service]) -> None:
    for name, each in services.items():
        assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)+[a-z0-9.-]*(@sha256:[0-9a-f]{64})?", each["image"]), name
    assert {each["image"] for each in services.values() if "build" in each} == {OURS}
    assert 'version="0.1.0"' in DOCKERFILE.read_text()


def test_every_container_is_limited_and_may_do_nothing_but_run(services: dict[str, Service]) -> None:
    for name, each in services.items():
        limits = each["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert each["cap_drop"] == ["ALL"], name
        assert bool(each.get("cap_add")) == (name in THEIR_ENTRY_POINTS), name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["read_only"] is True, name
        assert each["logging"]["options"]["max-size"], name
        assert each["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name


def test_what_another_waits_for_has_a_health_check_that_its_image_can_run(services: dict[str, Service]) -> None:
    for name, each in services.items():
        assert "healthcheck" in each or name in ONE_SHOT or each.get("profiles") == ["observability"], name
        if each["image"] == OURS and name not in ONE_SHOT:
            assert each["healthcheck"]["test"][:2] == ["CMD", "python"], name  # it has neither curl nor wget
        for other, condition in each.get("depends_on", {}).items():
            needed = "service_completed_successfully" if other == "migrate" else "service_healthy"
            assert condition["condition"] == needed, (name, other)


def test_a_stop_waits_as_long_as_the_process_needs(services: dict[str, Service]) -> None:
    seconds = {name: _seconds(each.get("stop_grace_period", "10s")) for name, each in services.items()}
    assert seconds["worker"] > 30  # its runs end or give back within that
    assert seconds["worker_backfill"] > 30
    assert seconds["api"] > 10  # cixml_api.__main__.GRACE_SECONDS
    static = yaml.safe_load((PROJECT_ROOT / "deploy" / "gateway" / "traefik.yml").read_text())
    waits = static["entryPoints"]["api"]["transport"]["lifeCycle"]
    assert seconds["gateway"] > sum(_seconds(wait) for wait in waits.values())


def _seconds(text: str) -> int:
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text).groups()  # type: ignore[union-attr]
    return 60 * int(minutes or 0) + int(seconds or 0)


def test_redis_forgets_nothing_and_the_volume_of_postgres_is_where_18_looks(services: dict[str, Service]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"
    assert [volume["target"] for volume in services["postgres"]["volumes"]] == ["/var/lib/postgresql"]
    assert int(services["postgres"]["shm_size"]) >= 2**30  # maintenance_work_mem


def test_the_files_hold_no_secret_and_give_each_process_its_own_login_alone(services: dict[str, Service]) -> None:
    given = example()
    secrets = [name for name in given if re.search("PASSWORD|PEPPER|API_KEY", name)]
    assert len(secrets) == 7
    assert not any(given[name] for name in secrets)
    text = (PROJECT_ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"://[^/$\s]*:[^/$\s]+@", text)
    for name, each in services.items():
        environment = each.get("environment", {})
        assert ("DATABASE_URL" in environment) == (name in ONE_SHOT), name
        if name not in ONE_SHOT:
            assert ("CIXML_API__DATABASE_URL" in environment) == (name == "api"), name
            assert ("CIXML_API__KEY_PEPPER" in environment) == (name == "api"), name
            assert "CIXML_PIPELINE__DATABASE_URL" not in services["api"]["environment"]
    assert {"/.env", "/settings.env"} <= set((PROJECT_ROOT / ".gitignore").read_text().splitlines())


def test_its_variables_are_settings_that_the_product_can_read(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, each in services.items():
        if each["image"] != OURS:
            continue
        with monkeypatch.context() as environment:
            for variable, value in each["environment"].items():
                environment.setenv(variable, value)
            settings = Settings.load()
        known = settings.model_dump()
        for variable in each["environment"]:
            path = variable.removeprefix("CIXML_").lower().split("__")
            found: Any = known
            for step in path:
                assert step in found or variable in ("CIXML_URL", "CIXML_API_KEY"), (name, variable)
                found = found.get(step)
                if found is None:
                    break


def test_the_gateway_is_told_of_every_api_process() -> None:
    given = example()
    urls = given["GATEWAY_API_URLS"].split(",")
    assert urls == [f"http://cixml-api-{n}:8080" for n in range(1, int(given["CIXML_API_REPLICAS"]) + 1)]
    assert yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text())["name"] == "cixml"


def test_every_file_that_is_mounted_is_there(services: dict[str, Service]) -> None:
    for name, each in services.items():
        for volume in each.get("volumes", []):
            if volume["type"] == "bind" and not volume["source"].endswith(("/tokenizers", "/backups")):
                assert Path(volume["source"]).exists(), (name, volume["source"])


def test_workers_on_a_second_machine_reach_the_first_one_at_its_private_address_alone(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    given = example() | {"FIRST_MACHINE": "10.0.0.1"}
    env_file.write_text("\n".join(f"{name}={value or 'x'}" for name, value in given.items()))
    first, second = (
        json.loads(compose(env_file, f"deploy/{name}-machine.yml").stdout)["services"] for name in ("first", "second")
    )
    published = {name: [port["host_ip"] for port in each["ports"]] for name, each in first.items() if "ports" in each}
    assert published["postgres"] == published["redis"] == ["10.0.0.1"]
    assert set(published) == {"gateway", "postgres", "redis"}
    assert second["worker"]["extra_hosts"] == ["postgres=10.0.0.1", "redis=10.0.0.1"]
    assert set(second["worker"]["networks"]) == {"outside"}
    assert "depends_on" not in second["worker"]
    env_file.write_text("\n".join(f"{name}={value or 'x'}" for name, value in example().items()))
    assert "FIRST_MACHINE" in compose(env_file, "deploy/first-machine.yml").stderr

"""Every setting, in one place. Read once at an entry point with `Settings.load()` and passed on as an argument.

Values come from the environment, then from `$CIXML_HOME/cixml.env` (written by the embedded stack, mode 0600),
then from the defaults here. docs/configuration.md lists them all; a test holds the two together.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from resources.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def _check_network(value: object) -> object:
    """Refuse a network that is not `CIDR` or `CIDR:port`, naming it."""
    NamedNetwork.parse(str(value))
    return value


class NamedNetwork(BaseModel):
    """A network whose addresses are fetched though not public, or never, on one port or on all."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.2/32`, `127.0.0.1/32:8099`, `fd00::/8` or `[fd00::]/8:8099`. Raises ValueError."""
        address, slash, rest = text.strip().partition("/")
        prefix, colon, port = rest.partition(":")
        try:
            network = ipaddress.ip_network(f"{address.strip('[]')}{slash}{prefix}")
            number = int(port) if colon else None
        except ValueError as error:
            raise ValueError(f"{text!r} is no network: write CIDR or CIDR:port, as 127.0.0.1/32:8099") from error
        if number is not None and not 0 < number < 65536:
            raise ValueError(f"{text!r}: a port is between 1 and 65535")
        return cls(network=network, port=number)

    def holds(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        return address.version == self.network.version and address in self.network and self.port in (None, port)


class FetchSettings(BaseModel):
    """How pages are fetched. Sizes in bytes, times in seconds."""

    allow_networks: list[Annotated[str, BeforeValidator(_check_network)]] = []
    deny_networks: list[Annotated[str, BeforeValidator(_check_network)]] = []
    user_agent: str = Field(default="cixml/0.1", pattern=r"^[A-Za-z_-]+[ -~]*$", max_length=200)
    contact: str = Field(default="https://www.cloudcix.com/", pattern=r"^[!-'*-~]{3,}$", max_length=200)
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 12.0
    total_timeout_seconds: float = 45.0
    max_body_bytes: int = 20 * 2**20
    max_redirects: int = 5
    host_concurrency: int = Field(default=4, ge=1)
    host_delay_seconds: float = Field(default=0.0, ge=0)
    max_crawl_delay_seconds: float = 10.0
    max_retry_after_seconds: float = 300.0
    max_host_wait_seconds: float = Field(default=86_400.0, gt=0)
    max_attempts: int = 3
    robots_ttl_seconds: int = Field(default=3600, ge=1, le=86_400)  # RFC 9309 2.4: a day at most

    @property
    def agent_header(self) -> str:
        """Return the User-Agent: who asks, and where a site's owner can complain."""
        return f"{self.user_agent} (+{self.contact})"

    @cached_property
    def allowed(self) -> tuple[NamedNetwork, ...]:
        return tuple(NamedNetwork.parse(text) for text in self.allow_networks)

    @cached_property
    def denied(self) -> tuple[NamedNetwork, ...]:
        return tuple(NamedNetwork.parse(text) for text in self.deny_networks)


class ChunkingSettings(BaseModel):
    """How the text of new corpora is cut; null takes the model's own default (256/32 for MiniLM)."""

    max_tokens: int | None = Field(default=None, ge=16, le=8192)
    overlap_tokens: int | None = Field(default=None, ge=0, le=4096)
    max_chunks_per_document: int = 4096


class ExtractorSettings(BaseModel):
    socket: Path | None = None
    processes: int = Field(default=0, ge=0, description="0 takes one per core")
    wall_seconds: float = 20.0
    cpu_seconds: int = 15
    memory_bytes: int = 1 << 30


class EmbeddingSettings(BaseModel):
    """How the embedding server is used. Its address, key and model have the customer's own names."""

    batch_tokens: int = 16_384
    batch_texts: int = 256
    concurrency: int = Field(default=2, description="requests of one run in flight at once")
    timeout_seconds: float = 60.0
    query_timeout_seconds: float = 5.0
    breaker_failure_threshold: int = 5
    breaker_window_seconds: float = 30.0
    breaker_reset_seconds: float = 10.0
    breaker_success_threshold: int = 2
    models_file: Path = PROJECT_ROOT / "models.toml"


class ApiSettings(BaseModel):
    """The REST API. `database_url` is the api login's: no superuser, row-level security applies."""

    host: str = "127.0.0.1"
    port: int = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 8081
    database_url: SecretStr | None = None
    pool_size: int = 8
    max_body_bytes: int = 10 * 2**20
    max_urls_per_job: int = 1000
    trusted_proxies: list[str] = []
    keys_file: Path | None = None
    key_pepper: SecretStr | None = None


class MembershipSettings(BaseModel):
    """Who knows the callers. Without `url` it is the keys file."""

    url: str | None = None
    timeout_seconds: float = Field(default=2.0, gt=0)


class LimitSettings(BaseModel):
    """What one caller may ask for; 0 is no limit. `bad_keys_per_minute` is of one peer address."""

    requests_per_minute: int = Field(default=6000, ge=0)
    bad_keys_per_minute: int = Field(default=60, ge=0)
    open_streams: int = Field(default=100, ge=0, description="of events, in one API process")
    queued_pages: int = Field(default=50_000, ge=0, description="waiting or in work at once")
    corpora: int = Field(default=1000, ge=0)
    tokens_per_day: int = Field(default=0, ge=0, description="embedded for pages since midnight UTC")


class PipelineSettings(BaseModel):
    """The sensor, the runs and lifeline. `database_url` is the pipeline login's."""

    database_url: SecretStr | None = None
    batch_items: int = Field(default=100, description="most items in one batch")
    small_batch_items: int = Field(default=10, description="a batch of up to so many pages may take the slot kept free")
    turn_seconds: float = Field(
        default=10.0, description="a run that worked this long while others wait takes no new item"
    )
    dispatch_seconds: float = 30.0
    lease_seconds: float = 15.0
    heartbeat_seconds: float = 5.0
    reaper_seconds: float = 2.0
    stall_seconds: float = Field(
        default=300.0, description="a run that made no progress for so long is ended, though its heart beats"
    )
    max_attempts: int = 5
    worker_slots: int = Field(default=4, ge=1, description="runs at once in one worker")
    sensor_wait_seconds: float = 25.0
    refresh_after_seconds: float = Field(
        default=86_400.0, description="a document not checked for so long is due for refresh"
    )
    refresh_items: int = Field(default=1000, description="most documents that one refresh run takes")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        default=0, description="of /metrics of a worker and of lifeline; 0: none, the API reads the folder of all"
    )


class RetentionSettings(BaseModel):
    """How many days what has ended is kept; 0 keeps it for ever. Jobs and their items always are."""

    run_event_days: int = Field(default=7, ge=0, description="events of a run that say nothing of an asset")
    run_days: int = Field(default=30, ge=0, description="runs with all their rows, but the latest of each partition")
    tick_days: int = Field(default=7, ge=0, description="what the sensors did at each evaluation")
    version_days: int = Field(default=30, ge=0, description="document versions after they were live")
    batch_days: int = Field(default=30, ge=0, description="batches after their end")
    audit_days: int = Field(default=90, ge=0, description="who asked for what")
    interval_seconds: float = Field(default=60.0, description="rest between two sweeps")


class SearchSettings(BaseModel):
    """How corpora are indexed for search. An exact scan of 4,000 rows of 384 dimensions costs 3 to 4 times the CPU of a
    search in a graph and needs no upkeep; at 10,000 rows it no longer pays. Of 1,024 dimensions: 1,500 rows.
    """

    promote_rows: int = Field(default=4000, ge=1, description="in rows of 384 dimensions; wider vectors count as more")
    promote_quiet_seconds: float = Field(
        default=10.0, description="a corpus in which nothing went live for so long is built anew: its load is over"
    )
    max_quality_drop: float = Field(
        default=0.02, ge=0, description="nDCG@10 and recall@10 that an index version may lose against the serving one"
    )
    max_slowdown_ratio: float = Field(
        default=1.5, ge=1, description="how many times as long a search by an index version may take, by the medians"
    )
    max_slowdown_ms: float = Field(
        default=50.0, ge=0, description="how much longer it may take; one that is slower by both limits is refused"
    )
    grace_hours: float = Field(
        default=72.0, ge=0, description="an index version that was replaced may serve again so long"
    )
    query_cache_seconds: int = Field(default=3600, ge=1, description="how long Redis keeps a query's vector")


class TelemetrySettings(BaseModel):
    """Where traces, logs and profiles go. `cixml up` chooses files, and logs for a terminal."""

    traces: Literal["none", "files", "otlp"] = Field(default="none", description="where spans go")
    otlp_endpoint: str | None = Field(
        default=None, description="base URL of an OTLP/HTTP receiver, /v1/traces is added"
    )
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="of traces that begin here; others as they came")
    trace_file_bytes: int = Field(default=64 * 2**20, ge=2**20, description="of all trace files; the oldest go first")
    logs: Literal["json", "terminal"] = "json"
    environment: str = "development"
    version: str | None = Field(default=None, description="service.version; null: the git commit or package version")


class DagsterSettings(BaseModel):
    """Dagster's own database and processes."""

    database_url: SecretStr | None = None
    host: str = "127.0.0.1"
    webserver_port: int = 3000
    code_server_host: str = "127.0.0.1"
    code_server_port: int = 4000


class Settings(BaseSettings):
    """All settings. Nested names join with two underscores: CIXML_FETCH__ALLOW_NETWORKS."""

    model_config = SettingsConfigDict(
        env_prefix="CIXML_", env_nested_delimiter="__", extra="ignore", populate_by_name=True, frozen=True
    )

    home: Path = Path(".cixml")
    database_url: SecretStr | None = Field(default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    redis_url: SecretStr | None = Field(default=None, validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    embedding_api_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("EMBEDDING_API_BASE_URL", "embedding_api_base_url")
    )
    embedding_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("EMBEDDING_API_KEY", "embedding_api_key")
    )
    embedding_model: str = Field(
        default="all-MiniLM-L6-v2", validation_alias=AliasChoices("EMBEDDING_MODEL", "embedding_model")
    )
    log_level: str = "INFO"
    fail_points: Path | None = None
    api: ApiSettings = ApiSettings()
    membership: MembershipSettings = MembershipSettings()
    limits: LimitSettings = LimitSettings()
    pipeline: PipelineSettings = PipelineSettings()
    dagster: DagsterSettings = DagsterSettings()
    retention: RetentionSettings = RetentionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    fetch: FetchSettings = FetchSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    extractor: ExtractorSettings = ExtractorSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    search: SearchSettings = SearchSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(os.environ.get("CIXML_HOME", ".cixml"))
        return (init_settings, env_settings, DotEnvSettingsSource(settings_cls, env_file=home / "cixml.env"))

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the settings. Raises ConfigurationError that names each wrong setting."""
        try:
            return cls(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
        except ValidationError as error:
            lines = [f"CIXML_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            raise ConfigurationError("; ".join(lines)) from error

    @property
    def extractor_socket(self) -> Path:
        """Return the unix socket of the extractor: `extractor.socket`, else one in `home`."""
        return self.extractor.socket or self.home / "run" / "extractor.sock"

    @property
    def trace_folder(self) -> Path:
        """Return where trace files are."""
        return self.home / "traces"

    def secrets(self) -> frozenset[str]:
        """Return every value that must never be shown, and the passwords inside those that are URLs."""
        values = [value.get_secret_value() for value in _secret_values(self)]
        passwords = [urlsplit(value).password for value in values if "://" in value]
        return frozenset(each for each in (*values, *passwords) if each)

    def own_endpoints(self) -> frozenset[tuple[str, int]]:
        """Return every (host, port) of the product itself: never fetched, whatever `fetch.allow_networks` says."""
        urls = [self.database_url, self.redis_url, self.embedding_api_base_url, self.membership.url]
        urls += [self.api.database_url, self.pipeline.database_url, self.dagster.database_url]
        urls.append(self.telemetry.otlp_endpoint)
        plain = [url.get_secret_value() if isinstance(url, SecretStr) else url for url in urls if url]
        own = {
            (self.api.host, self.api.port),
            (self.api.metrics_host, self.api.metrics_port),
            (self.pipeline.metrics_host, self.pipeline.metrics_port),
            (self.dagster.host, self.dagster.webserver_port),
            (self.dagster.code_server_host, self.dagster.code_server_port),
        }
        return endpoints(plain) | {(host, port) for host, port in own if host and port}

    def dagster_libpq_url(self) -> str:
        """Return Dagster's database's URL for libpq: without SQLAlchemy's driver. Raises ConfigurationError."""
        url = self.require(self.dagster.database_url, "CIXML_DAGSTER__DATABASE_URL")
        return url.replace("postgresql+psycopg2://", "postgresql://", 1)

    def require(self, value: SecretStr | str | None, name: str) -> str:
        """Return a setting that this process can't do without. Raises ConfigurationError that names it."""
        if value is None:
            raise ConfigurationError(f"{name} is not set: start the embedded stack with 'cixml up', or set {name}")
        return value.get_secret_value() if isinstance(value, SecretStr) else value


def _secret_values(settings: BaseModel) -> Iterator[SecretStr]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value
        elif isinstance(value, BaseModel):
            yield from _secret_values(value)


def endpoints(urls: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Return (host, port) of each URL, the port of its scheme where it names none; a URL without a host has none."""
    parts = ((each.hostname, each.port or _DEFAULT_PORTS.get(each.scheme, 0)) for each in map(urlsplit, urls))
    return frozenset((host, port) for host, port in parts if host and port)


_DEFAULT_PORTS = {"postgresql": 5432, "postgresql+psycopg2": 5432, "redis": 6379, "http": 80, "https": 443}

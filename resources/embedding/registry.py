"""Reads models.toml: which embedding models there are, and what identifies their vectors.

The table `models` in Postgres is a mirror of what is loaded here. Asking the server is the client's business.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from resources.errors import ConfigurationError

MAX_SLUG_CHARACTERS = 40
"""Leaves room for a prefix and a suffix in the 63 bytes of a Postgres identifier."""


Operation = Literal["read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One entry of models.toml. Sizes in tokens of its own tokenizer; the window includes special tokens.

    `base_url` is that of its server, where it has one of its own.
    """

    id: str
    revision: str
    dimension: int
    max_tokens: int
    chunk_max_tokens: int
    chunk_overlap_tokens: int
    query_prefix: str = ""
    document_prefix: str = ""
    distance: str = "cosine"
    pooling: str = "mean"
    normalised: bool = True
    tokenizer_path: Path
    tokenizer_sha256: str
    tokenizer_source: str = ""
    base_url: str | None = None
    weights_sha256: str | None = None
    served_by: str = ""
    enabled: bool = False

    @property
    def is_known_whole(self) -> bool:
        """Return whether the entry says all that identifies a vector; a model that was never enabled may lack its
        tokenizer's hash.
        """
        return bool(self.tokenizer_sha256)

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) over everything that changes a vector. A note, a default or `enabled` does not."""
        parts = {name: value for name, value in asdict(self).items() if name in _FINGERPRINTED}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def slug(self) -> str:
        """Return the name for asset keys and tables: lower case letters, digits and single underscores."""
        return slug(self.id)

    def as_sent(self, text: str, operation: Operation) -> str:
        """Return the exact text the server gets: a query's or a document's prefix before it."""
        return (self.query_prefix if operation == "read" else self.document_prefix) + text


_FINGERPRINTED = frozenset(
    {
        "id",
        "revision",
        "dimension",
        "max_tokens",
        "query_prefix",
        "document_prefix",
        "pooling",
        "normalised",
        "tokenizer_sha256",
        "weights_sha256",
    }
)


@dataclass(frozen=True, slots=True)
class Registry:
    """The models of one file, in its order."""

    path: Path
    models: tuple[Model, ...]

    @property
    def enabled(self) -> tuple[Model, ...]:
        return tuple(model for model in self.models if model.enabled)

    def get(self, model_id: str) -> Model:
        """Return one model, enabled or not. Raises ConfigurationError when there is no entry."""
        for model in self.models:
            if model.id == model_id:
                return model
        known = ", ".join(model.id for model in self.models)
        raise ConfigurationError(
            f"{self.path} has no [[model]] with id {model_id!r} (it has: {known}): "
            "add an entry for it, or set EMBEDDING_MODEL to one of these"
        )

    def serving(self, model_id: str) -> Model:
        """Return the model that new corpora use (EMBEDDING_MODEL). Raises ConfigurationError unless it is enabled."""
        model = self.get(model_id)
        if not model.enabled:
            raise ConfigurationError(
                f"{self.path}: the model {model_id!r} is not enabled: run 'cixml models enable {model_id}', "
                "or set EMBEDDING_MODEL to an enabled one"
            )
        return model


class _Entry(BaseModel):
    """What may stand in one [[model]] table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=200)
    revision: str = Field(min_length=1)
    dimension: int = Field(ge=1, le=16_000)
    max_tokens: int = Field(ge=16)
    chunk_max_tokens: int = Field(ge=16)
    chunk_overlap_tokens: int = Field(ge=0)
    query_prefix: str = ""
    document_prefix: str = ""
    distance: Literal["cosine"] = "cosine"
    pooling: Literal["mean", "cls", "last"] = "mean"
    normalised: bool = True
    tokenizer: str = Field(min_length=1)
    tokenizer_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    tokenizer_source: str = ""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    weights_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    served_by: str = ""
    enabled: bool = False

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.chunk_max_tokens > self.max_tokens:
            raise ValueError(f"chunk_max_tokens {self.chunk_max_tokens} is above max_tokens {self.max_tokens}")
        if self.chunk_overlap_tokens >= self.chunk_max_tokens:
            raise ValueError("chunk_overlap_tokens must be below chunk_max_tokens")
        if not 0 < len(slug(self.id)) <= MAX_SLUG_CHARACTERS:
            raise ValueError(f"id gives the name {slug(self.id)!r}: it needs 1 to {MAX_SLUG_CHARACTERS} characters")
        return self


def slug(model_id: str) -> str:
    """Return `all_minilm_l6_v2` for `all-MiniLM-L6-v2`."""
    return re.sub(r"[^a-z0-9]+", "_", model_id.lower()).strip("_")


def load_registry(path: Path) -> Registry:
    """Read a models file. Raises ConfigurationError that names the file, the entry and the remedy."""
    tables = _read_tables(path)
    models = tuple(_read_model(path, table) for table in tables)
    _check_unique(path, "id", (model.id for model in models))
    _check_unique(path, "name in lower case letters and digits", (model.slug for model in models))
    return Registry(path=path, models=models)


def _read_tables(path: Path) -> list[dict[str, object]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}. Set CIXML_EMBEDDING__MODELS_FILE") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    unknown = content.keys() - {"model"}
    tables = content.get("model")
    if unknown or not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{path} must hold [[model]] tables, at least one, and nothing else")
    return tables


def _read_model(path: Path, table: dict[str, object]) -> Model:
    name = table.get("id", "without an id")
    try:
        entry = _Entry.model_validate(table)
    except ValidationError as error:
        found = "; ".join(
            _explain(".".join(map(str, item["loc"])), item["type"], item["msg"]) for item in error.errors()
        )
        raise ConfigurationError(f"{path}, model {name}: {found}") from error
    tokenizer = (path.parent / entry.tokenizer).resolve()
    if entry.enabled:
        _check_tokenizer(path, entry, tokenizer)
    return Model(tokenizer_path=tokenizer, **entry.model_dump(exclude={"tokenizer"}))


def _explain(key: str, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown key {key!r}: known are {', '.join(_Entry.model_fields)}"
    if kind == "missing" and key == "tokenizer":
        return "tokenizer is missing: give the model's own tokenizer.json (a path relative to the file) and its sha256"
    if kind == "missing":
        return f"{key} is missing"
    return f"{key}: {message}" if key else message


def _check_tokenizer(path: Path, entry: _Entry, tokenizer: Path) -> None:
    try:
        found = tokenizer_digest(tokenizer)
    except OSError as error:
        source = f", from {entry.tokenizer_source}" if entry.tokenizer_source else ""
        raise ConfigurationError(
            f"{path}, model {entry.id}: the tokenizer {tokenizer} can't be read ({error.strerror}): "
            f"put the model's tokenizer.json there{source}, or mend 'tokenizer'"
        ) from error
    if not entry.tokenizer_sha256:
        raise ConfigurationError(
            f"{path}, model {entry.id}: tokenizer_sha256 is missing: 'cixml models enable {entry.id}' writes it"
        )
    if found != entry.tokenizer_sha256:
        raise ConfigurationError(
            f"{path}, model {entry.id}: {tokenizer} has sha256 {found}, not {entry.tokenizer_sha256}: "
            "restore the file, or set 'tokenizer_sha256' and embed again"
        )


def tokenizer_digest(tokenizer: Path) -> str:
    """Return the sha256 (hex) of a tokenizer file. Raises OSError."""
    stat = tokenizer.stat()
    return _sha256(tokenizer, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, mtime_ns: int, size_bytes: int) -> str:
    """Return the hex digest; time and size are in the key so that a changed file is read again."""
    del mtime_ns, size_bytes
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_unique(path: Path, what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ConfigurationError(f"{path}: two models have the {what} {value!r}: remove or rename one")
        seen.add(value)

"""What the yardstick's processes are told, by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from resources.embedding.registry import Model, load_registry

_PREFIX = "YARDSTICK_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    database_url: str
    redis_url: str
    orchestrator_url: str
    api_key: str
    embedding_url: str
    model_id: str
    models_file: str

    @property
    def model(self) -> Model:
        return load_registry(Path(self.models_file)).get(self.model_id)

    def as_environment(self) -> dict[str, str]:
        return {_PREFIX + name.upper(): value for name, value in asdict(self).items()}


def read(environment: Mapping[str, str]) -> Configuration:
    names = Configuration.__dataclass_fields__
    return Configuration(**{name: environment[_PREFIX + name.upper()] for name in names})


@cache
def configuration() -> Configuration:
    """Return this process's configuration."""
    return read(os.environ)

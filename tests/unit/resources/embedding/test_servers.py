"""Which server a model is embedded by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from resources.embedding.registry import Model, Registry
from resources.embedding.servers import base_url_of, own_endpoints
from resources.errors import ConfigurationError
from resources.settings import Settings


def test_a_model_is_embedded_by_its_own_server_else_by_the_deployments(model: Model) -> None:
    settings = Settings.load(embedding_api_base_url="http://gpu/v1")
    assert base_url_of(settings, model) == "http://gpu/v1"
    own = dataclasses.replace(model, base_url="http://other:9000/v1")
    assert base_url_of(settings, own) == "http://other:9000/v1"
    assert base_url_of(Settings.load(), own) == "http://other:9000/v1"
    with pytest.raises(ConfigurationError, match="EMBEDDING_API_BASE_URL"):
        base_url_of(Settings.load(embedding_api_base_url=None), model)


def test_the_servers_of_models_are_never_fetched(model: Model) -> None:
    models = (
        model,
        dataclasses.replace(model, base_url="http://other:9000/v1"),
        dataclasses.replace(model, base_url="https://third/v1"),
    )
    assert own_endpoints(Registry(path=Path("models.toml"), models=models)) == {("other", 9000), ("third", 443)}

"""models.toml: what is read, and what is said when it is wrong."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from resources.embedding.registry import Model, load_registry, slug
from resources.embedding.tokenizer import count_tokens, load_tokenizer
from resources.errors import ConfigurationError
from resources.settings import PROJECT_ROOT

SHIPPED = PROJECT_ROOT / "models.toml"


@pytest.fixture
def minilm() -> Model:
    return load_registry(SHIPPED).get("all-MiniLM-L6-v2")


def write_models(folder: Path, *entries: dict[str, object]) -> Path:
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text("{}")
    lines: list[str] = []
    for entry in entries:
        values = {
            "id": "model-a",
            "revision": "1",
            "dimension": 8,
            "max_tokens": 64,
            "chunk_max_tokens": 64,
            "chunk_overlap_tokens": 8,
            "tokenizer": "tokenizer.json",
            "tokenizer_sha256": hashlib.sha256(b"{}").hexdigest(),
        } | entry
        lines.append("[[model]]")
        for key, value in values.items():
            if value is not None:
                lines.append(f"{key} = {str(value).lower() if isinstance(value, bool | int) else repr(value)}")
    path = folder / "models.toml"
    path.write_text("\n".join(lines))
    return path


def test_the_shipped_file_enables_minilm(minilm: Model) -> None:
    assert load_registry(SHIPPED).enabled == (minilm,)
    assert (minilm.dimension, minilm.max_tokens, minilm.slug) == (384, 256, "all_minilm_l6_v2")
    assert minilm.tokenizer_path.is_absolute()


def test_the_shipped_file_has_the_models_of_the_customer() -> None:
    models = {model.id: model for model in load_registry(SHIPPED).models}
    assert {name: model.dimension for name, model in models.items()} == {
        "all-MiniLM-L6-v2": 384,
        "bge-large-en-v1.5": 1024,
        "bge-m3": 1024,
        "e5-mistral-7b-instruct": 4096,
    }
    for name in ("bge-large-en-v1.5", "bge-m3", "e5-mistral-7b-instruct"):
        model = models[name]
        assert not model.is_known_whole
        assert model.tokenizer_source.startswith("https://huggingface.co/")
        assert model.revision in model.tokenizer_source
    assert models["e5-mistral-7b-instruct"].as_sent("cats", "read").endswith("the query\nQuery: cats")
    assert models["bge-m3"].as_sent("cats", "write") == "cats"


def test_a_model_that_is_not_enabled_may_lack_its_tokenizer(tmp_path: Path) -> None:
    entry = {"tokenizer": "gone.json", "tokenizer_sha256": None, "tokenizer_source": "https://example.com/t.json"}
    assert not load_registry(write_models(tmp_path, entry | {"enabled": False})).get("model-a").is_known_whole
    with pytest.raises(
        ConfigurationError, match=r"gone\.json can't be read .*put .*there, from https://example.com/t\.json"
    ):
        load_registry(write_models(tmp_path, entry | {"enabled": True}))
    entry["tokenizer"] = "tokenizer.json"
    with pytest.raises(
        ConfigurationError, match="tokenizer_sha256 is missing: 'cixml models enable model-a' writes it"
    ):
        load_registry(write_models(tmp_path, entry | {"enabled": True}))


def test_the_tokenizer_neither_pads_nor_cuts(minilm: Model) -> None:
    tokenizer = load_tokenizer(minilm.tokenizer_path)
    assert count_tokens(tokenizer, ["hello", "a " * 300]) == [3, 302]


def test_the_fingerprint_is_the_same_in_every_process_and_of_this_entry(minilm: Model) -> None:
    assert minilm.fingerprint == load_registry(SHIPPED).get(minilm.id).fingerprint
    assert len(minilm.fingerprint) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "2"},
        {"dimension": 512},
        {"max_tokens": 512},
        {"query_prefix": "query: "},
        {"document_prefix": "passage: "},
        {"pooling": "cls"},
        {"normalised": False},
        {"weights_sha256": "0" * 64},
        {"tokenizer_sha256": "0" * 64},
    ],
)
def test_what_changes_a_vector_changes_the_fingerprint(minilm: Model, change: dict[str, object]) -> None:
    assert dataclasses.replace(minilm, **change).fingerprint != minilm.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"served_by": "x"},
        {"base_url": "http://gpu/v1"},
        {"chunk_max_tokens": 64},
        {"tokenizer_path": Path("/elsewhere")},
    ],
)
def test_what_does_not_change_a_vector_keeps_the_fingerprint(minilm: Model, change: dict[str, object]) -> None:
    assert dataclasses.replace(minilm, **change).fingerprint == minilm.fingerprint


def test_prefixes_go_before_queries_and_documents(minilm: Model) -> None:
    e5 = dataclasses.replace(minilm, query_prefix="query: ", document_prefix="passage: ")
    assert e5.as_sent("cats", "read") == "query: cats"
    assert e5.as_sent("cats", "write") == "passage: cats"


@pytest.mark.parametrize(("model_id", "name"), [("BAAI/bge-m3", "baai_bge_m3"), ("e5--mistral_7B.", "e5_mistral_7b")])
def test_a_slug_holds_letters_digits_and_single_underscores(model_id: str, name: str) -> None:
    assert slug(model_id) == name


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    path = write_models(tmp_path, {"id": "model-a"})
    with pytest.raises(ConfigurationError, match=r"models\.toml has no .*'other' \(it has: model-a\).*EMBEDDING_MODEL"):
        load_registry(path).get("other")


def test_a_model_that_is_not_enabled_does_not_serve(tmp_path: Path) -> None:
    registry = load_registry(write_models(tmp_path, {"enabled": False}))
    assert registry.enabled == ()
    assert registry.get("model-a").id == "model-a"
    with pytest.raises(ConfigurationError, match="cixml models enable model-a"):
        registry.serving("model-a")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"tokenizer": None}, "tokenizer is missing: give the model's own tokenizer.json"),
        ({"tokenizer": "gone.json", "enabled": True}, "gone.json can't be read"),
        ({"base_url": "gpu:8000"}, "base_url: String should match"),
        ({"tokenizer_sha256": "0" * 64, "enabled": True}, "has sha256 44136fa.*, not 0000.*restore the file"),
        ({"dimensions": 8}, "unknown key 'dimensions': known are id, revision, dimension"),
        ({"dimension": "8"}, "dimension: Input should be a valid integer"),
        ({"revision": None}, "revision is missing"),
        ({"chunk_max_tokens": 128}, "chunk_max_tokens 128 is above max_tokens 64"),
        ({"chunk_overlap_tokens": 64}, "chunk_overlap_tokens must be below"),
        ({"id": "..."}, "id gives the name ''"),
        ({"distance": "l2"}, "distance: Input should be 'cosine'"),
    ],
)
def test_a_wrong_entry_is_named_with_the_remedy(tmp_path: Path, entry: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){tmp_path}/models.toml, model .*{said}"):
        load_registry(write_models(tmp_path, entry))


def test_two_models_with_one_id_or_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two models have the id 'model-a'"):
        load_registry(write_models(tmp_path, {}, {}))
    with pytest.raises(ConfigurationError, match="'model_a': remove or rename"):
        load_registry(write_models(tmp_path, {}, {"id": "Model.A"}))


@pytest.mark.parametrize("content", ["", "x = 1", "[[model]", "model = 3", "model = [1]"])
def test_a_file_that_holds_no_models_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"models\.toml"):
        load_registry(path)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CIXML_EMBEDDING__MODELS_FILE"):
        load_registry(tmp_path / "none.toml")

"""The local model server, through the client that production uses. The vectors themselves are pinned."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

from cixml.model.encoder import MAX_TOKENS, MODEL_ID, TOKENIZER_SHA256, WEIGHTS_SHA256, Encoder
from cixml.model.lanes import BATCH_TOKENS, Lanes, OverloadedError, Ticket, padded_batches
from cixml.model_server import create_app
from resources.embedding.registry import load_registry
from resources.errors import ConfigurationError
from resources.settings import PROJECT_ROOT
from tests.fakes.valkey import free_port

GOLDEN = [
    ("hello world", [-0.0348, 0.0301, 0.0130, 0.0254, -0.0375, -0.1587, 0.0688, -0.0116]),
    ("The cat sat on the mat.", [0.1272, -0.0160, -0.0351, 0.0554, -0.0596, 0.0323, 0.0313, 0.0311]),
    (
        "PostgreSQL stores vectors with pgvector.",
        [-0.0030, -0.0133, -0.1036, 0.0426, -0.0037, 0.0470, -0.0597, -0.0570],
    ),
    ("How do I restart the server?", [0.0864, -0.0682, -0.0433, -0.0518, -0.0076, 0.0218, -0.0524, -0.0291]),
    ("x", [-0.1002, -0.0689, -0.0262, -0.0478, 0.0202, -0.0280, 0.1553, 0.0582]),
    ("Ærøskøbing liegt in Dänemark – 2026!", [-0.0602, 0.0945, 0.0927, -0.0550, -0.0191, 0.0176, -0.0685, 0.0105]),
    ("日本語のテキスト", [-0.0002, 0.1397, 0.0664, -0.0264, -0.0755, 0.0389, 0.1229, 0.0711]),
    (
        "def embed(texts): return [vector(t) for t in texts]",
        [0.0184, -0.0163, -0.0135, -0.0042, 0.0354, 0.0354, 0.0290, 0.0346],
    ),
    ("https://www.example.com/a?b=c#d", [-0.0809, 0.0015, -0.0209, -0.0302, -0.0384, -0.0086, -0.0023, 0.0043]),
    ("emoji 🎉 and\ttabs\nand lines", [-0.0647, -0.0269, 0.0715, -0.0714, -0.0010, -0.0535, 0.0725, -0.0282]),
    ("1234567890 " * 20, [0.0383, -0.0406, -0.0403, -0.0057, -0.1282, -0.0148, 0.0287, 0.0765]),
    (
        "the quick brown fox jumps over the lazy dog " * 25,
        [0.0560, -0.0369, 0.0753, 0.0059, -0.0635, -0.0153, -0.0216, -0.0799],
    ),
]
"""First eight numbers of each vector. A change here changes every stored vector: give models.toml a new revision."""


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture(scope="session")
def api(encoder: Encoder) -> Iterator[httpx.Client]:
    port = free_port()
    config = uvicorn.Config(create_app(encoder, api_key="secret"), port=port, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    headers = {"Authorization": "Bearer secret"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield client
    server.should_exit = True
    thread.join(10)


def embed(api: httpx.Client, given: object, **fields: object) -> httpx.Response:
    return api.post("/v1/embeddings", json={"model": MODEL_ID, "input": given} | fields)


def vectors_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.array([row["embedding"] for row in response.json()["data"]])


@pytest.mark.parametrize(("text", "first"), GOLDEN)
def test_the_vector_of_a_known_text_is_what_it_always_was(encoder: Encoder, text: str, first: list[float]) -> None:
    vector = encoder.encode(encoder.tokenize([text]))[0]
    np.testing.assert_allclose(vector[:8], first, atol=1e-3)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_text_has_the_same_vector_alone_and_beside_a_longer_one(encoder: Encoder) -> None:
    ids = encoder.tokenize([text for text, _ in GOLDEN])
    together = encoder.encode(ids)
    for one, vector in zip(ids, together, strict=True):
        np.testing.assert_allclose(encoder.encode([one])[0], vector, atol=1e-4)


def test_the_registry_and_the_server_agree_on_the_files() -> None:
    model = load_registry(PROJECT_ROOT / "models.toml").get(MODEL_ID)
    assert (model.tokenizer_sha256, model.weights_sha256) == (TOKENIZER_SHA256, WEIGHTS_SHA256)
    assert model.max_tokens == MAX_TOKENS


def test_other_files_are_refused_at_start(tmp_path: Path) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(b"other")
    with pytest.raises(ConfigurationError, match=r"model\.onnx has sha256 .* its vectors would differ"):
        Encoder(weights=other)
    with pytest.raises(ConfigurationError, match=r"gone\.json can't be read"):
        Encoder(tokenizer=tmp_path / "gone.json")


def test_texts_come_back_in_their_order_with_the_tokens_counted(api: httpx.Client) -> None:
    texts = ["a much longer text about the weather in the mountains " * 4, "short", "hello world"]
    response = embed(api, texts)
    assert [row["index"] for row in response.json()["data"]] == [0, 1, 2]
    np.testing.assert_allclose(vectors_of(response)[2], vectors_of(embed(api, "hello world"))[0], atol=1e-4)
    assert embed(api, ["short", "hello world"]).json()["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_base64_holds_the_same_numbers_as_float(api: httpx.Client) -> None:
    coded = embed(api, "hello world", encoding_format="base64").json()["data"][0]["embedding"]
    numbers = np.frombuffer(base64.b64decode(coded), dtype="<f4")
    np.testing.assert_allclose(numbers, vectors_of(embed(api, "hello world"))[0], atol=1e-6)


def test_token_ids_are_taken_with_and_without_the_special_ones(api: httpx.Client) -> None:
    expected = vectors_of(embed(api, "hello world"))[0]
    for ids in ([7592, 2088], [101, 7592, 2088, 102]):
        np.testing.assert_allclose(vectors_of(embed(api, ids))[0], expected, atol=1e-4)
        np.testing.assert_allclose(vectors_of(embed(api, [ids, ids]))[1], expected, atol=1e-4)


def test_a_text_above_the_window_is_refused_not_cut(api: httpx.Client) -> None:
    assert embed(api, "a " * (MAX_TOKENS - 2)).status_code == 200
    response = embed(api, ["short", "a " * (MAX_TOKENS - 1)])
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "input 1 has 257" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "gpt-5", "input": "x"}, 404, "model_not_found"),
        ({"model": MODEL_ID}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": []}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": ""}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": ["x", ""]}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": [[]]}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": [40000]}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": [-1]}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": 3}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": ["x"] * 2049}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": "x", "encoding_format": "hex"}, 400, "invalid_request"),
        ({"model": MODEL_ID, "input": "x", "dimensions": 128}, 400, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said_in_the_shape_of_openai(
    api: httpx.Client, body: dict[str, object], status: int, code: str
) -> None:
    response = api.post("/v1/embeddings", json=body)
    assert response.status_code == status
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == code


def test_without_the_key_nothing_is_answered_but_health(api: httpx.Client) -> None:
    stranger = {"Authorization": "Bearer other"}
    assert api.get("/v1/models", headers=stranger).status_code == 401
    assert api.post("/v1/embeddings", json={"model": MODEL_ID, "input": "x"}, headers=stranger).status_code == 401
    assert api.get("/health", headers=stranger).json()["status"] == "ok"


def test_it_names_its_model(api: httpx.Client) -> None:
    assert [model["id"] for model in api.get("/v1/models").json()["data"]] == [MODEL_ID]


class SlowModel:
    """Notes each batch; lets it go when told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()

    def encode(self, batch: Sequence[Sequence[int]]) -> np.ndarray:
        self.batches.append([len(one) for one in batch])
        if len(batch[0]) > 64:
            assert self.gate.wait(10)
        return np.ones((len(batch), 2), dtype=np.float32)


async def test_a_query_does_not_wait_for_bulk() -> None:
    model = SlowModel()
    lanes = Lanes(model)
    lanes.start()
    bulk = lanes.submit([[1] * 200] * 8)
    query = lanes.submit([[1] * 10])
    await asyncio.wait_for(query.done, 5)
    assert not bulk.done.done()
    model.gate.set()
    await asyncio.wait_for(bulk.done, 5)
    await lanes.stop()


async def test_batches_hold_like_lengths_and_stay_within_their_padded_size() -> None:
    lengths = [256, 3, 250, 4, 100, 101, 5, 99] * 8
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ticket = Ticket(texts=[[1] * n for n in lengths], vectors=[None] * len(lengths), done=done, missing=len(lengths))
    batches = list(padded_batches([(ticket, position) for position in range(len(lengths))]))
    assert sorted(position for batch in batches for _, position in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[position] for _, position in batch]
        assert len(batch) == 1 or max(sizes) * len(sizes) <= BATCH_TOKENS


async def test_a_failing_batch_fails_its_request_and_not_the_next() -> None:
    class Broken:
        def __init__(self) -> None:
            self.calls = 0

        def encode(self, batch: Sequence[Sequence[int]]) -> np.ndarray:
            self.calls += 1
            if self.calls == 1:
                raise ZeroDivisionError
            return np.ones((len(batch), 2), dtype=np.float32)

    lanes = Lanes(Broken())
    lanes.start()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(lanes.submit([[1] * 100]).done, 5)
    await asyncio.wait_for(lanes.submit([[1] * 100]).done, 5)
    await lanes.stop()


async def test_a_request_that_was_given_up_costs_no_run() -> None:
    model = SlowModel()
    lanes = Lanes(model)
    lanes.start()
    first = lanes.submit([[1] * 200])
    while not model.batches:
        await asyncio.sleep(0.01)
    gone = lanes.submit([[1] * 150] * 5)
    gone.done.cancel()
    model.gate.set()
    await asyncio.wait_for(first.done, 5)
    await asyncio.wait_for(lanes.submit([[1] * 120]).done, 5)
    assert model.batches == [[200], [120]]
    assert lanes.waiting_tokens == 0
    await lanes.stop()


async def test_too_much_waiting_is_refused() -> None:
    lanes = Lanes(SlowModel())
    lanes.submit([[1] * 256] * 1025)
    with pytest.raises(OverloadedError):
        lanes.submit([[1] * 10])
    await lanes.stop()

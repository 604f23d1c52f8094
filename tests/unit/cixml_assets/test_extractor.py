"""The extractor process, started for real: answers, limits, deaths."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from cixml_assets.extractor import NICE
from cixml_assets.extractor_client import ExtractorClient
from cixml_assets.extractor_protocol import socket_path
from resources.errors import ChunkingError, ConfigurationError, ExtractorUnavailableError
from resources.settings import ExtractorSettings, Settings
from resources.types import CHUNKING_STRATEGIES, Chunking, ExtractedDocument, TextLayer

ROOT = Path(__file__).parents[3]
DAY = datetime(2021, 11, 8, tzinfo=UTC)
PAGE = b"<html lang=en><title>Pump</title><h1>Pump</h1><p>The pump moves water.</p><h2>Care</h2><p>Oil it.</p></html>"
SLOW_PAGE = b"x" * 4_000_000  # one word: several seconds of tokenising


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cx") as name:  # short: a socket's path may have 100 bytes
        yield Path(name)


@pytest.fixture(scope="module")
def tokenizer_path(folder: Path) -> Path:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "the": 1, "pump": 2, "##x": 3, "x": 4}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


class Extractor:
    def __init__(self, path: Path, **limits: object) -> None:
        names = {f"CIXML_EXTRACTOR__{name.upper()}": str(value) for name, value in limits.items()}
        environment = os.environ | names | {"CIXML_EXTRACTOR__SOCKET": str(path)}
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cixml_assets.extractor"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def workers(self, *, other_than: frozenset[int] = frozenset()) -> frozenset[int]:
        """Return the process ids of the two workers, once both have begun and they are not those of before.

        The kernel names them, not psutil, which compares dates of birth: a step of the clock moves those.
        """
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + 20
        while True:
            found = frozenset(map(int, children.read_text().split()))
            if len(found) == 2 and found != other_than and all(map(has_begun, found)):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.02)

    async def ready(self) -> ExtractorClient:
        client = ExtractorClient(self.path)
        deadline = time.monotonic() + 20
        while True:
            try:
                await client.ping()
            except ExtractorUnavailableError:
                assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            else:
                return client

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(10)
        if self.process.stderr:
            self.process.stderr.close()
        return code


@pytest.fixture(scope="module")
def extractor(folder: Path) -> Iterator[Extractor]:
    started = Extractor(folder / "e.sock", processes=2, cpu_seconds=1, wall_seconds=5)
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.fixture
async def client(extractor: Extractor) -> AsyncIterator[ExtractorClient]:
    ready = await extractor.ready()
    yield ready
    await ready.aclose()


async def ask(client: ExtractorClient, tokenizer_path: Path, body: bytes, **changes: object) -> ExtractedDocument:
    arguments: dict[str, object] = {
        "content_type": "text/html",
        "charset": "utf-8",
        "url": "http://example.com/",
        "tokenizer_path": tokenizer_path,
        "chunking": Chunking(max_tokens=16, overlap_tokens=2),
        "max_chunks": 4096,
        "exclusions": {},
    }
    return await client.extract(body=body, **(arguments | changes))  # type: ignore[arg-type]  # the names are checked


def has_begun(worker: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getpriority(os.PRIO_PROCESS, worker) == NICE
    return False


def lives(process: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    return False


async def gone(processes: frozenset[int]) -> bool:
    deadline = time.monotonic() + 5
    while any(map(lives, processes)):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_page_comes_back_as_text_and_chunks(client: ExtractorClient, tokenizer_path: Path) -> None:
    document = await ask(client, tokenizer_path, PAGE)
    assert (document.title, document.language, document.coverage) == ("Pump", "en", 1.0)
    assert document.text == "# Pump\n\nThe pump moves water.\n\n## Care\n\nOil it."
    assert [document.text[chunk.start : chunk.end] for chunk in document.chunks] == [c.text for c in document.chunks]
    assert [chunk.heading for chunk in document.chunks] == ["Pump", "Pump > Care"] or len(document.chunks) == 1


async def test_text_layer_is_cut_as_it_stands(client: ExtractorClient, tokenizer_path: Path) -> None:
    text = "  the pump\n\n\n# the e\u0301  pump "
    layer = TextLayer(text=text, title="Pump", language="en", coverage=0.5, extractor="older", published_at=DAY)
    chunking = Chunking(max_tokens=16, overlap_tokens=2)
    document = await client.cut(layer, tokenizer_path=tokenizer_path, chunking=chunking, max_chunks=9)
    found = (document.text, document.title, document.language, document.coverage, document.extractor)
    assert found == (text, "Pump", "en", 0.5, "older")
    assert document.published_at == DAY
    assert [text[chunk.start : chunk.end] for chunk in document.chunks] == [chunk.text for chunk in document.chunks]


async def test_page_is_cut_by_the_strategy_of_its_corpus(client: ExtractorClient, tokenizer_path: Path) -> None:
    cut = {}
    for strategy in CHUNKING_STRATEGIES:
        chunking = Chunking(max_tokens=32, overlap_tokens=8, strategy=strategy)
        cut[strategy] = [chunk.text for chunk in (await ask(client, tokenizer_path, PAGE, chunking=chunking)).chunks]
    assert cut["recursive"] == ["# Pump\n\nThe pump moves water.\n\n## Care\n\nOil it."]
    assert cut["headings"] == ["# Pump\n\nThe pump moves water.", "## Care\n\nOil it."]
    assert cut["sentences"] == cut["recursive"]


async def test_what_a_corpus_excludes_is_left_out(client: ExtractorClient, tokenizer_path: Path) -> None:
    page = b"<h1>Pump</h1><p>The pump.</p><p class='seen-not note'>Kept.</p><p class='old note-x'>Out.</p><q>Out.</q>"
    document = await ask(client, tokenizer_path, page, exclusions={"tags": ["q", "body"], "classes": ["note-x"]})
    assert document.text == "# Pump\n\nThe pump.\n\nKept."


async def test_many_pages_at_once_are_all_answered(client: ExtractorClient, tokenizer_path: Path) -> None:
    bodies = [f"<p>Page number {number} of many.</p>".encode() for number in range(100)]
    documents = await asyncio.gather(*(ask(client, tokenizer_path, body) for body in bodies))
    assert [document.text for document in documents] == [f"Page number {number} of many." for number in range(100)]


@pytest.mark.parametrize(
    ("body", "changes", "code"),
    [
        (b"", {}, "empty_text"),
        (bytes(range(256)) * 10, {}, "encoding_failed"),
        (b"<p>word " * 100, {"max_chunks": 2}, "too_many_chunks"),
    ],
)
async def test_error_of_a_page_comes_back(
    client: ExtractorClient, tokenizer_path: Path, body: bytes, changes: dict[str, object], code: str
) -> None:
    with pytest.raises(ChunkingError) as caught:
        await ask(client, tokenizer_path, body, **changes)
    assert (caught.value.code, caught.value.retryable) == (code, False)


async def test_missing_tokenizer_is_a_configuration_error(client: ExtractorClient, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="tokenizer_path"):
        await ask(client, folder / "none.json", PAGE)


async def test_page_that_takes_too_long_dies_alone(
    extractor: Extractor, client: ExtractorClient, tokenizer_path: Path
) -> None:
    before = await extractor.workers()
    slow = asyncio.create_task(ask(client, tokenizer_path, SLOW_PAGE, content_type="text/plain"))
    quick = await asyncio.gather(*(ask(client, tokenizer_path, PAGE) for _ in range(20)))
    assert len({document.text for document in quick}) == 1
    with pytest.raises(ChunkingError) as caught:
        await slow
    assert (caught.value.code, caught.value.retryable) == ("extraction_failed", True)
    after = await extractor.workers(other_than=before)
    assert len(before & after) == 1


def pdf_of(*streams: tuple[str, bytes]) -> bytes:
    """Return a PDF whose one page is drawn by some deflated streams, each with more entries of its dictionary."""
    kids = " ".join(f"{number + 4} 0 R" for number in range(len(streams)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents[{kids}]/Resources<</XObject<</X 4 0 R>>>>>>".encode(),
    ]
    for entries, data in streams:
        head = f"<<{entries}/Filter/FlateDecode/Length {len(data)}>>stream\n"
        objects.append(head.encode() + data + b"\nendstream")
    body, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


def hostile_pdf(name: str) -> bytes:
    match name:
        case "huge stream":
            return pdf_of(("", zlib.compress(bytes(200_000_000), 1)))
        case "endless drawing":
            return pdf_of(("", zlib.compress(b"BT (a) Tj ET\n" * 4_000_000, 1)))
        case "form that draws itself":
            form = "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 4 0 R>>>>"
            return pdf_of((form, zlib.compress(b"/X Do " * 200)))
        case "pages that are their own":
            return pdf_of(("", b"")).replace(b"/Kids[3 0 R]/Count 1", b"/Kids[2 0 R]/Count 9")
        case _:
            return pdf_of(("", b"")).replace(b"/Size 5", b"/Size 5/Prev 9")


@pytest.mark.parametrize(
    "name", ["huge stream", "endless drawing", "form that draws itself", "pages that are their own", "circle of tables"]
)
async def test_hostile_pdf_ends_alone_with_a_code(
    extractor: Extractor, client: ExtractorClient, tokenizer_path: Path, name: str
) -> None:
    hostile = asyncio.create_task(ask(client, tokenizer_path, hostile_pdf(name), content_type="application/pdf"))
    assert (await ask(client, tokenizer_path, PAGE)).title == "Pump"
    with pytest.raises(ChunkingError) as caught:
        await hostile
    assert caught.value.code in ("extraction_failed", "empty_text")
    assert (await ask(client, tokenizer_path, PAGE)).title == "Pump"


async def test_client_that_goes_away_harms_nobody(
    extractor: Extractor, client: ExtractorClient, tokenizer_path: Path
) -> None:
    for _ in range(4):
        reader, writer = await asyncio.open_unix_connection(extractor.path)
        await reader.readexactly(1)
        writer.write(b"\x00\x00")
        writer.close()
        await writer.wait_closed()
    assert (await ask(client, tokenizer_path, PAGE)).title == "Pump"


async def test_second_extractor_refuses_the_same_socket(extractor: Extractor, client: ExtractorClient) -> None:
    second = Extractor(extractor.path)
    output = (await asyncio.to_thread(second.process.communicate, timeout=20))[1]
    assert second.process.returncode != 0
    assert "another extractor" in output
    await client.ping()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_workers_end_with_their_parent(folder: Path, number: signal.Signals) -> None:
    extractor = Extractor(folder / "s.sock", processes=2)  # over the socket that a killed one left behind, too
    client = await extractor.ready()
    workers = await extractor.workers()
    extractor.stop(number)
    assert await gone(workers)
    with pytest.raises(ExtractorUnavailableError):
        await client.ping()


async def test_no_extractor_is_said_so(folder: Path) -> None:
    with pytest.raises(ExtractorUnavailableError):
        await ExtractorClient(folder / "nobody.sock").ping()


def test_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100) / "extractor.sock"
    with pytest.raises(ConfigurationError, match="CIXML_EXTRACTOR__SOCKET"):
        socket_path(Settings(extractor=ExtractorSettings(socket=long)))
    assert socket_path(Settings(home=Path("/a"))) == Path("/a/run/extractor.sock")

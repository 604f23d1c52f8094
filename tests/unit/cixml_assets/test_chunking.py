"""Chunking: its laws, for tokenizers of three kinds and any text."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from cixml_assets.chunking import chunk_text
from resources.embedding.tokenizer import load_tokenizer
from resources.types import CHUNKING_STRATEGIES, Chunking, ChunkingStrategy, TextChunk

SAMPLE = [
    "A chunk is cut where a sentence ends. Words are kept whole, and nothing is lost.",
    "Ein Abschnitt endet, wo ein Satz endet. Überall gilt das Gleiche!",
    "段落は文の終わりで切られる。何も失われない。 هذا نص قصير. 한국어 문장입니다.",
]


def bert() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(SAMPLE, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SAMPLE, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(SAMPLE, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


TOKENIZERS = {make.__name__: make() for make in (bert, byte_level, unigram)}
SCRIPTS = st.text(
    st.sampled_from("ab .\n\t,!漢字。あ한국عربעברית हिन्दी ภาษาไทยé\u0301🙂👩‍👩‍👧#-\u00a0\u2028"), max_size=400
)
WORDS = st.lists(
    st.sampled_from([*SAMPLE, "# Title", "## Part", "\n\n", "\n", " ", "wort" * 60, "x"]), max_size=30
).map("".join)
SIZES = st.sampled_from([(20, 0), (20, 5), (32, 8), (64, 63 - 4)])
BY_STRATEGY = pytest.mark.parametrize("strategy", CHUNKING_STRATEGIES)


def assert_laws(text: str, chunks: list[TextChunk], tokenizer: Tokenizer, chunking: Chunking) -> None:
    reached = 0
    for number, chunk in enumerate(chunks):
        assert chunk.ordinal == number
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text.strip()
        assert chunk.end > reached, "every chunk brings something new"
        assert not text[reached : chunk.start].strip(), "nothing but white space is lost"
        assert chunk.token_count == len(tokenizer.encode(chunk.text).ids) <= chunking.max_tokens
        overlap = text[chunk.start : reached] if chunk.start < reached else ""
        assert len(tokenizer.encode(overlap, add_special_tokens=False).ids) <= chunking.overlap_tokens
        reached = chunk.end
    assert not text[reached:].strip()


@BY_STRATEGY
@pytest.mark.parametrize("name", TOKENIZERS)
def test_chunking_keeps_its_laws_for_any_text(name: str, strategy: ChunkingStrategy) -> None:
    tokenizer = TOKENIZERS[name]

    @settings(max_examples=100, deadline=None)
    @given(st.one_of(SCRIPTS, WORDS, st.text(max_size=200)), SIZES)
    def holds(text: str, sizes: tuple[int, int]) -> None:
        chunking = Chunking(max_tokens=sizes[0], overlap_tokens=sizes[1], strategy=strategy)
        chunks = chunk_text(text, tokenizer, chunking)
        assert_laws(text, chunks, tokenizer, chunking)
        assert chunks == chunk_text(text, tokenizer, chunking)

    holds()


@BY_STRATEGY
@pytest.mark.parametrize(
    ("name", "text"),
    [("bert", "x" * 1_000_000)]
    + [
        (name, text)
        for name in TOKENIZERS
        for text in ("y" * 100_000, "漢" * 10_000, "ภาษาไทย" * 2_000, "عربي" * 3_000, "👩‍👩‍👧e\u0301" * 1_500)
    ]
    + [(name, "ab " * 10_000) for name in TOKENIZERS],
    ids=lambda value: value[:10],
)
def test_huge_text_without_structure_is_cut(name: str, text: str, strategy: ChunkingStrategy) -> None:
    chunking = Chunking(max_tokens=256, overlap_tokens=32, strategy=strategy)
    started = time.process_time()
    chunks = chunk_text(text, TOKENIZERS[name], chunking)
    assert time.process_time() - started < 8
    assert_laws(text, chunks, TOKENIZERS[name], chunking)


def test_cuts_fall_between_paragraphs_and_sentences() -> None:
    paragraphs = [f"{SAMPLE[0]} {SAMPLE[0]}" for _ in range(6)]
    chunks = chunk_text("\n\n".join(paragraphs), bert(), Chunking(max_tokens=80, overlap_tokens=0))
    assert all(chunk.text.endswith(".") and chunk.text.startswith("A chunk") for chunk in chunks)


def chunks_of(text: str, strategy: ChunkingStrategy, most: int = 32, overlap: int = 8) -> list[TextChunk]:
    chunking = Chunking(max_tokens=most, overlap_tokens=overlap, strategy=strategy)
    chunks = chunk_text(text, TOKENIZERS["bert"], chunking)
    assert_laws(text, chunks, TOKENIZERS["bert"], chunking)
    return chunks


def test_no_chunk_reaches_from_one_section_into_the_next() -> None:
    text = "# Guide\n\n## Install\n\nGet it.\n\n## Use\n\nTurn it.\n\nOften.\n\n### Never\n\n# Notes\n\nNone."
    assert [chunk.text for chunk in chunks_of(text, "headings", 200)] == [
        "# Guide\n\n## Install\n\nGet it.",
        "## Use\n\nTurn it.\n\nOften.",
        "### Never",
        "# Notes\n\nNone.",
    ]
    assert len(chunks_of(text, "recursive", 200)) == 1


def test_section_larger_than_a_chunk_is_cut_within() -> None:
    text = "\n\n".join(f"## Part {number}\n\n{' '.join(SAMPLE[:2] * 3)}" for number in range(4))
    chunks = chunks_of(text, "headings", 64)
    assert [chunk.text[:9] for chunk in chunks if chunk.text.startswith("##")] == [f"## Part {n}" for n in range(4)]
    assert all("\n## " not in chunk.text for chunk in chunks)
    assert len(chunks) > 4


def test_sentences_are_cut_and_overlapped_whole() -> None:
    sentences = [f"The pump number {number} is {'very ' * (number % 5)}good." for number in range(60)]
    text = " ".join(sentences)
    chunks = chunks_of(text, "sentences", 64, 30)
    for chunk in chunks:
        assert chunk.text.startswith("The pump")
        assert chunk.text.endswith("good.")
    for before, after in itertools.pairwise(chunks):
        assert after.start < before.end, "the last sentence is in both"


def test_overlap_of_sentences_too_long_for_it_is_none() -> None:
    text = " ".join(f"{'very ' * 20}good {number}." for number in range(10))
    chunks = chunks_of(text, "sentences", 64, 8)
    assert all(before.end < after.start for before, after in itertools.pairwise(chunks))


@BY_STRATEGY
@pytest.mark.parametrize("name", TOKENIZERS)
def test_cost_grows_with_the_length_alone(name: str, strategy: ChunkingStrategy) -> None:
    section = "## Part\n\n" + "\n\n".join(SAMPLE) + "\n\n"
    chunking = Chunking(max_tokens=64, overlap_tokens=16, strategy=strategy)

    def seconds(times: int) -> float:
        started = time.process_time()
        chunk_text(section * times, TOKENIZERS[name], chunking)
        return time.process_time() - started

    seconds(10)
    assert min(seconds(1600) for _ in range(2)) < 8 * max(seconds(200) for _ in range(3)) * 2.5


def test_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="no strategy"):
        chunk_text("text", TOKENIZERS["bert"], Chunking(max_tokens=64, overlap_tokens=0, strategy="magic"))  # type: ignore[arg-type]


def test_chunk_has_the_path_of_its_heading() -> None:
    text = "\n\n".join(["# Guide", SAMPLE[0], "## Install", SAMPLE[0], "## Use", SAMPLE[0], "# Notes", SAMPLE[0]])
    chunks = chunk_text(text, TOKENIZERS["bert"], Chunking(max_tokens=32, overlap_tokens=8))
    headings = [chunk.heading for chunk in chunks if chunk.text.startswith("#")]
    assert headings == ["Guide", "Guide > Install", "Guide > Use", "Notes"]
    assert chunk_text("no heading", TOKENIZERS["bert"], Chunking(max_tokens=32, overlap_tokens=8))[0].heading is None


def test_truncation_inside_the_tokenizer_file_hides_no_text(tmp_path: Path) -> None:
    tokenizer = bert()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=128)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    chunking = Chunking(max_tokens=64, overlap_tokens=8)
    text = " ".join(SAMPLE * 20)
    chunks = chunk_text(text, load_tokenizer(path), chunking)
    assert_laws(text, chunks, TOKENIZERS["bert"], chunking)
    assert len(chunks) > 10


def test_empty_text_has_no_chunks() -> None:
    assert chunk_text(" \n\n ", TOKENIZERS["bert"], Chunking(max_tokens=64, overlap_tokens=8)) == []


@pytest.mark.parametrize("sizes", [(2, 0), (16, 14), (16, -1)])
def test_sizes_that_leave_no_room_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no room"):
        chunk_text("text", TOKENIZERS["bert"], Chunking(max_tokens=sizes[0], overlap_tokens=sizes[1]))

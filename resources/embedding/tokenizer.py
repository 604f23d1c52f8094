"""Loads a model's own tokenizer, to count tokens the way the model will."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer with truncation and padding off.

    Files of sentence-transformers carry both inside (all-MiniLM-L6-v2: 128): left on, every short text would count
    128 tokens and every long one would be cut without a word. The registry has checked the file's sha256.
    """
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    """Return the tokens of each text, special tokens included: what counts against the model's window."""
    return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]

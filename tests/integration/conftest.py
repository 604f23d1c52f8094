"""Fixtures of tests of index versions: a corpus, and runs that fill versions of it."""

from tests.reindexing import corpus, runs

__all__ = ["corpus", "runs"]

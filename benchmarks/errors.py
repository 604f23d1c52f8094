"""What can go wrong while measuring. A figure that can't be had is an error; a bad figure is none."""

from __future__ import annotations

import httpx
import psutil
import psycopg

from resources.errors import CixmlError


class BenchmarkError(Exception):
    """A figure could not be measured."""


NOT_MEASURED = (BenchmarkError, CixmlError, OSError, httpx.HTTPError, psutil.Error, psycopg.Error)
"""What a figure may raise without being a mistake of the benchmarks themselves."""

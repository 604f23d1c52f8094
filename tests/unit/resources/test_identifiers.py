"""Ids: ordered by time, and read back only in the form they were given out."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import NotFoundError
from resources.identifiers import Prefix, new_uuid, parse_public_id, public_id, short_id


def test_a_new_uuid_is_a_version_7_of_now() -> None:
    values = [new_uuid() for _ in range(1000)]
    assert {(value.version, value.variant) for value in values} == {(7, "specified in RFC 4122")}
    assert len(set(values)) == 1000
    assert all(early.int >> 80 <= late.int >> 80 for early, late in pairwise(values))


def test_the_short_id_is_of_the_random_part() -> None:
    assert len({short_id(new_uuid()) for _ in range(100)}) == 100


@given(st.uuids(), st.sampled_from(Prefix))
def test_a_public_id_reads_back(value: UUID, prefix: Prefix) -> None:
    assert parse_public_id(prefix, public_id(prefix, value)) == value


@given(st.text())
def test_other_text_is_nothings_id(text: str) -> None:
    with pytest.raises(NotFoundError):
        parse_public_id(Prefix.JOB, text)


@pytest.mark.parametrize("change", [str.upper, lambda text: text + "0", lambda text: text.replace("job_", "job_ ")])
def test_a_changed_id_is_nothings_id(change: object) -> None:
    assert callable(change)
    with pytest.raises(NotFoundError):
        parse_public_id(Prefix.JOB, change("job_" + "ab" * 16))

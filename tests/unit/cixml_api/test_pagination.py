"""Cursors: opaque, and refused when they are not one of ours."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cixml_api.errors import InvalidFieldsError
from cixml_api.pagination import decode_cursor, encode_cursor, split

PLACE = TypeAdapter(tuple[Literal["name"], str, UUID])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.uuids())
def test_a_cursor_reads_back(name: str, number: UUID) -> None:
    assert decode_cursor(encode_cursor("name", name, number), PLACE) == ("name", name, number)


@given(st.text())
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidFieldsError):
        decode_cursor(text, PLACE)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidFieldsError):
        decode_cursor(encode_cursor("ordinal", 3), PLACE)


def test_one_row_above_the_limit_says_that_more_follow() -> None:
    assert split([1, 2, 3], 2) == ([1, 2], True)
    assert split([1, 2], 2) == ([1, 2], False)
    assert decode_cursor(None, PLACE) is None

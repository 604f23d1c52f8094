"""The whole API over HTTP, played by two callers and an operator."""

from __future__ import annotations

import pytest

from cixml import keys
from tests.stack import Stack
from tests.two_callers import play


@pytest.mark.slow
def test_two_callers_play_through_the_whole_api(stack: Stack) -> None:
    pepper = stack.values["CIXML_API__KEY_PEPPER"]

    def new_key(name: str, is_operator: bool) -> str:
        return keys.create_key(stack.home.keys_file, pepper, name=name, is_operator=is_operator)

    played: list[str] = []
    play(stack.url, new_key, pepper, played.append)
    assert len(played) == 18

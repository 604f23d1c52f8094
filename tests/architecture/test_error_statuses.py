"""Every error of the product has an answer over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cixml_api.errors import ANSWERS, answer_of
from resources import errors


def leaves(kind: type[errors.CixmlError]) -> Iterator[type[errors.CixmlError]]:
    children = [child for child in kind.__subclasses__() if child.__module__.startswith(("resources.", "cixml_api."))]
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


@pytest.mark.parametrize("kind", sorted(set(leaves(errors.CixmlError)), key=lambda kind: kind.__name__))
def test_every_leaf_has_a_status_of_its_own(kind: type[errors.CixmlError]) -> None:
    assert kind in ANSWERS


@pytest.mark.parametrize("kind", sorted(ANSWERS, key=lambda kind: kind.__name__))
def test_a_status_says_whose_fault_it_is(kind: type[errors.CixmlError]) -> None:
    status = answer_of(kind).status
    if issubclass(kind, errors.CallerError):
        assert 400 <= status < 500
    elif issubclass(kind, errors.DependencyError):
        assert status == 503
        assert kind.retryable
    else:
        assert status == 500


def test_numbers_are_unambiguous() -> None:
    shown = [(answer.number, answer.status, answer.title) for answer in ANSWERS.values()]
    assert len({number for number, _, _ in shown}) == len({(number, status) for number, status, _ in shown})

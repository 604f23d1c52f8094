"""A search's filter as Postgres evaluates it: a jsonpath over a document's facts, with the values as variables."""

from __future__ import annotations

import json
from typing import assert_never

from cixml_api.schemas.filters import AllOf, AnyOf, Condition, Filter, NoneOf
from resources.postgres import search

_COMPARISONS = {"eq": "==", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def compiled(found: Filter | None) -> search.Filter | None:
    """Return the filter for the statements of searches."""
    if found is None:
        return None
    values: dict[str, object] = {}
    return search.Filter(path=f"$ ? ({_expression(found, values)})", values=values)


def _expression(found: Filter, values: dict[str, object]) -> str:
    match found:
        case AllOf():
            return " && ".join(f"({_expression(each, values)})" for each in found.and_)
        case AnyOf():
            return " || ".join(f"({_expression(each, values)})" for each in found.or_)
        case NoneOf():
            return f"!({_expression(found.not_, values)})"
        case Condition():
            return _condition(found, values)
        case _:
            assert_never(found)


def _condition(found: Condition, values: dict[str, object]) -> str:
    """Return a predicate that is true or false, never unknown: else `not` of it would be unknown, too."""
    scope, _, name = found.field.partition(".")
    place = f"@.{scope}.{json.dumps(name)}" if name else f"@.{scope}"
    match found.operator:
        case "exists":
            return f"({place} != null)" if found.value else f"!({place} != null)"
        case "prefix":
            return _decided(f"{place} starts with {_variable(found.value, values)}")
        case "in":
            return " || ".join(_decided(f"{place} == {_variable(each, values)}") for each in found.value)
        case "ne":
            return f"!({_decided(f'{place} == {_variable(found.value, values)}')})"
        case operator:
            return _decided(f"{place} {_COMPARISONS[operator]} {_variable(found.value, values)}")


def _decided(predicate: str) -> str:
    """Return it so that values of different types are unequal and have no order."""
    return f"(!(({predicate}) is unknown) && ({predicate}))"


def _variable(value: object, values: dict[str, object]) -> str:
    name = f"v{len(values)}"
    values[name] = value
    return f'$"{name}"'

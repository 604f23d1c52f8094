"""Filters of a search: conditions on documents, joined by and, or and not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from cixml_api.schemas.common import Request, Scalar, is_moment

MOST_DEPTH = 5
MOST_CONDITIONS = 50
TIMES = ("fetched_at", "published_at")
OPERATORS = ("eq", "ne", "in", "prefix", "gt", "gte", "lt", "lte", "exists")
_TEXT_OPERATORS = ("eq", "ne", "in", "prefix", "exists")
_TIME_OPERATORS = ("gt", "gte", "lt", "lte", "exists")
_Bound = Annotated[str, Field(max_length=2048)] | float
_moment = TypeAdapter(datetime)


class Condition(Request):
    """One field and one operator. A document without the field passes `ne` and `exists: false` alone."""

    field: str = Field(
        pattern=r"^(url|external_id|language|fetched_at|published_at|metadata\.[^\x00]{1,128})$",
        description="`url`, `external_id`, `language`, `fetched_at`, `published_at`, or `metadata.NAME`",
    )
    eq: Scalar = None
    ne: Scalar = None
    in_: list[Scalar] | None = Field(default=None, alias="in", min_length=1, max_length=100)
    prefix: str | None = Field(default=None, min_length=1, max_length=2048)
    gt: _Bound | None = None
    gte: _Bound | None = None
    lt: _Bound | None = None
    lte: _Bound | None = None
    exists: bool | None = None

    @property
    def operator(self) -> str:
        return next(name for name in OPERATORS if _attribute(name) in self.model_fields_set)

    @property
    def value(self) -> Any:
        """What the field is compared with; of a time, seconds since 1970."""
        given = getattr(self, _attribute(self.operator))
        return _seconds(given) if self.field in TIMES and self.operator != "exists" else given

    @model_validator(mode="after")
    def _fits_its_field(self) -> Condition:
        given = [name for name in OPERATORS if _attribute(name) in self.model_fields_set]
        if len(given) != 1:
            raise ValueError(f"a condition on {self.field!r} needs one of {', '.join(OPERATORS)}: it has {len(given)}")
        (name,) = given
        if getattr(self, _attribute(name)) is None and name not in ("eq", "ne"):
            raise ValueError(f"the operator {name!r} on {self.field!r} needs a value")
        if self.field in TIMES:
            if name not in _TIME_OPERATORS:
                raise ValueError(f"{self.field!r} is a time: compare it by one of {', '.join(_TIME_OPERATORS)}")
            if name != "exists":
                _seconds(getattr(self, name))
        elif not self.field.startswith("metadata.") and name not in _TEXT_OPERATORS:
            raise ValueError(f"{self.field!r} is a text: compare it by one of {', '.join(_TEXT_OPERATORS)}")
        return self


class AllOf(Request):
    """Every one of these holds."""

    and_: list[Filter] = Field(alias="and", min_length=1, max_length=MOST_CONDITIONS)


class AnyOf(Request):
    """One of these holds."""

    or_: list[Filter] = Field(alias="or", min_length=1, max_length=MOST_CONDITIONS)


class NoneOf(Request):
    """This does not hold."""

    not_: Filter = Field(alias="not")


def _kind(value: Any) -> str:
    """Return the tag of a filter's form; angle brackets keep it out of the pointers of errors."""
    for name, model in (("and", AllOf), ("or", AnyOf), ("not", NoneOf)):
        if isinstance(value, model) or (isinstance(value, dict) and name in value):
            return f"<{name}>"
    return "<condition>"


Filter = Annotated[
    Annotated[Condition, Tag("<condition>")]
    | Annotated[AllOf, Tag("<and>")]
    | Annotated[AnyOf, Tag("<or>")]
    | Annotated[NoneOf, Tag("<not>")],
    Discriminator(_kind),
]


def check_size(found: Filter | None) -> Filter | None:
    """Refuse a filter that is too deep or has too many conditions."""
    conditions = 0
    for depth, each in _parts(found, 1) if found is not None else ():
        if depth > MOST_DEPTH:
            raise ValueError(f"a filter may be {MOST_DEPTH} deep: join its conditions in fewer steps")
        conditions += isinstance(each, Condition)
    if conditions > MOST_CONDITIONS:
        raise ValueError(f"a filter may have {MOST_CONDITIONS} conditions, this one has {conditions}")
    return found


def _parts(found: Filter, depth: int) -> Iterator[tuple[int, Filter]]:
    yield depth, found
    inner = found.and_ if isinstance(found, AllOf) else found.or_ if isinstance(found, AnyOf) else []
    for each in [found.not_] if isinstance(found, NoneOf) else inner:
        yield from _parts(each, depth + 1)


def _attribute(name: str) -> str:
    return "in_" if name == "in" else name


def _seconds(given: object) -> float:
    """Return a time, RFC 3339 with its zone or a day of UTC, in seconds since 1970."""
    try:
        if isinstance(given, str) and len(given) == len("2026-11-24"):
            return datetime.combine(date.fromisoformat(given), datetime.min.time(), UTC).timestamp()
        return _moment.validate_python(is_moment(given)).timestamp()
    except ValueError:
        raise ValueError(f"{given!r} is no time: write 2026-11-24T10:00:00Z, or a day of UTC as 2026-11-24") from None


for _model in (AllOf, AnyOf, NoneOf):
    _model.model_rebuild()

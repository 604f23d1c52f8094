"""Every setting stands in docs/configuration.md with its environment name and its default, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from resources.settings import PROJECT_ROOT, Settings

DOCUMENT = PROJECT_ROOT / "docs" / "configuration.md"
ROW = re.compile(r"^\| `(?P<name>[A-Z0-9_]+)` \| (?P<default>[^|]+?) \| (?P<meaning>[^|]+?) \|$", re.MULTILINE)


def settings_fields(model: type[BaseModel], prefix: str = "CIXML_") -> Iterator[tuple[str, FieldInfo]]:
    """Yield each leaf setting's environment name and field."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_fields(field.annotation, f"{prefix}{name.upper()}__")
        elif isinstance(field.validation_alias, AliasChoices):
            yield str(field.validation_alias.choices[0]), field
        else:
            yield f"{prefix}{name.upper()}", field


def shown_default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "-"
    if isinstance(value, Path):
        value = value.relative_to(PROJECT_ROOT) if value.is_absolute() else value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row["name"]: row["default"] for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8"))}
    defined = {name: shown_default(field) for name, field in settings_fields(Settings)}
    assert documented == defined

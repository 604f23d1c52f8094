"""What can go wrong while the stack starts. Wrong settings are `ConfigurationError`, from the floor."""

from __future__ import annotations

from resources.errors import CixmlError


class StackError(CixmlError):
    """The embedded stack did not start."""

    code = "stack"

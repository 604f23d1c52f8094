"""`python -m resources.orchestration.logged SERVICE MODULE ARGUMENT...`: one of Dagster's own programs, with our logs.

Dagster and uvicorn give their loggers handlers of their own, which know neither our form nor what must not be shown.
`logging.config` has a place for another reading of such a configuration: here it leaves their lines to the root.
"""

from __future__ import annotations

import logging.config
import runpy
import sys
from typing import Any

from resources.errors import CixmlError
from resources.settings import Settings
from resources.telemetry import process


class _LeavesToRoot(logging.config.DictConfigurator):
    """A configuration whose loggers have no handlers and hand their records on."""

    def __init__(self, config: dict[str, Any]) -> None:
        loggers = {
            name: {key: value for key, value in given.items() if key != "handlers"} | {"propagate": True}
            for name, given in config.get("loggers", {}).items()
        }
        super().__init__(config | {"handlers": {}, "formatters": {}, "loggers": loggers})


def main() -> None:
    """Set the process up and become the module."""
    service, module, *arguments = sys.argv[1:]
    try:
        process.begin(Settings.load(), service)
    except CixmlError as error:
        sys.stderr.write(f"{service}: {error.message}\n")
        sys.exit(1)
    logging.config.dictConfigClass = _LeavesToRoot  # type: ignore[assignment]  # typeshed has it as final
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

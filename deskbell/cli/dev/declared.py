"""A process that loads the integrator's code and says, as one JSON line, what `deskbell dev` shows of it.

It runs anew when code changes: `deskbell dev` itself imports nothing of the integrator's. What cannot be loaded the api
and the workers say.
"""

import json
import shlex
import sys
from contextlib import suppress
from typing import Any

from deskbell.cli.agreement import disagreements_of
from deskbell.cli.send.inputs import sample_inputs
from shared.errors import ConfigError
from shared.handlers.asking import AskHandler
from shared.handlers.handler import Handler
from shared.loading import load_callbacks
from shared.settings.config import Settings, load_settings

EVENT = "declared"
"""The `event` of the line."""


def call_of(handler: Handler) -> str:
    """The words after `deskbell send` for a handler: its node with a value for each input that it requires."""
    if not handler.is_node:
        return handler.spec.decorator
    values: dict[str, str] = {}
    with suppress(ConfigError):  # `send` says which input it finds no value for
        values = {name: value for name, value in sample_inputs(handler) if value}
    return shlex.join([handler.name, *(f"{name}={value}" for name, value in values.items())])


def declared(settings: Settings) -> dict[str, Any]:
    """The calls of the handlers, and what jobs and handlers disagree about."""
    calls, warnings = [], []
    with suppress(ConfigError):
        handlers = load_callbacks(settings).handlers
        calls = [call_of(each) for each in handlers if not isinstance(each, AskHandler)]  # which need a ticket
    with suppress(ConfigError):
        warnings = list(disagreements_of(settings))
    return {"event": EVENT, "calls": calls, "warnings": warnings}


def main() -> None:
    """Print what is declared."""
    with suppress(ConfigError):
        found = declared(load_settings())
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()

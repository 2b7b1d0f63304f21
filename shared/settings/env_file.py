"""The environment file (dotenv). Each new process reads it, and so its settings may change while a supervisor runs."""

import os
from pathlib import Path

from dotenv.parser import parse_stream

from shared.errors import ConfigError

NAME = "DESKBELL_ENV_FILE"


def read_env_file() -> None:
    """Add what the file that `DESKBELL_ENV_FILE` names says to this process's environment, which takes precedence.

    Raises:
        ConfigError: it cannot be read, or a line is not `NAME=value`.
    """
    if not (path := os.environ.get(NAME)):
        return
    try:
        with Path(path).open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{NAME}: expected a file that can be read, got {path!r}: {reason}") from None
    for line in lines:
        text = line.original.string
        if line.error or "\0" in text or (line.key and line.value is None):
            number = line.original.line + text[: -len(text.lstrip())].count("\n")  # with blank lines before it
            raise ConfigError(f"{NAME}: expected NAME=value, got something else in line {number} of {path!r}")
        if line.key and line.value is not None and not os.environ.get(line.key):
            os.environ[line.key] = line.value

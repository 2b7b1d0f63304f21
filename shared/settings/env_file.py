"""The environment file (dotenv): what DESKBELL_ENV_FILE names, or else `.env` beside the integrator's package.

Each new process reads it, and so its settings may change while a supervisor runs. It is read into the environment, not
by pydantic-settings: it may hold variables of the integrator's own, and a message names its line.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from shared.errors import ConfigError

NAME = "DESKBELL_ENV_FILE"
_APP_DIR = "DESKBELL_APP_DIR"


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The file that was read.

    Attributes:
        path: the file; None when there is none.
        lines: the variables that have their value from it, each with its line.
    """

    path: Path | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """Where a variable stands, to be put before what is wrong with it; "" for one of the environment."""
        return f"{self.path}, line {self.lines[name]}: " if name in self.lines else ""


def read_env_file() -> EnvFile:
    """Add what the file says to this process's environment, which takes precedence.

    Raises:
        ConfigError: it cannot be read, or a line is not `NAME=value`.
    """
    named = os.environ.get(NAME)
    path = Path(named or Path(os.environ.get(_APP_DIR) or ".", ".env"))
    if not (named or path.is_file()):  # a folder of that name is a virtual environment
        return EnvFile()
    if not named and _is_anybodys(path):
        raise ConfigError(
            f"settings: {str(path)!r} is another user's, in a folder that everybody may write to; {NAME} names it if "
            f"it is meant, and {NAME}=/dev/null lets it be"
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            parsed = list(parse_stream(file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        who, otherwise = (NAME, "") if named else ("settings", f"; {NAME}=/dev/null lets it be")
        raise ConfigError(f"{who}: expected a file that can be read, got {str(path)!r}: {reason}{otherwise}") from None
    lines: dict[str, int] = {}
    for binding in parsed:
        text, name, value = binding.original.string, binding.key, binding.value
        number = binding.original.line + text[: -len(text.lstrip())].count("\n")  # with blank lines before it
        if binding.error or "\0" in text or (name and value is None):
            hint = "a value that holds quotes or # stands in single quotes"
            raise ConfigError(f"{path}, line {number}: expected NAME=value, got something else; {hint}")
        if name == NAME:
            raise ConfigError(f"{path}, line {number}: {NAME} is read from the environment alone; or write --env-file")
        if name and value is not None:
            if not os.environ.get(name):
                os.environ[name] = value
            if os.environ[name] == value:
                lines[name] = number
    return EnvFile(path, lines)


def _is_anybodys(path: Path) -> bool:
    """Whether anybody may have put a file where it was found, as in /tmp: it names modules that are imported."""
    owners = {path.lstat().st_uid, path.stat().st_uid}
    return bool(path.absolute().parent.stat().st_mode & stat.S_IWOTH and owners - {os.geteuid(), 0})

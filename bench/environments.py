"""A virtual environment for each contender and each endpoint, made once."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

FOLDER = Path(".bench")
"""Holds the environments, the logs and what was measured."""


class Installable(Protocol):
    """What has an environment of its own: the folder, and what pip installs there."""

    @property
    def name(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def packages(self) -> tuple[str, ...]: ...


_Each = TypeVar("_Each", bound=Installable)


def install(contenders: Iterable[_Each]) -> list[_Each]:
    """Install what is not there yet.

    Returns:
        The contenders that can run; of the others it says why they cannot.
    """
    return [contender for contender in contenders if _is_there(contender)]


def _is_there(contender: Installable) -> bool:
    folder = FOLDER / contender.environment
    stamp = folder / "installed"
    wanted = " ".join(contender.packages) + "\n"
    if "requirements.lock" in contender.packages:
        wanted += Path("requirements.lock").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return True
    sys.stderr.write(f"installing {contender.name} into {folder}\n")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, *contender.packages]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2]
            sys.stderr.write(f"skipped {contender.name}, which cannot be installed: {reason}\n")
            return False
    stamp.write_text(wanted)
    return True

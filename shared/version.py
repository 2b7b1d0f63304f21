"""The version of the package, and the commit that it was built from where that is known."""

import subprocess
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

_PACKAGE = "deskbell"
_HERE = Path(__file__).parent
_COMMIT_FILE = _HERE / "commit"  # the image's build writes it
_SHORT = 12
_GIT_SECONDS = 5


def version() -> str:
    """The package's version, such as `0.1.0`."""
    return distribution(_PACKAGE).version


@cache
def commit() -> str:
    """The commit, 12 hex digits; "" where it is not known.

    The image's build wrote it down; a checkout knows it.
    """
    return (_written() or _of_checkout())[:_SHORT]


def _written() -> str:
    return _COMMIT_FILE.read_text().strip() if _COMMIT_FILE.is_file() else ""


def _of_checkout() -> str:
    if not (_HERE.parent / ".git").exists():
        return ""
    command = ["git", "-C", str(_HERE.parent), "rev-parse", "HEAD"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GIT_SECONDS)  # noqa: S603 - our own words
    except (OSError, subprocess.TimeoutExpired):  # there is no git
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""

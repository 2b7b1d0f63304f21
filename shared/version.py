"""The version of the package, and the commit that it was built from where that is known."""

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_PACKAGE = "deskbell"
COMMIT_FILE = Path(__file__).parent / "commit"  # the image's build writes it
_SHORT = 12


def version() -> str:
    """The package's version, such as `0.1.0`; `unknown` where it runs from its sources, as the benchmarks run it."""
    try:
        return distribution(_PACKAGE).version
    except PackageNotFoundError:
        return "unknown"


@cache
def commit() -> str:
    """The commit, 12 hex digits, as the image's build wrote it down; "" where it is not known."""
    return COMMIT_FILE.read_text().strip()[:_SHORT] if COMMIT_FILE.is_file() else ""

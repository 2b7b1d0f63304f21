"""Programs of Debian packages that some tests need: without one a test is skipped, but in CI it fails."""

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """The path of a program."""
    path = shutil.which(name)
    if not path and "CI" not in os.environ:
        pytest.skip(f"{name} is not here: apt-get install {package}")
    assert path, f"{name} is missing: .ci/run installs {package}"
    return path

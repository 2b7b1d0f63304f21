"""The command, as a fixture."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import forked
from tests.processes import environment

Dead = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dead(tmp_path: Path, valkey_url: str) -> Dead:
    """Run `deskbell dead`, with no setting but the server's."""

    def run(*words: str, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        given = environment(DESKBELL_REDIS_URL=valkey_url, USER="li", **settings)
        return forked.run("dead", *words, env=given, cwd=tmp_path, typed=typed)

    return run

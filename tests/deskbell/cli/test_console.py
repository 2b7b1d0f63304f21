"""`deskbell console` and `deskbell hash-password`, as processes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from console.access.passwords import is_password
from deskbell.cli.processes.listening import listen
from tests import forked
from tests.console.browsing import PASSWORD, cheap_hash
from tests.waiting import until

COMMAND = [sys.executable, "-m", "deskbell"]
USERS = json.dumps({"ana": {"role": "viewer", "password": cheap_hash(PASSWORD)}})


def test_a_console_that_is_told_to_end_ends_well(valkey_url: str, tmp_path: Path) -> None:
    """As a service does: with status 0. It takes a socket that it is handed."""
    with listen("127.0.0.1", 0) as listener:
        words = [*COMMAND, "console", "--fd", str(listener.fileno())]
        environment = {"DESKBELL_REDIS_URL": valkey_url, "DESKBELL_ENV_FILE": "/dev/null"}
        process = subprocess.Popen(words, env=environment, cwd=tmp_path, pass_fds=[listener.fileno()])
        page = httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=60)
        process.terminate()

        assert page.status_code == 200
        assert until(lambda: process.poll() is not None)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        (["--host", "0.0.0.0"], {}, "--host: expected 127.0.0.1 while nobody has to sign in"),
        ([], {"DESKBELL_CONSOLE_USERS": USERS}, "DESKBELL_CONSOLE_KEY: expected 32 characters or more, that sign"),
        (["--rq-dashboard", "ops:9181"], {}, "--rq-dashboard: expected a URL that begins with http:// or https://"),
        (
            [],
            {"DESKBELL_CONSOLE_KEY": "short"},
            "DESKBELL_CONSOLE_KEY: expected 32 characters or more, got a value not shown here",
        ),
    ],
)
def test_a_console_that_could_not_be_served_as_asked_does_not_start(
    options: list[str], environment: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    """In one sentence, and nothing says before that it listens."""
    env = {"DESKBELL_ENV_FILE": "/dev/null"} | environment
    ended = forked.run("console", "--port", "0", *options, env=env, cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"deskbell: {sentence}")
    assert len(ended.stderr.splitlines()) == 1


def test_a_password_is_hashed_from_a_pipe(tmp_path: Path) -> None:
    """One that is short is refused; neither is shown."""
    said = [forked.run("hash-password", env={}, cwd=tmp_path, typed=f"{word}\n") for word in (PASSWORD, "hunter2")]

    assert re.fullmatch(r"scrypt\.15\.8\.3\.\S+\n", said[0].stdout)
    assert is_password(PASSWORD, said[0].stdout.strip())
    assert (said[1].returncode, said[1].stderr.strip()) == (
        2,
        "deskbell: expected a password of 12 characters or more, got 7",
    )

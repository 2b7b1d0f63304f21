"""`deskbell dev`: the stack that stays."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deskbell.cli.defaults import DEV_APP, DEV_TOKEN
from deskbell.cli.settings.running import find_running
from deskbell.testing import packet, signed_query
from shared.wire.protocol import API_CALL
from tests import forked
from tests.processes import PATIENT, environment, unmeasured
from tests.waiting import until

SOURCE = """
from deskbell import Callbacks, Event, Jobs

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("version")
def version() -> dict[str, str]:
    return {"Version": "first"}

@jobs.on(Event)
def note(event: Event) -> None: ...
"""


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`deskbell dev` in a folder, and the api's URL that it printed."""
    settings = unmeasured(
        DESKBELL_APP_DIR=str(folder / "package"),
        DESKBELL_CALLBACKS="acme:callbacks",
        DESKBELL_JOBS="acme:jobs",
        **PATIENT,
    )
    command = [sys.executable, "-u", "-P", "-m", "deskbell", "dev"]
    with subprocess.Popen(command, cwd=folder, env=settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = next(line for line in process.stdout if line.startswith("api "))
        yield process, line.split()[1].removesuffix("/callback")
        process.kill()


def version(url: str) -> str:
    """What the handler answers now; nothing, while the api is started anew."""
    query = signed_query(DEV_APP, DEV_TOKEN, API_CALL)
    try:
        answer = httpx.post(f"{url}/callback/version?{query}", json=packet(), timeout=30)
    except httpx.TransportError:
        return ""
    return str(answer.json()["Body"]["Version"])


def test_dev_reloads_what_changes_and_ends_with_ctrl_c(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A mistake is printed in a sentence, a new handler answers; Ctrl-C ends all, and the data stays."""
    source = tmp_path / "package" / "acme.py"
    (source.parent / "api").mkdir(parents=True)
    (source.parent / "api" / "db.py").touch()
    source.write_text(SOURCE + "import api.db")

    with running(tmp_path) as (process, url):
        assert process.stdout
        output = ""
        while "has ended; its last lines above say why" not in output:
            output += process.stdout.readline()
        assert "two packages are named api, Deskbell's " in capfd.readouterr().err
        source.write_text(SOURCE)
        until(lambda: version(url) == "first")
        source.write_text(SOURCE.replace("first", "second"))
        until(lambda: version(url) == "second")
        found = find_running(tmp_path / ".deskbell")
        assert found
        assert (found.pid, found.url) == (process.pid, url)
        process.send_signal(signal.SIGINT)
        output += process.stdout.read()
        assert process.wait(60) == 0

    assert re.search(r"^Redis +unix:///\S+$", output, re.MULTILINE)
    assert "acme.py changed: restarting" in output
    assert output.endswith("Stopped.\n")
    assert version(url) == ""
    assert (tmp_path / ".deskbell" / "valkey" / "appendonlydir").is_dir()


def test_a_second_one_in_the_folder_says_so_and_ends(tmp_path: Path) -> None:
    """Two servers would write into one append-only file."""
    source = tmp_path / "package" / "acme.py"
    source.parent.mkdir()
    source.write_text(SOURCE)

    with running(tmp_path) as (process, _):
        rights = (tmp_path / ".deskbell").stat().st_mode & 0o777
        second = forked.run("dev", env=environment(), cwd=tmp_path)
        process.send_signal(signal.SIGHUP)  # as when the terminal is closed
        process.wait(60)

    assert rights == 0o700  # what customers wrote lies there
    assert second.returncode == 2
    assert second.stderr == (
        f"deskbell: another Deskbell keeps its data in {tmp_path / '.deskbell'}: end it, or use another folder\n"
    )

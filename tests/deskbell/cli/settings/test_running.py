"""Commands find the `deskbell dev` of their folder, and need no settings."""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from deskbell import Callbacks
from deskbell.cli.settings.running import Running, announced, find_running
from deskbell.cli.stack import Stack
from shared.errors import ConfigError
from tests import forked
from tests.conftest import ApiFactory
from tests.desk import APP, TOKEN
from tests.foreign import give_away
from tests.processes import environment

APPS = f'{{"{APP}": ["{TOKEN}"]}}'
SOURCE = """
from deskbell import Callbacks, Event, Jobs

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("version")
def version() -> dict[str, str]: ...

@jobs.on(Event)
def note(event: Event) -> None: ...
"""
RUNNING = json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:1", "environment": {"DESKBELL_JOBS": "evil:jobs"}})
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def deskbell(tmp_path: Path) -> Run:
    """Run `deskbell` in a folder with a package `acme`, with nothing but the settings given."""
    (tmp_path / "acme.py").write_text(SOURCE)

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        given = {f"DESKBELL_{name}": value for name, value in settings.items()}
        return forked.run(*words, env=environment(**given), cwd=tmp_path)

    return run


def callbacks() -> Callbacks:
    """A handler without a variable."""
    callbacks = Callbacks()

    @callbacks.api_call("version")
    def version() -> dict[str, str]:
        return {"Version": "1"}

    return callbacks


@pytest.fixture
def here(start_api: ApiFactory, redis: Redis, valkey_url: str, tmp_path: Path) -> Running:
    """An api as `deskbell dev` would run it."""
    assert redis.ping()
    settings = {
        "DESKBELL_REDIS_URL": valkey_url,
        "DESKBELL_APPS": APPS,
        "DESKBELL_CALLBACKS": "acme:callbacks",
        "DESKBELL_JOBS": "acme:jobs",
        "DESKBELL_SPOOL_DIR": str(tmp_path / "spool"),
    }
    return Running(os.getpid(), start_api(callbacks()).url, settings)


def test_commands_in_the_folder_of_a_running_dev_need_no_settings(deskbell: Run, here: Running, tmp_path: Path) -> None:
    """Where callbacks go, how they are signed, which Redis, which package; a line says whose Redis it is."""
    (tmp_path / ".deskbell").mkdir()

    with announced(here, tmp_path / ".deskbell"):
        sent = deskbell("send", "version")
        doctor = deskbell("doctor")
        described = deskbell("describe", "--json")
        dead = deskbell("dead", "list")
        elsewhere = deskbell("dead", "list", REDIS_URL="redis://127.0.0.1:1")

    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith(f"POST {here.url}/callback/version")
    assert re.search(r"queue events: 1 wait( \(the first for \d+ s\))?; workers: 0", doctor.stdout)
    assert [each["name"] for each in json.loads(described.stdout)["handlers"]] == ["version"]
    assert (dead.stdout, dead.stderr) == (
        "no dead letters\n",
        f"deskbell: on the Redis of the `deskbell dev` that runs here, pid {os.getpid()}\n",
    )
    assert elsewhere.stderr == "deskbell: DESKBELL_REDIS_URL: expected a server that answers, got ConnectionError\n"


def test_the_address_is_its_owners_alone_and_ends_with_its_process(tmp_path: Path) -> None:
    """It holds a token; what a process that was killed left behind is passed over, and removed."""
    running = Running(os.getpid(), "http://127.0.0.1:1", {"DESKBELL_APPS": APPS})
    (tmp_path / "dev.json").write_text(json.dumps({"pid": os.getpid(), "url": "stale", "environment": {}}))

    assert find_running(tmp_path) is None
    assert not list(tmp_path.iterdir())
    with announced(running, tmp_path):
        assert find_running(tmp_path) == running
        assert (tmp_path / "dev.json").stat().st_mode & 0o777 == 0o600
    assert find_running(tmp_path) is None
    assert not list(tmp_path.iterdir())


def fifo(path: Path, _: pytest.MonkeyPatch) -> None:
    """Make a FIFO, which a reader would wait for."""
    os.mkfifo(path)


def link(path: Path, _: pytest.MonkeyPatch) -> None:
    """Make a symbolic link to a file of this user's."""
    (path.parent / "elsewhere.json").write_text(RUNNING)
    path.symlink_to("elsewhere.json")


def for_everybody(path: Path, _: pytest.MonkeyPatch) -> None:
    """Make a file that everybody may write to."""
    path.write_text(RUNNING)
    path.chmod(0o666)


def foreign(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make another user's file."""
    path.write_text(RUNNING)
    give_away(path, monkeypatch)


@pytest.mark.parametrize("make", [fifo, link, for_everybody, foreign, lambda path, _: path.mkdir()])
def test_an_address_that_somebody_else_may_have_written_is_not_read(
    make: Callable[[Path, pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would say which modules are imported and who gets signed callbacks; a line says once that it is left alone."""
    path = tmp_path / "dev.json"
    make(path, monkeypatch)

    with ExitStack() as stack:
        if path.is_file():
            held = stack.enter_context(path.open())
            fcntl.flock(held, fcntl.LOCK_EX)  # as if its `deskbell dev` ran
        assert [find_running(tmp_path) for _ in range(2)] == [None] * 2

    assert os.path.lexists(path)
    assert capsys.readouterr().err == (
        f"deskbell: {path} is not a file that this user alone can have written: it is not read\n"
    )


def test_the_data_of_a_dev_are_in_a_folder_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is loaded, and what is written there holds personal values."""
    give_away(tmp_path, monkeypatch)

    with (
        pytest.raises(ConfigError, match=r" is another user's: run this in a folder of your own$"),
        Stack(tmp_path, given={}),
    ):
        pass


def test_the_settings_beside_the_package_are_those_of_every_command(
    deskbell: Run, start_api: ApiFactory, tmp_path: Path
) -> None:
    """`.env` names app, token and package; the environment goes before it, and so does `--env-file`, on either side."""
    desk = start_api(callbacks(), apps={"7": ["t7"]})
    (tmp_path / ".env").write_text('DESKBELL_APPS=\'{"7": ["t7"]}\'\nDESKBELL_CALLBACKS=acme:callbacks\n')
    (tmp_path / "other.env").write_text("DESKBELL_CALLBAKS=acme:callbacks\n")

    sent = deskbell("send", "version", "--url", desk.url)
    described = deskbell("describe", "--json")
    wins = deskbell("describe", CALLBACKS="nothing:callbacks")
    before = deskbell("--env-file", "other.env", "describe")
    behind = deskbell("describe", "--json", "--env-file=other.env")
    unknown = deskbell("send", "--app", "8")

    assert sent.returncode == 0, sent.stdout
    assert [each["name"] for each in json.loads(described.stdout)["handlers"]] == ["version"]
    assert wins.stderr.startswith("deskbell: DESKBELL_CALLBACKS: there is no module nothing")
    assert before.stderr == behind.stderr
    assert before.stderr == (
        "deskbell: other.env, line 1: DESKBELL_CALLBAKS: there is no such setting; did you mean DESKBELL_CALLBACKS?\n"
    )
    assert unknown.stderr == (
        "deskbell: no token of the app 8 is known here: write --token, or set DESKBELL_APPS in .env\n"
    )


def test_a_command_without_what_it_needs_says_what_to_set(deskbell: Run) -> None:
    """The setting, and where people put it."""
    described = deskbell("describe")
    dead = deskbell("dead", "list")

    assert described.stderr.startswith("deskbell: DESKBELL_CALLBACKS: expected package.module:callbacks with handlers")
    assert described.stderr.endswith("got nothing: set it, in .env for example\n")
    assert dead.stderr.startswith("deskbell: DESKBELL_REDIS_URL: expected a server that answers, got ")
    assert "redis://127.0.0.1:6379/0; set it, in .env or the environment, or run `deskbell dev` here\n" in dead.stderr

"""Commands find the `deskbell dev` of their folder, and need no settings."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from deskbell import Callbacks
from deskbell.cli.settings.running import Running, announced, find_running
from tests import forked
from tests.conftest import ApiFactory
from tests.desk import APP, TOKEN
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
    assert "queue events: 1 wait; workers: 0" in doctor.stdout
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

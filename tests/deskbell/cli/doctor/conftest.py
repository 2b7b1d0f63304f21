"""`deskbell doctor`, run in the test's own process."""

import sys
from pathlib import Path

import pytest
from redis import Redis

from deskbell.cli.doctor import doctor
from tests.deskbell.cli.doctor.looking import APPS, Look


@pytest.fixture
def look(
    redis: Redis,
    valkey_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Look:
    """Run it in this process, for the api of one app; gives its status and its lines."""
    assert redis.ping()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(
        name: str | None = None, api_redis_url: str | None = None, url: str | None = None, **settings: str
    ) -> tuple[int, list[str]]:
        given = {"REDIS_URL": valkey_url, "APPS": APPS} | settings
        with monkeypatch.context() as patch:
            for setting, value in given.items():
                patch.setenv(f"DESKBELL_{setting}", value)
            try:
                doctor(name, api_redis_url, url)
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
        return status, capsys.readouterr().out.splitlines()

    return run

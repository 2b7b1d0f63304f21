"""The audit of `make check`, with a stand-in for pip-audit."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.security.audit import audit

LOCK = Path("requirements.lock")
SOUND = {"name": "rq", "version": "3.0.0", "vulns": []}
UNSOUND = {"name": "h11", "version": "0.9", "vulns": [{"id": "CVE-1", "fix_versions": ["0.16"]}]}
UNKNOWN = {"name": "six", "skip_reason": "not found"}


def program(folder: Path, script: str) -> Path:
    """A program that does what a shell script says; `$out` is the file it is to write."""
    path = folder / "pip-audit"
    path.write_text(f"#!/bin/sh\nfor out; do :; done\n{script}\n")
    path.chmod(0o700)
    return path


def writes(*packages: dict[str, Any]) -> str:
    """A script that reports on packages, and ends as pip-audit does when it has found something."""
    return f"echo '{json.dumps({'dependencies': packages})}' > $out; exit 1"


def test_a_vulnerable_package_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its version, what is known of it, and the version that is sound."""
    found = audit(LOCK, program(tmp_path, writes(SOUND, UNSOUND, UNKNOWN)))

    assert found == ["h11 0.9: CVE-1, fixed in 0.16"]
    assert capsys.readouterr().out == "audit: 2 of 3 packages are known to the service\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'ERROR:pip_audit: cannot reach host.example' >&2; exit 1", "not done: ERROR:pip_audit"),
        ("exit 1", "not done: it said nothing"),
        ("exec sleep 60", "not done: the service has not answered in 1 s"),
        (writes(UNKNOWN), "not done: the service knows none of the packages"),
    ],
)
def test_without_the_service_nothing_is_claimed(
    script: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unreachable, dumb, hanging, or ignorant: a line says that nothing was audited, and no host."""
    assert audit(LOCK, program(tmp_path, script), seconds=1) == []
    assert capsys.readouterr().out == f"audit: {said}\n"

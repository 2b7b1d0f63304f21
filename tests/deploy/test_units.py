"""The units of systemd: they are valid, narrow, and name what there is; what they filter has been tried by hand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from deskbell.cli.main import app
from shared.settings.config import Settings
from shared.settings.environment import PREFIX
from tests.debian import program
from tests.deploy.expressions import ROOT

FOLDER = ROOT / "deploy" / "systemd"
SERVICES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.service"))}
MARGIN_SECONDS = 5
MOST_EXPOSED = "20"
"""Of 100, as `systemd-analyze security` counts: a service without any of it has 92."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units in a folder, with a program that is here, and an instance of the worker."""
    for path in FOLDER.iterdir():
        text = (
            path.read_text().replace("/opt/deskbell/bin/deskbell", sys.executable).replace("User=deskbell", "User=root")
        )
        (tmp_path / path.name.replace("@", "@crm")).write_text(text)
    return tmp_path


def test_systemd_takes_every_line(units: Path) -> None:
    """A misspelt one would be ignored, with a line in the journal."""
    paths = [str(path) for path in units.iterdir()]

    verified = subprocess.run(
        [program("systemd-analyze", "systemd"), "verify", "--man=no", *paths],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_service_can_do_little_but_its_work(units: Path) -> None:
    """As systemd itself judges."""
    for path in units.glob("*.service"):
        command = [program("systemd-analyze", "systemd"), "security", "--offline=true", f"--threshold={MOST_EXPOSED}"]

        judged = subprocess.run([*command, "--no-pager", str(path)], capture_output=True, text=True, check=False)

        assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_a_command_and_settings_that_there_are(name: str) -> None:
    """And the queue that a worker is started for."""
    (line,) = re.findall(r"^ExecStart=/opt/deskbell/bin/deskbell (.*)$", SERVICES[name], re.MULTILINE)
    role, *words = shlex.split(line.replace("%i", "crm"))
    command: Any = typer.main.get_command(app)
    command.commands[role].make_context(role, words)

    named = set(re.findall(rf"({PREFIX}\w+)=", SERVICES[name]))
    assert named <= {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_given_the_time_that_it_takes_to_end(name: str) -> None:
    """The grace period, and then what must be written; only then is it killed."""
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", SERVICES[name], re.MULTILINE)
    grace = re.findall(r"DESKBELL_GRACE_SECONDS=(\d+)", SERVICES[name]) or [
        Settings.model_fields["grace_seconds"].default
    ]

    assert int(stop) >= float(grace[0]) + MARGIN_SECONDS


def test_the_port_of_the_api_outlives_it() -> None:
    """Its service takes the socket as its first inherited file, and nginx asks there."""
    (address,) = re.findall(r"^ListenStream=(.*)$", (FOLDER / "deskbell-api.socket").read_text(), re.MULTILINE)

    assert "api --fd 3 " in SERVICES["deskbell-api.service"]
    assert f"server {address} " in (ROOT / "deploy" / "nginx" / "deskbell.conf").read_text()

"""`deskbell check`: what is declared, for a person and for CI."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import forked
from tests.processes import environment

SOURCE = """
from typing import TypedDict

from deskbell import ApiCall, Callbacks, Jobs

callbacks = Callbacks()
jobs = Jobs()

class Status(TypedDict):
    OrderStatus: str

@callbacks.api_call("order_status", fallback={"OrderStatus": "unknown"})
def order_status(OrderID: int) -> Status: ...

@jobs.lifespan
async def database():
    yield

@jobs.on(ApiCall, node="order_statu", queue="crm", attempts=3)
def record(event: ApiCall) -> None: ...
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def deskbell(tmp_path: Path) -> Run:
    """Run `deskbell` in a folder with a package `acme`, and settings beside it."""
    (tmp_path / "acme.py").write_text(SOURCE)
    (tmp_path / ".env").write_text("DESKBELL_CALLBACKS=acme:callbacks\nDESKBELL_JOBS=acme:jobs\n")
    return lambda *words, **variables: forked.run(*words, env=environment(**variables), cwd=tmp_path)


def test_check_prints_what_is_declared_and_what_does_not_fit(deskbell: Run) -> None:
    """A job for a node that no handler has is a warning; nothing keeps the processes from starting."""
    told, written = deskbell("check"), deskbell("check", "--json")

    assert told.returncode == written.returncode == 0, told.stderr + written.stderr
    found = json.loads(written.stdout)
    assert found["handlers"] == [
        {
            "name": "order_status",
            "command": "Chatbot.InterfaceInvocation",
            "inputs": ["OrderID"],
            "outputs": ["OrderStatus"],
            "fallback": True,
            "late": "",
            "function": "acme.order_status (acme.py:12)",
        }
    ]
    (job,) = found["jobs"]
    assert (job["name"], job["events"], job["nodes"], job["queue"]) == ("record", ["ApiCall"], ["order_statu"], "crm")
    assert found["lifespans"] == ["acme.database (acme.py:15)"]
    assert found["problems"] == []
    assert "did you mean order_status?" in found["warnings"][0]
    assert f"warning: {found['warnings'][0]}" in told.stdout
    assert told.stdout.endswith("declared: 1 handler and 1 job type\n")


def test_check_names_late_handlers_and_warns_when_no_job_computes_their_values(deskbell: Run, tmp_path: Path) -> None:
    """Where the values come from, after how long, and for how long they are kept."""
    late = SOURCE.replace('"unknown"}', '"unknown"}, late=True').replace('order_statu"', 'order_status"')
    (tmp_path / "acme.py").write_text(late)
    without = deskbell("check")
    (tmp_path / "acme.py").write_text(late + "from deskbell.jobs import late\njobs.include(late.jobs(callbacks))\n")
    told = deskbell("check")

    policy = "ticket out, values from order_status.late after 3 runs of 30 s at most, for 900 s"
    assert f"late order_status: {policy}\n" in told.stdout
    assert "warning" not in told.stdout
    assert "lifespan shared" not in told.stdout  # ours is no news
    assert "late= of order_status" in told.stdout
    assert told.stdout.endswith("declared: 2 handlers and 2 job types\n")
    assert "has late=, and no job computes its values; write jobs.include(late.jobs(callbacks))" in without.stdout


def test_check_fails_where_a_process_would_not_start(deskbell: Run, tmp_path: Path) -> None:
    """Each mistake, not only the first; without settings it says which to set."""
    (tmp_path / "broken.py").write_text("import nothing\n")

    both = deskbell("check", DESKBELL_CALLBACKS="broken:callbacks", DESKBELL_JOBS="acme:job")
    unset = deskbell("check", DESKBELL_ENV_FILE="/dev/null")

    assert both.returncode == 1
    traces, callbacks, jobs = both.stdout.splitlines()
    assert traces == "traces: not sent, OTEL_EXPORTER_OTLP_ENDPOINT is not set"
    assert callbacks.startswith(
        "problem: DESKBELL_CALLBACKS: broken imports nothing, which is not installed (broken.py"
    )
    assert jobs == "problem: DESKBELL_JOBS: acme has no attribute job; write acme:jobs"
    assert unset.returncode == 2
    assert unset.stderr.endswith("got nothing: set them, in .env for example\n")


def test_the_shell_completes_commands(deskbell: Run) -> None:
    """As bash asks for it; what does not begin so is not proposed."""
    completed = deskbell(_DESKBELL_COMPLETE="complete_bash", COMP_WORDS="deskbell de", COMP_CWORD="1")

    assert {"dead", "demo", "describe", "dev"} <= set(completed.stdout.split())
    assert "check" not in completed.stdout

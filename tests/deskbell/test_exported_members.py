"""What `deskbell` exports, and what importing it brings along."""

import subprocess
import sys
import types

import pytest

import deskbell
from deskbell import Discard, Refuse, Retry
from shared.errors import DeskbellError
from tests.processes import environment

WEB = {"fastapi", "starlette", "uvicorn", "httptools"}
COMMAND = {"deskbell.cli", "typer"}
PROCESSES = {"api", "workers"}
CLIENTS = {"redis", "rq", "httpx", "sqlalchemy", "prometheus_client"}
TRACES = {
    "opentelemetry.sdk.trace",
    "google.protobuf",
}  # FastAPI and redis-py import more of OpenTelemetry by themselves


def test_all_is_sorted_and_holds_exactly_the_public_names() -> None:
    """Integrators import from here; a name that slips in or out would be noticed by them."""
    public = [
        name
        for name, member in vars(deskbell).items()
        if not name.startswith("_") and not isinstance(member, types.ModuleType)
    ]

    assert deskbell.__all__ == sorted(public)


@pytest.mark.parametrize("name", deskbell.__all__)
def test_every_exported_name_has_a_docstring(name: str) -> None:
    """An integrator's editor shows it."""
    assert getattr(deskbell, name).__doc__


def test_the_steering_exceptions_stand_beside_the_error_tree() -> None:
    """They are decisions of the integrator's functions, not errors."""
    assert not any(issubclass(decision, DeskbellError) for decision in (Discard, Refuse, Retry))


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("deskbell", WEB | COMMAND | PROCESSES | CLIENTS | {"opentelemetry"}),
        ("deskbell.testing", WEB | COMMAND | {"api"}),  # it runs jobs, as a worker does
        ("deskbell.cache", WEB | COMMAND | PROCESSES | {"httpx", "sqlalchemy"}),
        ("deskbell.jobs.crm", WEB | COMMAND | TRACES | {"api", "sqlalchemy"}),
        ("deskbell.desk", WEB | COMMAND | PROCESSES | {"redis", "rq", "sqlalchemy"}),
        ("deskbell.jobs.analytics", WEB | COMMAND | {"api"}),
        ("deskbell.cli.processes.worker_process", TRACES),
        ("deskbell.cli.processes.api_process", TRACES),
    ],
)
def test_what_an_integrator_imports_is_light(module: str, spared: set[str]) -> None:
    """His tests and tools import it, and need no server, no command and no client for that."""
    code = f"import sys, {module}; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, check=True, text=True, env=environment()
    ).stdout.split()

    assert not spared & {*loaded}


def test_no_other_package_of_ours_exports_anything() -> None:
    """There is one way to write an import."""
    import api  # noqa: PLC0415
    import shared  # noqa: PLC0415
    import workers  # noqa: PLC0415

    for package in (api, shared, workers):
        names = [name for name in vars(package) if not name.startswith("_")]
        assert all(isinstance(vars(package)[name], types.ModuleType) for name in names)

"""An integrator's package that has the name of one of Deskbell's: in processes of their own, as he starts them."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from redis import Redis

from deskbell.testing import api_call
from shared.own_packages import ROOT, another
from shared.redis.queues import EVENTS, events_job, queue
from tests import forked
from tests.desk import APP, TOKEN
from tests.processes import ALONE, environment

HANDLERS = """
from deskbell import Callbacks
callbacks = Callbacks()

@callbacks.api_call("order_status")
def order_status() -> dict[str, str]:
    {body}
    return {{}}
"""
JOBS = """
from deskbell import Event, Jobs
jobs = Jobs()

@jobs.on(Event, queue="note", isolation="process")
def note(event: Event) -> None: ...
"""
BESIDE = ("api", "console", "examples", "shared", "workers")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run something in the integrator's folder: `acme`, with packages that have the names of Deskbell's."""
    write(tmp_path, {"acme/__init__.py": "", "acme/callbacks.py": HANDLERS.format(body="pass"), "acme/jobs.py": JOBS})
    for name in BESIDE:
        write(tmp_path, {f"{name}/__init__.py": "", f"{name}/db.py": "", f"{name}/main.py": ""})

    def run(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        given = {
            "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
            "DESKBELL_CALLBACKS": "acme.callbacks:callbacks",
            "DESKBELL_JOBS": "acme.jobs:jobs",
        } | settings
        if command[:3] == ("-P", "-m", "deskbell") and "PYTHONPATH" not in settings:
            return forked.run(*command[3:], env=environment(**given), cwd=tmp_path)
        return subprocess.run(
            [sys.executable, *command],
            env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **given),  # what they import is no matter here
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )

    return run


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, with the folders that they need."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sentence(folder: Path, name: str) -> str:
    """The sentence about a name that both have."""
    return f"two packages are named {name}, Deskbell's {ROOT / name} and your {folder / name}: rename yours"


@pytest.mark.parametrize(("start", "path"), [(["-P", "-m"], {"PYTHONPATH": "."}), (["-m"], {})])
def test_a_folder_that_nothing_imports_is_no_matter(run: Run, start: list[str], path: dict[str, str]) -> None:
    """Though Python would find it before ours."""
    described = run(*start, "deskbell", "describe", "--json", **path)

    assert described.returncode == 0, described.stderr
    assert json.loads(described.stdout)["handlers"][0]["name"] == "order_status"


def test_a_folder_that_cannot_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python does so as well."""
    monkeypatch.setattr(sys, "path", ["x" * 5000])

    assert another("api") is None


COMMANDS = {
    "api": ["api", *ALONE, "--port", "0"],
    "worker": ["worker", *ALONE],
    "describe": ["describe"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize(
    ("command", "imported"),
    [
        *((command, "from api import main") for command in COMMANDS),
        ("describe", "from api.main import app"),
        ("describe", "import api"),
    ],
)
def test_code_that_imports_what_both_have_is_refused(run: Run, tmp_path: Path, command: str, imported: str) -> None:
    """It would get ours, which may even have what it asks for: the sentence names both places, and the line."""
    code = HANDLERS.format(body="pass") + JOBS + imported
    write(tmp_path, {"acme/callbacks.py": code, "acme/jobs.py": code})

    ended = run("-P", "-m", "deskbell", *COMMANDS[command], DESKBELL_REDIS_URL="redis://127.0.0.1:1")

    module = "jobs" if command == "worker" else "callbacks"
    said = f"DESKBELL_{module.upper()}: {sentence(tmp_path, 'api')} (acme/{module}.py:{len(code.splitlines())})"
    if command == "doctor":
        assert f"problem: the api does not start: {said}\n" in ended.stdout
    else:
        assert (ended.returncode, ended.stderr) == (2, f"deskbell: {said}\n")


def test_an_import_when_a_handler_is_called_is_refused_as_well(run: Run, tmp_path: Path) -> None:
    """The handler fails, and the log has its line."""
    write(tmp_path, {"acme/callbacks.py": HANDLERS.format(body="import api.main")})
    call = "from shared.settings.config import load_settings as s; from shared.loading import load_callbacks as l; "

    ended = run("-P", "-c", call + "l(s()).handlers[0].function()")

    assert ended.stderr.splitlines()[-1] == f"shared.errors.ConfigError: {sentence(tmp_path, 'api')}"


@pytest.mark.parametrize(("file", "is_refused"), [("__init__.py", True), ("deploy.py", False)])
def test_a_package_named_deskbell_is_refused(run: Run, tmp_path: Path, file: str, *, is_refused: bool) -> None:
    """All handlers import `deskbell`; a folder that is no package is no matter."""
    write(tmp_path, {f"deskbell/{file}": ""})

    described = run("-P", "-m", "deskbell", "describe")

    said = f"deskbell: DESKBELL_CALLBACKS: {sentence(tmp_path, 'deskbell')} (acme/callbacks.py:2)\n"
    assert described.stderr == (said if is_refused else "")


@pytest.mark.parametrize("room", ["api", "deskbell"])
def test_an_import_string_that_leads_to_ours_is_refused(run: Run, tmp_path: Path, room: str) -> None:
    """Whether both have it, or we alone; but for what ships to be named there."""
    ended = run("-P", "-m", "deskbell", "describe", DESKBELL_CALLBACKS=f"{room}.main:callbacks")

    expected = "expected one of yours, deskbell.jobs.crm or deskbell.jobs.analytics, got deskbell.main"
    own = f"deskbell is a package of Deskbell's own, {ROOT / 'deskbell'}; {expected}"
    said = sentence(tmp_path, "api") if room == "api" else own
    assert (ended.returncode, ended.stderr) == (2, f"deskbell: DESKBELL_CALLBACKS: {said}\n")


def test_a_job_in_a_process_of_its_own_gets_our_packages_as_well(run: Run, redis: Redis, valkey_url: str) -> None:
    """The fork server's process finds another `workers` first on its path."""
    event, events = api_call(), queue(EVENTS, redis)
    events.enqueue_job(events_job(events, event.command, event.to_wire(), event.id))

    worked = run("-P", "-m", "deskbell", "worker", "--burst", PYTHONPATH=".", DESKBELL_REDIS_URL=valkey_url)

    assert worked.returncode == 0, worked.stderr
    assert queue("note", redis).finished_job_registry.get_job_count() == 1, worked.stdout


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("from deskbell import Callbacks\nfrom acme.callbacks import callbacks", ""),
        ("from deskbell import Callbacks\nimport api.db", ""),
        ("from deskbell import Callbacks\nimport shared.db", "E   shared.errors.ConfigError: "),
        ("import shared.db\nfrom deskbell import Callbacks", "E   ImportError: "),
    ],
)
def test_under_pytest_a_name_that_both_have_is_refused_when_both_are_imported(
    run: Run, tmp_path: Path, test: str, said: str
) -> None:
    """It puts the integrator's folder first: his `shared` would be ours to Deskbell, or ours his."""
    write(tmp_path, {"test_acme.py": f"{test}\ndef test_acme(): ...\n"})

    ended = run("-m", "pytest", "-p", "no:cacheprovider", "test_acme.py")

    assert ended.returncode == (2 if said else 0), ended.stdout
    assert said in ended.stdout
    assert not said or sentence(tmp_path, "shared") in ended.stdout


def test_tests_that_lie_in_a_package_whose_name_both_have_are_refused(run: Run, tmp_path: Path) -> None:
    """Their names lead pytest into ours, where they are not."""
    write(tmp_path, {"conftest.py": "import deskbell", "shared/tests/__init__.py": "", "shared/tests/test_db.py": ""})

    ended = run("-m", "pytest", "-p", "no:cacheprovider", "shared")

    assert f"E   ImportError: {sentence(tmp_path, 'shared')}\n" in ended.stdout

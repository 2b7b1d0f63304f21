"""Import strings."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from deskbell import Settings
from shared.errors import ConfigError
from shared.loading import load_callbacks, load_jobs

Write = Callable[[str, str], None]

CALLBACKS = """
    from deskbell import Callbacks

    callbacks = Callbacks()

    @callbacks.api_call("{node}")
    def {node}() -> None: ...
"""

JOBS = """
    from deskbell import ApiCall, Jobs

    jobs = Jobs()

    @jobs.on(ApiCall)
    def {name}(event: ApiCall) -> None: ...
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules of an integrator; all traces of them are gone afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)

    def write_module(name: str, source: str) -> None:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(source))
        importlib.invalidate_caches()

    yield write_module
    for name in set(sys.modules) - modules:
        if name.startswith("acme"):
            del sys.modules[name]


def refusal(folder: Path, **given: Any) -> str:
    """The sentence with which loading ends."""
    load = load_jobs if "jobs" in given else load_callbacks
    with pytest.raises(ConfigError) as caught:
        load(Settings(app_dir=folder, **given))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_job_types_are_loaded_by_import_string(write: Write, tmp_path: Path) -> None:
    """From the folder of the integrator's package."""
    write("acme/jobs", JOBS.format(name="record"))

    assert load_jobs(Settings(app_dir=tmp_path, jobs="acme.jobs:jobs")).names == ["record"]


def test_several_import_strings_become_one(write: Write, tmp_path: Path) -> None:
    """In their order, leaving each object as it was; spaces and a comma too many do no harm."""
    write("acme_a", CALLBACKS.format(node="a"))
    write("acme_b", CALLBACKS.format(node="b"))

    callbacks = load_callbacks(Settings(app_dir=tmp_path, callbacks=" acme_b:callbacks, acme_a:callbacks ,"))

    assert [handler.name for handler in callbacks.handlers] == ["b", "a"]
    assert len(sys.modules["acme_b"].callbacks.handlers) == 1


def test_no_handlers_are_an_api_that_acknowledges() -> None:
    """CALLBACKS may be empty."""
    assert load_callbacks(Settings()).handlers == []


def test_the_folder_is_put_last_and_once_on_the_path(write: Write, tmp_path: Path) -> None:
    """First, an integrator's `json.py` would hide the library's."""
    write("acme_a", CALLBACKS.format(node="a"))
    before = list(sys.path)
    settings = Settings(app_dir=tmp_path, callbacks="acme_a:callbacks")

    load_callbacks(settings)
    load_callbacks(settings)

    assert sys.path == [*before, str(tmp_path)]


def test_a_relative_folder_is_put_on_the_path_as_it_is_now(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that changes its folder later still finds the integrator's modules."""
    write("inner/acme_a", CALLBACKS.format(node="a"))
    monkeypatch.chdir(tmp_path)

    load_callbacks(Settings(app_dir=Path("inner"), callbacks="acme_a:callbacks"))

    assert sys.path[-1] == str(tmp_path / "inner")


@pytest.mark.parametrize(
    "string",
    [
        "acme",
        "acme:",
        ":callbacks",
        "acme.callbacks",
        "acme:a.b",
        "acme/callbacks:callbacks",
        "a..b:c",
        "a b:c",
        "a:b:c",
    ],
)
def test_a_bad_format_is_refused(tmp_path: Path, string: str) -> None:
    """The sentence says which format is right."""
    write = f"; write {string}:{{}}" if string in ("acme", "acme.callbacks") else ""

    assert refusal(tmp_path, callbacks=string) == (
        f"DESKBELL_CALLBACKS: expected package.module:callbacks, got {string!r}{write.format('callbacks')}"
    )
    assert refusal(tmp_path, jobs=string) == (
        f"DESKBELL_JOBS: expected package.module:jobs, got {string!r}{write.format('jobs')}"
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ValueError('the shop is closed')", "ValueError: the shop is closed"),
        ("from deskbell import Nothing", "ImportError: cannot import name 'Nothing' from 'deskbell'"),
        ("def (", "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name"),
        ("raise GeneratorExit", "GeneratorExit: "),
    ],
)
def test_a_module_that_fails_is_refused_with_its_reason(write: Write, tmp_path: Path, source: str, reason: str) -> None:
    """And with the line of the integrator's file at which it ended, not one of a library's."""
    write("acme_a", source)

    assert refusal(tmp_path, jobs="acme_a:jobs").startswith(
        f"DESKBELL_JOBS: importing acme_a failed at {tmp_path / 'acme_a.py'}:{len(source.splitlines())} with {reason}"
    )


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("from shared import Callbacks", "; write from deskbell import Callbacks"),
        ("from deskbell import callbacks", "; write from deskbell import Callbacks"),
        (
            "from shared import api_call",
            "; what you import of Deskbell is in deskbell, deskbell.jobs and deskbell.testing",
        ),
        ("from json import callbacks", ")"),
        ("raise ImportError", "ImportError: "),
    ],
)
def test_who_imports_what_deskbell_does_not_have_is_told_what_to_write(
    write: Write, tmp_path: Path, source: str, advice: str
) -> None:
    """The public name, or else the public packages; of other libraries nothing is said."""
    write("acme_a", source)

    assert refusal(tmp_path, callbacks="acme_a:callbacks").endswith(advice)


A, B = CALLBACKS.format(node="a"), JOBS.format(name="b")


@pytest.mark.parametrize(
    ("modules", "given", "sentence"),
    [
        pytest.param(
            {},
            {"jobs": ""},
            "expected package.module:jobs, got nothing; a worker needs job types to run",
            id="no job types: the worker would make nothing of every event",
        ),
        pytest.param(
            {"acme/__init__": ""},
            {"jobs": "acme.jobs:jobs"},
            "there is no module acme.jobs in DESKBELL_APP_DIR, by default the current folder, or among the "
            "installed packages",
            id="a module that is not there",
        ),
        pytest.param(
            {"acme_a": "import nowhere.inner"},
            {"callbacks": "acme_a:callbacks"},
            "acme_a imports nowhere, which is not installed (FOLDER/acme_a.py:1)",
            id="a module that imports what is not there: otherwise the integrator looks for the wrong file",
        ),
        pytest.param(
            {"acme_a": "from workers.clients import crm"},
            {"callbacks": "acme_a:callbacks"},
            "acme_a imports workers.clients, which is not installed (FOLDER/acme_a.py:1); what you import of Deskbell "
            "is in deskbell, deskbell.jobs and deskbell.testing",
            id="a package of Deskbell's that is not public, and not there",
        ),
        pytest.param(
            {"acme/callbacks": "import acme.nowhere"},
            {"callbacks": "acme.callbacks:callbacks"},
            "acme.callbacks imports acme.nowhere, which is not installed (FOLDER/acme/callbacks.py:1)",
            id="a part of its own package, whose name begins like that of the one in the setting",
        ),
        pytest.param(
            {"acme_a": "import acme"},
            {"callbacks": "acme_a:callbacks"},
            "acme_a imports acme, which is not installed (FOLDER/acme_a.py:1)",
            id="a library whose name begins that of the module",
        ),
        pytest.param(
            {"acme_orders": "prices = {}\nprices['tea']", "acme_a": "import acme_orders"},
            {"jobs": "acme_a:jobs"},
            "importing acme_a failed at FOLDER/acme_orders.py:2 with KeyError: 'tea'",
            id="a module that fails in another one: its line, not that of the import, where nothing is to be corrected",
        ),
        pytest.param(
            {"acme_a": "from deskbell import Jobs\njobs = Jobs()\njobs.on()(print)\n"},
            {"jobs": "acme_a:jobs"},
            "builtins.print: a job needs the event it is run for; write @jobs.on(ApiCall) (FOLDER/acme_a.py:3)",
            id="a wrong declaration, in its own words",
        ),
        pytest.param(
            {"acme_a": "from deskbell import Jobs\njobs = Jobs()\n@jobs.on()\ndef f(event): ...\n"},
            {"jobs": "acme_a:jobs"},
            "acme_a.f (FOLDER/acme_a.py:3): a job needs the event it is run for; write @jobs.on(ApiCall)",
            id="a wrong declaration that names its place: it stands once",
        ),
        pytest.param(
            {"acme_a": A, "acme_b": A},
            {"callbacks": "acme_a:callbacks,acme_b:callbacks"},
            "acme_b.a (FOLDER/acme_b.py:6): the node a already has a handler, acme_a.a (FOLDER/acme_a.py:6); "
            "write another name: @callbacks.api_call('a_2')",
            id="two that do not go together: the setting is wrong",
        ),
        pytest.param(
            {"acme_a": A},
            {"callbacks": "acme_a:x"},
            "acme_a has no attribute x; write acme_a:callbacks",
            id="no such attribute, but another that would do",
        ),
        pytest.param(
            {},
            {"jobs": "deskbell.jobs.wecom:jobs"},
            "deskbell.jobs.wecom has no attribute jobs; in a module of yours, write jobs.include(wecom.remark_jobs(…)),"
            " and name its jobs",
            id="a job type that ships and needs a function of the integrator's",
        ),
        pytest.param({"acme_a": A}, {"jobs": "acme_a:x"}, "acme_a has no attribute x", id="no such attribute"),
        pytest.param(
            {"acme_b": B},
            {"callbacks": "acme_b:jobs"},
            "expected acme_b:jobs to be a Callbacks, got a Jobs; is it meant for DESKBELL_JOBS?",
            id="jobs for callbacks",
        ),
        pytest.param(
            {"acme_a": A},
            {"jobs": "acme_a:callbacks"},
            "expected acme_a:callbacks to be a Jobs, got a Callbacks; is it meant for DESKBELL_CALLBACKS?",
            id="callbacks for jobs",
        ),
        pytest.param(
            {"acme_a": "handlers = {}"},
            {"callbacks": "acme_a:handlers"},
            "expected acme_a:handlers to be a Callbacks, got a dict",
            id="an object of another type",
        ),
        pytest.param(
            {"acme_a": A},
            {"callbacks": "acme_a:Callbacks"},
            "expected acme_a:Callbacks to be a Callbacks, got the class; write callbacks = Callbacks(), and name that",
            id="the class in place of its object",
        ),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_a_sentence(
    write: Write, tmp_path: Path, modules: dict[str, str], given: dict[str, str], sentence: str
) -> None:
    """It names the setting, the place, and what to write."""
    for name, source in modules.items():
        write(name, source)

    [setting] = given
    assert refusal(tmp_path, **given) == f"DESKBELL_{setting.upper()}: {sentence.replace('FOLDER', str(tmp_path))}"

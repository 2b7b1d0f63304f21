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


def test_handlers_are_loaded_by_import_string(write: Write, tmp_path: Path) -> None:
    """From the folder of the integrator's package."""
    write("acme/callbacks", CALLBACKS.format(node="order_status"))

    callbacks = load_callbacks(Settings(app_dir=tmp_path, callbacks="acme.callbacks:callbacks"))

    assert [handler.name for handler in callbacks.handlers] == ["order_status"]


def test_job_types_are_loaded_by_import_string(write: Write, tmp_path: Path) -> None:
    """From the folder of the integrator's package."""
    write("acme/jobs", JOBS.format(name="record"))

    assert load_jobs(Settings(app_dir=tmp_path, jobs="acme.jobs:jobs")).names == ["record"]


def test_several_import_strings_become_one(write: Write, tmp_path: Path) -> None:
    """In their order; spaces and a comma too many do no harm."""
    write("acme_a", CALLBACKS.format(node="a"))
    write("acme_b", CALLBACKS.format(node="b"))

    callbacks = load_callbacks(Settings(app_dir=tmp_path, callbacks=" acme_b:callbacks, acme_a:callbacks ,"))

    assert [handler.name for handler in callbacks.handlers] == ["b", "a"]


def test_loading_leaves_the_integrators_own_object_as_it_was(write: Write, tmp_path: Path) -> None:
    """Two applications in one process must not grow into each other."""
    write("acme_a", CALLBACKS.format(node="a"))
    write("acme_b", CALLBACKS.format(node="b"))

    load_callbacks(Settings(app_dir=tmp_path, callbacks="acme_a:callbacks,acme_b:callbacks"))

    assert len(sys.modules["acme_a"].callbacks.handlers) == 1


def test_no_handlers_are_an_api_that_acknowledges() -> None:
    """CALLBACKS may be empty."""
    assert load_callbacks(Settings()).handlers == []


def test_a_worker_needs_job_types() -> None:
    """An empty JOBS is a worker that would make nothing of every event."""
    with pytest.raises(ConfigError) as caught:
        load_jobs(Settings())

    assert str(caught.value) == (
        "DESKBELL_JOBS: expected package.module:jobs, got nothing; a worker needs job types to run"
    )


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
    assert refusal(tmp_path, callbacks=string) == (
        f"DESKBELL_CALLBACKS: expected package.module:callbacks, got {string!r}"
    )
    assert refusal(tmp_path, jobs=string) == f"DESKBELL_JOBS: expected package.module:jobs, got {string!r}"


def test_a_module_that_does_not_exist_is_refused(write: Write, tmp_path: Path) -> None:
    """The sentence names the part that is not there, and where it was looked for."""
    write("acme/__init__", "")
    where = "in DESKBELL_APP_DIR or among the installed packages"

    assert refusal(tmp_path, callbacks="nowhere.callbacks:callbacks") == (
        f"DESKBELL_CALLBACKS: there is no module nowhere {where}"
    )
    assert refusal(tmp_path, jobs="acme.jobs:jobs") == f"DESKBELL_JOBS: there is no module acme.jobs {where}"


def test_a_module_that_imports_what_is_not_installed_is_told_from_one_that_is_not_there(
    write: Write, tmp_path: Path
) -> None:
    """Otherwise the integrator looks for the wrong file."""
    write("acme/callbacks", "import nowhere_to_be_found.inner")

    assert refusal(tmp_path, callbacks="acme.callbacks:callbacks") == (
        "DESKBELL_CALLBACKS: acme.callbacks imports nowhere_to_be_found, which is not installed "
        f"({tmp_path / 'acme/callbacks.py'}:1)"
    )


def test_a_module_that_imports_a_missing_part_of_its_own_package_is_told_as_well(write: Write, tmp_path: Path) -> None:
    """The missing module's name begins like that of the one in the setting."""
    write("acme/callbacks", "import acme.nowhere")

    assert refusal(tmp_path, callbacks="acme.callbacks:callbacks") == (
        "DESKBELL_CALLBACKS: acme.callbacks imports acme.nowhere, which is not installed "
        f"({tmp_path / 'acme/callbacks.py'}:1)"
    )


def test_a_missing_library_whose_name_begins_that_of_the_module_is_told_as_well(write: Write, tmp_path: Path) -> None:
    """`acme_a` lies not in a package `acme`."""
    write("acme_a", "import acme")

    assert refusal(tmp_path, callbacks="acme_a:callbacks") == (
        f"DESKBELL_CALLBACKS: acme_a imports acme, which is not installed ({tmp_path / 'acme_a.py'}:1)"
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


def test_a_module_that_fails_in_another_of_the_integrators_is_refused_with_that_ones_line(
    write: Write, tmp_path: Path
) -> None:
    """Not with that of the import, where there is nothing to mend."""
    write("acme_orders", "prices = {}\nprices['tea']")
    write("acme_a", "import acme_orders")

    assert refusal(tmp_path, jobs="acme_a:jobs") == (
        f"DESKBELL_JOBS: importing acme_a failed at {tmp_path / 'acme_orders.py'}:2 with KeyError: 'tea'"
    )


def test_a_wrong_declaration_is_refused_in_its_own_words(write: Write, tmp_path: Path) -> None:
    """They say what to write instead."""
    write("acme_a", "from deskbell import Jobs\njobs = Jobs()\njobs.on()(print)\n")

    assert refusal(tmp_path, jobs="acme_a:jobs") == (
        "DESKBELL_JOBS: builtins.print: a job needs the event it is run for; write @jobs.on(ApiCall) "
        f"({tmp_path / 'acme_a.py'}:3)"
    )


def test_the_place_of_a_wrong_declaration_stands_once(write: Write, tmp_path: Path) -> None:
    """The sentence that names the function names its file and line already."""
    write("acme_a", "from deskbell import Jobs\njobs = Jobs()\n@jobs.on()\ndef f(event): ...\n")

    assert refusal(tmp_path, jobs="acme_a:jobs") == (
        f"DESKBELL_JOBS: acme_a.f ({tmp_path / 'acme_a.py'}:3): a job needs the event it is run for; "
        "write @jobs.on(ApiCall)"
    )


def test_two_import_strings_that_do_not_go_together_are_refused(write: Write, tmp_path: Path) -> None:
    """Each was declared well; the setting is what is wrong."""
    write("acme_a", CALLBACKS.format(node="a"))
    write("acme_b", CALLBACKS.format(node="a"))

    assert refusal(tmp_path, callbacks="acme_a:callbacks,acme_b:callbacks") == (
        f"DESKBELL_CALLBACKS: acme_b.a ({tmp_path / 'acme_b.py'}:6): the node a already has a handler, "
        f"acme_a.a ({tmp_path / 'acme_a.py'}:6); "
        "write another name: @callbacks.api_call('a_2')"
    )


def test_an_attribute_that_does_not_exist_is_refused(write: Write, tmp_path: Path) -> None:
    """The module is there; its content is not what the setting says."""
    write("acme_a", CALLBACKS.format(node="a"))

    assert refusal(tmp_path, callbacks="acme_a:handlers") == "DESKBELL_CALLBACKS: acme_a has no attribute handlers"


def test_swapped_settings_are_refused_with_the_right_one(write: Write, tmp_path: Path) -> None:
    """Each of the two kinds says where it belongs."""
    write("acme_a", CALLBACKS.format(node="a"))
    write("acme_b", JOBS.format(name="b"))

    assert refusal(tmp_path, callbacks="acme_b:jobs") == (
        "DESKBELL_CALLBACKS: expected acme_b:jobs to be a Callbacks, got a Jobs; is it meant for DESKBELL_JOBS?"
    )
    assert refusal(tmp_path, jobs="acme_a:callbacks") == (
        "DESKBELL_JOBS: expected acme_a:callbacks to be a Jobs, got a Callbacks; is it meant for DESKBELL_CALLBACKS?"
    )


def test_an_object_of_another_type_is_refused(write: Write, tmp_path: Path) -> None:
    """The class instead of its object is the usual case."""
    write("acme_a", "from deskbell import Callbacks\nhandlers = {}\n")

    assert refusal(tmp_path, callbacks="acme_a:handlers") == (
        "DESKBELL_CALLBACKS: expected acme_a:handlers to be a Callbacks, got a dict"
    )
    assert refusal(tmp_path, callbacks="acme_a:Callbacks") == (
        "DESKBELL_CALLBACKS: expected acme_a:Callbacks to be a Callbacks, got the class; "
        "write callbacks = Callbacks(), and name that"
    )

"""`deskbell flow`, as a person types it; a stack of its own is started in tests/examples/test_shop_flow.py."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deskbell import Callbacks
from tests import forked
from tests.conftest import ApiFactory
from tests.desk import TOKEN
from tests.processes import environment

FLOW = """
session: {SystemClientUserID: user517}
cases:
  is as expected:
    - call: {node: greet, variables: {Name: Li}}
    - expect: {variables: {Greeting: Hello Li}}
  is wrong:
    - call: {node: greet, variables: {Name: Li}}
    - expect: {variables: {Greeting: "Hello \\x01"}}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def flow(tmp_path: Path, valkey_url: str) -> Run:
    """Run `deskbell flow` with arguments, in a folder with a flow file."""
    (tmp_path / "flow_greet.yaml").write_text(FLOW)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return forked.run("flow", *words, env=environment(DESKBELL_REDIS_URL=valkey_url), cwd=tmp_path)

    return run


def greeting() -> Callbacks:
    """A handler that greets."""
    callbacks = Callbacks()

    @callbacks.api_call("greet")
    async def greet(Name: str) -> dict[str, str]:
        return {"Greeting": f"Hello {Name}"}

    return callbacks


def test_cases_are_shown_as_they_are_played(flow: Run, start_api: ApiFactory, tmp_path: Path) -> None:
    """Each step with its line; what differs; a summary; JUnit's XML; exit status 1."""
    desk = start_api(greeting())

    played = flow("--url", desk.url, "--token", TOKEN, "--junit", "junit.xml")

    assert (played.returncode, played.stderr) == (1, "")
    assert f"flow_greet.yaml, played against {desk.url}\n\n  is as expected\n" in played.stdout
    assert "       5  call greet: answered, " in played.stdout
    assert "\n          Greeting=Hello Li\n       6  expect\n  passed in " in played.stdout
    difference = 'line 9: differs: Greeting: expected "Hello \\u0001", got "Hello Li"'
    assert f"\n          {difference}\n  FAILED in " in played.stdout
    assert played.stdout.endswith(f"\n1 passed, 1 failed\nflow_greet.yaml:7: is wrong: {difference}\n")
    root = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - written just now
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    failure = root.find("testsuite[@name='flow_greet.yaml']/testcase[@name='is wrong'][@line='7']/failure")
    assert failure is not None
    assert failure.get("message") == difference


def test_json_has_a_line_for_each_case_that_is_chosen(flow: Run, start_api: ApiFactory) -> None:
    """`FILE::CASE`; exit status 0 when all is as expected."""
    desk = start_api(greeting())

    played = flow("flow_greet.yaml::is as expected", "--url", desk.url, "--token", TOKEN, "--json")

    (line,) = played.stdout.splitlines()
    result = json.loads(line)
    assert played.returncode == 0
    assert (result["file"], result["case"], result["passed"]) == ("flow_greet.yaml", "is as expected", True)
    assert result["steps"][2]["sets"] == {"Greeting": "Hello Li"}


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("none.yaml",), 2, "none.yaml: expected a flow file, got: No such file or directory"),
        (("flow_greet.yaml::is wron",), 2, "flow_greet.yaml: no case 'is wron'; did you mean is wrong?"),
        (("--junit", "no/junit.xml"), 2, "--junit: expected a file in a folder that is there, got no/junit.xml"),
        (("--url", "localhost:8000"), 2, "--url: expected http://… or https://…, got 'localhost:8000'"),
        (("empty",), 2, "expected files flow_*.yaml in "),
        (("flow_greet.yaml", "--url", "http://127.0.0.1:1"), 1, ""),
    ],
)
def test_what_cannot_be_played_ends_in_one_sentence(
    flow: Run, tmp_path: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """Nothing is started before all files have been read; an api that is not there fails its cases."""
    (tmp_path / "empty" / "venv" / "site-packages").mkdir(parents=True)
    (tmp_path / "empty" / "venv" / "site-packages" / "flow_theirs.yaml").write_text(FLOW)

    ended = flow(*words)

    assert ended.returncode == status
    assert ended.stderr.startswith(f"deskbell: {sentence}" if sentence else "")
    assert len(ended.stderr.splitlines()) == bool(sentence)
    assert sentence or "no answer from http://127.0.0.1:1: " in ended.stdout


def test_the_schema_is_printed(flow: Run) -> None:
    """For editors: `# yaml-language-server: $schema=…`."""
    assert json.loads(flow("--schema").stdout)["properties"]["cases"]

"""`deskbell new`: what is made works at once."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deskbell.cli.new.command import TEMPLATE, new
from deskbell.flow.loader import load_flow
from tests import forked
from tests.deskbell.cli.dev.running import running
from tests.processes import environment, unmeasured

ROOT = Path(__file__).parents[4]


class Compose(yaml.SafeLoader):
    """Reads a compose file, whose `!override` says that a list replaces another."""

    def replacing(self, node: yaml.SequenceNode) -> list[Any]:
        return self.construct_sequence(node)


Compose.add_constructor("!override", Compose.replacing)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package that was just made, in a project that has folders with names of Deskbell's own."""
    for name in ("api", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    made = forked.run("new", "acme_shop", env=environment(), cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    return tmp_path / "acme_shop"


def checked(project: Path, *words: str) -> str:
    """What a tool of Python's prints in the folder; it must be content."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=project, env=unmeasured(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_package_passes_its_tests_and_mypy_and_answers_under_deskbell_dev(project: Path) -> None:
    """Within a project that has packages named `api` and `shared`, and without any other setting."""
    assert "passed" in checked(project, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:deskbell")
    assert "no issues found" in checked(project, "mypy", "--cache-dir", str(ROOT / ".mypy_cache" / "acme_shop"))
    assert "already formatted" in checked(project, "ruff", "format", "--line-length", "120", "--check", ".")

    with running(project) as dev:
        call = dev.until(r"deskbell send (order_status OrderID=1002)$")[1]
        assert '"OrderStatus":"shipped"' in dev.call("order_status", **dict([call.split()[1].split("=")]))
        played = forked.run("flow", env=environment(), cwd=project)
        dev.until("analytics.event done")
    assert played.returncode == 0, played.stdout + played.stderr


def test_its_files_say_what_deskbell_reads(project: Path) -> None:
    """The flow file has cases; the compose file changes services and volumes that there are; no sample name is left."""
    override: Any = yaml.load((project / "docker-compose.override.yml").read_text(), Compose)  # noqa: S506 - a safe one
    base = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    assert load_flow(project / "tests" / "flow_orders.yaml").content.cases
    workers = {name for name in base["services"] if name.startswith("worker-")}
    assert override["services"].keys() == {"api", "console", *workers}
    idle = override["services"].pop("worker-chat")  # a worker of queues that no job type has would not start
    assert idle == {"scale": 0}
    for name, service in override["services"].items():
        assert service["image"] == "acme_shop"
        assert {*service["volumes"]} <= {*base["services"][name]["volumes"]}
    files = [path for path in project.rglob("*") if path.is_file()]
    assert len(files) == len([*TEMPLATE.rglob("*.in")])
    assert not [path for path in files if "acme" in (str(path) + path.read_text()).replace("acme_shop", "")]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("my-shop", "lower-case letters, digits and _, got 'my-shop'; write my_shop"),
        ("../Shop", "got '../Shop'; write shop"),
        ("", "got '', such as acme"),
        ("class", "got 'class', which is a word of Python's own; write class_desk"),
        ("api", "got 'api', a package that is Deskbell's own; write api_desk"),
        ("redis", "got 'redis', a package that is installed here; write redis_desk"),
        ("there", "there is there already: choose another name, or remove it"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_a_sentence(tmp_path: Path, name: str, advice: str) -> None:
    """And nothing is made."""
    (tmp_path / "there").mkdir()

    refused = forked.run("new", name, env=environment(), cwd=tmp_path)

    assert refused.returncode == 2
    assert refused.stderr.endswith(f"{advice}\n")
    assert refused.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_cannot_be_finished_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full leaves no half of a package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("no space left")))

    with pytest.raises(OSError, match="no space left"):
        new("acme")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named() -> None:
    """Not the temporary name that nobody has typed."""
    refused = forked.run("new", "acme", env=environment(), cwd=Path("/proc"))

    assert refused.returncode == 1
    assert refused.stderr.startswith("deskbell: expected a folder that can be written, got /proc (")
    assert refused.stderr.endswith("): go to another\n")

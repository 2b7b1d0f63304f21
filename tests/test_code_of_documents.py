"""The code of the documents runs: Python as packages with their tests, commands as they are written."""

import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from deskbell.cli.main import app
from deskbell.cli.words import taken_out
from tests import forked
from tests.deskbell.cli.dev.running import running
from tests.processes import environment

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RAN_ELSEWHERE = {
    "bad-night.md": {"text"},  # tests/end_to_end/test_bad_night.py
    "testing.md": {"python", "text"},  # tests/deskbell/testing/test_plugin.py; the text is a failure that it describes
    "flows.md": {"yaml"},  # tests/deskbell/flow/test_loader.py
    "deploy.md": {"dockerfile"},  # tests/containers/integrating.py
    "kubernetes.md": {"yaml"},  # tests/deploy/kubernetes/test_guide.py
    "operators-console.md": {"nginx"},  # tests/deploy/proxies/test_console.py
    "operate.md": {"acl"},  # tests/end_to_end/test_acl.py
    "runbook.md": {"yaml"},  # tests/deploy/test_alerts.py
    "traces.md": {"ini"},  # tests/end_to_end/test_traces.py
}
GUIDES = [path for path in sorted(DOCS.glob("how-to/*.md")) if "python" not in RAN_ELSEWHERE.get(path.name, set())]
TYPED = ("tutorial.md", "how-to/try.md")
FILE = re.compile(r"```python\n# acme/(\w+\.py)\n(.*?)```", re.DOTALL)


def test_the_python_of_each_guide_is_a_package_whose_tests_pass(tmp_path: Path) -> None:
    """Each guide's files are a package of their own; every module is imported, every test run, in one go."""
    count = 0
    for guide in GUIDES:
        files = dict(FILE.findall(guide.read_text()))
        assert len(files) == guide.read_text().count("```python\n"), f"{guide.name}: a block does not say its file"
        name = f"acme_{guide.stem.replace('-', '_')}"
        if not files:
            continue
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        for file, source in files.items():
            (tmp_path / name / file).write_text(re.sub(r"\bacme(?=[. ])(?!\.example)", name, source))
            count += source.count("def test_")
        modules = ", ".join(f"{name}.{file.removesuffix('.py')}" for file in files)
        (tmp_path / f"test_{name}.py").write_text(f"import {modules}\n\n\ndef test_it_is_imported() -> None: ...\n")
        count += 1

    tested = _python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")

    passed = re.fullmatch(r"(\d+) passed in .*", tested.stdout.splitlines()[-1])
    assert passed, tested.stdout
    assert int(passed[1]) >= count  # a test with parameters counts for each


def test_every_block_of_a_guide_is_of_a_kind_that_some_test_runs() -> None:
    """So that no guide grows code that nothing tries; `text` is what commands print, `ini` a file of settings."""
    for guide in [DOCS / "tutorial.md", *DOCS.glob("how-to/*.md")]:
        ran = {"python", "sh"} | RAN_ELSEWHERE.get(guide.name, set())
        ran |= {"text", "ini", "yaml"} if str(guide.relative_to(DOCS)) in TYPED else set()
        assert set(re.findall(r"^```(\w+)$", guide.read_text(), re.MULTILINE)) <= ran, guide.name


def _python(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=200, check=False
    )


def _command_lines() -> list[tuple[str, str]]:
    """Each line of `deskbell` in a block of sh, with the document it is in."""
    documents = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    blocks = [
        (path, block) for path in documents for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    ]
    return [
        (path.name, line.removeprefix(".venv/bin/"))
        for path, block in blocks
        for line in block.splitlines()
        if re.match(r"(\.venv/bin/)?deskbell\b", line)
    ]


def test_every_command_line_of_the_documents_has_words_and_options_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command itself would read them, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    lines = _command_lines()

    assert {path for path, _ in lines} >= {"README.md", "tutorial.md", "console.md", "flows.md", "operate.md"}
    for document, line in lines:
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        for option in ("--env-file", "--shard"):  # of all commands
            words = taken_out(words, option)[1]
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words, f"{document}: {line}"
            name = words.pop(0)
            assert name in command.commands, f"{document}: {line}"
            command = command.commands[name]
        try:
            command.make_context(command.name, words)
        except TyperException as error:
            pytest.fail(f"{document}: {line}: {error.format_message()}")


NOT_HERE = re.compile(r"python3 -m venv|\. \.venv|pip install")  # a test has all that installed
BLOCK = re.compile(r"```(\w+)\n(?:# ([\w/.]+)\n)?(.*?)```", re.DOTALL)


class Reader:
    """Does what the tutorial says, block by block."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._output = ""
        self._status = 0

    def read(self, kind: str, file: str, source: str) -> None:
        """Run commands, compare what they have printed, write files."""
        if kind == "sh":
            self._output = "".join(self._type(line) for line in source.splitlines() if not NOT_HERE.match(line))
        elif kind == "text":
            printed = [_collapsed(line) for line in self._output.splitlines()]
            for line in source.splitlines():
                assert any(_collapsed(line) in each for each in printed), (line, self._output)
            assert self._status == 0 or "FAIL" in source, self._output
        elif (self.folder / file).exists() and kind == "python":
            assert source in (self.folder / file).read_text(), file
        else:
            (self.folder / file).write_text(source)

    def _type(self, line: str) -> str:
        words = shlex.split(line, comments=True)
        if words[0] == "cd":
            self.folder /= words[1]
            return ""
        if words == ["deskbell", "dev"]:
            self._stack.close()  # Ctrl-C
            self._stack.enter_context(running(self.folder)).until("deskbell send order_status")
            return ""
        target = words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if target else words
        if words[0] == "deskbell":
            done = forked.run(*words[1:], env=environment(), cwd=self.folder)
        else:
            done = _python(self.folder, *words[1:])
        self._status = done.returncode
        if target:
            (self.folder / target).write_text(done.stdout)
        return done.stdout + done.stderr


def _collapsed(line: str) -> str:
    return " ".join(line.split())


@pytest.mark.timeout(300)  # two stacks are started, on a machine that may be busy
def test_the_tutorial_and_the_guide_behind_it_can_be_followed_word_by_word(tmp_path: Path) -> None:
    """Their commands, files and what they say is printed, beside a `deskbell dev` that runs all the while."""
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        for page in TYPED:
            for kind, file, source in BLOCK.findall((DOCS / page).read_text()):
                reader.read(kind, file, source)

    assert "cancel_order" in (reader.folder / "desk.html").read_text()

"""Flow files as tests of pytest: each case is one. The cases of a run are played by one `deskbell flow`.

That is a process of its own: it starts a stack, or finds the `deskbell dev` of the folder, and ends what it started. So
pytest needs neither the api nor the workers, and nothing of them is left in its process.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import pytest

from deskbell.flow.loader import load_flow
from shared.errors import FlowFileError

_GRACE_SECONDS = 30


class FlowTests(pytest.File):
    """A flow file."""

    def collect(self) -> Iterable["FlowTest"]:
        """Its cases."""
        try:
            flow = load_flow(self.path)
        except FlowFileError as error:
            raise self.CollectError(str(error)) from None
        for case in flow.content.cases:
            yield FlowTest.from_parent(self, name=case, line=flow.document.line(("cases", case)))


class FlowTest(pytest.Item):
    """A case."""

    def __init__(self, *, line: int, **given: Any) -> None:
        super().__init__(**given)
        self.line = line

    @property
    def word(self) -> str:
        """The case, as `deskbell flow` takes it."""
        return f"{self.path}::{self.name}"

    def runtest(self) -> None:
        """Have it played; fail unless all was as expected."""
        stash = self.config.stash
        if _RUN not in stash:
            items = [item.word for item in self.session.items if isinstance(item, FlowTest)]
            stash[_RUN] = _Run(items, self.config.rootpath)
            self.config.add_cleanup(stash[_RUN].close)
        result = stash[_RUN].result(str(self.path), self.name)
        if not result["passed"]:
            raise _FlowFailed(_text(result))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """What differs, without a traceback, which would show pytest's own frames."""
        if isinstance(excinfo.value, _FlowFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the case is."""
        return self.path, self.line - 1, self.name


class _FlowFailed(Exception):  # noqa: N818 - a failure of a test
    """Raised when a case is not as expected; all that differs."""


class _Run:
    """`deskbell flow` with the cases of this run, and the results that it has printed so far."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self._complaints: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-P", "-m", "deskbell", "flow", "--json", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            stdin=subprocess.DEVNULL,
        )
        self._results: dict[tuple[str, str], dict[str, Any]] = {}

    def result(self, file: str, case: str) -> dict[str, Any]:
        """The result of a case, once it has been played."""
        assert self._process.stdout
        while (file, case) not in self._results:
            line = self._process.stdout.readline()
            if not line:
                self._complaints.seek(0)
                raise _FlowFailed(
                    f"deskbell flow has ended: {self._complaints.read().decode(errors='replace').strip()}"
                )
            found = json.loads(line)
            self._results[found["file"], found["case"]] = found
        return self._results[file, case]

    def close(self) -> None:
        """End it, also before all has been played."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._complaints.close()


_RUN = pytest.StashKey[_Run]()


def _text(result: dict[str, Any]) -> str:
    lines = [f"{result['file']}:{result['line']}: {result['case']}"]
    for step in result["steps"]:
        outcome = f": {step['outcome']}" if step.get("outcome") else ""
        lines.append(f"{step['line']:>8}  {step['step']}{outcome}")
        lines += [
            f"{'':10}{each['kind']}: {each['what']}: expected {each['expected']}, got {each['got']}"
            for each in step["differences"]
        ]
    return "\n".join([*lines, *([result["error"]] if result["error"] else [])])

"""`deskbell dev`: the stack that stays, in one stream."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deskbell.cli.defaults import DEV_APP, DEV_TOKEN
from deskbell.cli.settings.running import find_running
from deskbell.testing import packet, signed_query
from shared.wire.protocol import API_CALL
from tests import forked
from tests.processes import PATIENT, environment, unmeasured
from tests.waiting import until

SOURCE = """
from deskbell import ApiCall, Callbacks, Jobs

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("version")
def version(OrderID: int) -> dict[str, str]:
    print("text of the handler")
    return {"Version": "first"}

@callbacks.api_call("broken")
def broken() -> dict[str, str]:
    raise LookupError("text of the exception")

@jobs.on(ApiCall, node="version")
def note(event: ApiCall) -> None: ...
"""


class Running:
    """A `deskbell dev`, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it has printed."""
        return "".join(self._lines)

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed something."""
        found = until(lambda: re.search(pattern, self.output, re.MULTILINE) or self.process.poll() is not None)
        assert isinstance(found, re.Match), self.output
        return found

    def call(self, node: str, **variables: str) -> str:
        """Call a node; the answer."""
        url = self.until(r"callback +(\S+)$")[1]
        query = signed_query(DEV_APP, DEV_TOKEN, API_CALL)
        return httpx.post(f"{url}/{node}?{query}", json=packet(**variables), timeout=30).text

    def end(self) -> int:
        """End it with Ctrl-C, unless it has ended; its status."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        self._reader.join(30)
        return status

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.append(line)


@contextmanager
def running(folder: Path, *options: str, **settings: str) -> Iterator[Running]:
    """`deskbell dev` in a folder, for the package in it."""
    settings = unmeasured(
        DESKBELL_APP_DIR=str(folder / "package"), DESKBELL_CALLBACKS="acme:callbacks", **PATIENT, **settings
    )
    command = [sys.executable, "-u", "-P", "-m", "deskbell", "dev", *options]
    with subprocess.Popen(
        command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        dev = Running(process)
        try:
            yield dev
        finally:
            dev.end()


def package(folder: Path, source: str = SOURCE) -> Path:
    """The integrator's module."""
    path = folder / "package" / "acme.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


def test_a_callback_is_one_block_and_a_mistake_is_shown_with_its_line_until_it_is_mended(tmp_path: Path) -> None:
    """The rest stays up meanwhile; names of variables are shown, no values; Ctrl-C ends all, and the data stays."""
    source = package(tmp_path, SOURCE + "import api.db\n")
    (source.parent / "api").mkdir()
    (source.parent / "api" / "db.py").touch()

    with running(tmp_path, DESKBELL_JOBS="acme:jobs") as dev:
        dev.until("two packages are named api, Deskbell's ")
        dev.until(r"^dev +│ (api|workers) has ended \(status 2\); the rest stays up\.")
        package(tmp_path)
        dev.until(r"^dev +│ reloaded in [\d,]+ ms$")
        dev.until(r"^dev +│ deskbell send version OrderID=1\b")

        assert '"first"' in dev.call("version", OrderID="98765")
        dev.until(r"^workers +│ +job +note done in [\d.]+ ms$")
        found = find_running(tmp_path / ".deskbell")
        assert found
        assert found.pid == dev.process.pid
        assert "1009" in dev.call("broken")
        dev.until(r"^api +│ +LookupError: text of the exception$")

        package(tmp_path, SOURCE.replace("first", "second") + "def broken(:\n")
        dev.until(r"> +18  def broken\(:$")
        dev.until(r"^dev +│ api: the code of before goes on until this is mended$")
        assert '"first"' in dev.call("version", OrderID="1")
        package(tmp_path, SOURCE.replace("first", "second"))
        until(lambda: '"second"' in dev.call("version", OrderID="1"))
        assert dev.end() == 0

    block = dev.until(r"^api .* version answered in [\d.]+ ms ([0-9a-f]{32})\n(.*\n)(.*\n)")
    assert re.search(r"│ +in +OrderID$", block[2])
    assert re.search(r"│ +answer +OK Version$", block[3])
    assert "98765" not in dev.output
    assert re.search(r"^api +│ text of the handler$", dev.output, re.MULTILINE)
    assert re.search(r"^dev +│ Redis +unix:///\S+$", dev.output, re.MULTILINE)
    assert dev.output.endswith("│ stopped\n")
    assert (tmp_path / ".deskbell" / "valkey" / "appendonlydir").is_dir()


def test_with_handlers_only_a_worker_takes_the_events(tmp_path: Path) -> None:
    """A package without job types is a package; values are shown to who asks for them; another run is refused."""
    package(tmp_path)

    with running(tmp_path, "--show-values") as dev:
        dev.until("ready in")
        dev.call("version", OrderID="98765")
        dev.until("none: no job type subscribes to it$")
        rights = (tmp_path / ".deskbell").stat().st_mode & 0o777
        second = forked.run("dev", env=environment(), cwd=tmp_path)
        (tmp_path / ".deskbell" / "generated.py").touch()  # its own data
        (tmp_path / "package" / "other.py").touch()
        dev.until("other.py changed")
        dev.process.send_signal(signal.SIGHUP)  # as when the terminal is closed
        assert dev.process.wait(60) == 128 + signal.SIGHUP

    assert re.search(r'│ +in +OrderID="98765"$', dev.output, re.MULTILINE)
    assert re.search(r'│ +answer +OK Version="first"$', dev.output, re.MULTILINE)
    assert "generated.py" not in dev.output
    assert rights == 0o700  # what customers wrote lies there
    assert second.returncode == 2
    assert second.stderr == (
        f"deskbell: another Deskbell keeps its data in {tmp_path / '.deskbell'}: end it, or use another folder\n"
    )

"""`deskbell dev`: the stack that stays, in one stream."""

import asyncio
import re
import signal
from pathlib import Path

import httpx

from deskbell.cli.defaults import DEV_APP, DEV_KEY
from deskbell.cli.settings.running import find_running
from deskbell.desk import DeskClient, text
from tests import forked
from tests.deskbell.cli.dev.running import running
from tests.processes import environment
from tests.waiting import until

SOURCE = """
from deskbell import ApiCall, Callbacks, Jobs

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("version")
def version(OrderID: int) -> dict[str, str]:
    print("\\x1b[31mtext of the handler")
    return {"Version": "first"}

@callbacks.api_call("broken")
def broken() -> dict[str, str]:
    raise LookupError("text of the exception")

@jobs.on(ApiCall, node="version")
def note(event: ApiCall) -> None: ...
"""


SETTINGS = {"DESKBELL_APP_DIR": "package", "DESKBELL_CALLBACKS": "acme:callbacks"}


def package(folder: Path, source: str = SOURCE) -> Path:
    """The integrator's module."""
    path = folder / "package" / "acme.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


async def say(words: str, url: str) -> None:
    """Write into a chat, as a job does."""
    async with DeskClient(DEV_APP, DEV_KEY, url=url, seconds=60) as desk:
        await desk.send_msg("a-session", [text(words)], random=1)


def test_a_callback_is_one_block_and_a_mistake_is_shown_with_its_line_until_it_is_mended(tmp_path: Path) -> None:
    """The rest stays up meanwhile; names of variables are shown, no values; Ctrl-C ends all, and the data stays."""
    source = package(tmp_path, SOURCE + "import api.db\n")
    (source.parent / "api").mkdir()
    (source.parent / "api" / "db.py").touch()

    with running(tmp_path, DESKBELL_JOBS="acme:jobs", **SETTINGS) as dev:
        dev.until("two packages are named api, Deskbell's ")
        dev.until(r"^dev +│ (api|workers) has ended \(status 2\); the rest stays up\.")
        package(tmp_path)
        dev.until(r"^dev +│ reloaded in [\d,]+ ms$")
        dev.until(r"^dev +│ deskbell send version OrderID=1\b")

        assert '"first"' in dev.call("version", OrderID="98765")
        dev.until(r"^api +│ \?\[31mtext of the handler$")  # the terminal does not obey it
        dev.until(r"^workers +│ +job +note done in [\d.]+ ms$")
        found = find_running(tmp_path / ".deskbell")
        assert found
        assert found.pid == dev.process.pid
        assert "<h1>Now</h1>" in httpx.get(dev.until(r"^dev +│ console +(\S+)$")[1], timeout=30).text
        asyncio.run(say("the-text-of-a-message", dev.until(r"Desk's REST +(\S+)$")[1]))
        dev.until(r"^desk +│ send_msg OK SessionId, MsgRandom, MsgBody$")
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
    assert "the-text-of-a-message" not in dev.output
    assert re.search(r"^dev +│ Redis +unix:///\S+$", dev.output, re.MULTILINE)
    has_usual_port = re.search(r"callback +http://127.0.0.1:8000/", dev.output)
    assert ("the port 8000 is taken, so http" in dev.output) != bool(has_usual_port)
    assert dev.output.endswith("│ stopped\n")
    assert (tmp_path / ".deskbell" / "valkey" / "appendonlydir").is_dir()


def test_with_handlers_only_a_worker_takes_the_events(tmp_path: Path) -> None:
    """A package without job types is a package; values are shown to who asks for them; another run is refused."""
    package(tmp_path)

    with running(tmp_path, "--show-values", **SETTINGS) as dev:
        dev.until("ready in")
        dev.call("version", OrderID="98765")
        dev.until("none: no job type subscribes to it$")
        asyncio.run(say("the-text-of-a-message", dev.until(r"Desk's REST +(\S+)$")[1]))
        dev.until(r"^desk +│ send_msg OK SessionId=.*the-text-of-a-message")
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

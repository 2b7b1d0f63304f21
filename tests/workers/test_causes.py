"""Causes, from exceptions and from the tracebacks that RQ keeps."""

import json
import traceback
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError

import pytest
import rq

from deskbell import Discard, Retry
from shared.errors import ConfigError, OutOfTurnError, UnknownJobError
from workers.causes import UNKNOWN, cause_in, cause_of, kind_of, last_frames_of, read_frames
from workers.worker.rq_outcomes import ABANDONED


def raised(folder: Path, source: str) -> Exception:
    """What a function `run` of a module in a folder raises."""
    path = folder / "acme" / "jobs.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    module: dict[str, object] = {}
    exec(compile(source, str(path), "exec"), module)  # noqa: S102 - the test's own source
    try:
        module["run"]()  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001 - it is what is asked for
        return error
    raise AssertionError("nothing was raised")


FAKE = r"x\nTraceback (most recent call last):\n  File \"secret.py\", line 1, in secret\nSecret: x"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def run(): raise OSError('user517')", "OSError at acme/jobs.py:1 in run"),
        ("import json\ndef run(): json.loads('user517')", "JSONDecodeError at acme/jobs.py:2 in run"),
        ("def inner(): raise OSError\ndef run():\n  inner()", "OSError at acme/jobs.py:1 in inner"),
        ("class E(Exception): ...\ndef run(): raise E('x\\n  y: z\\nw: v')", "E at acme/jobs.py:2 in run"),
        (f"def run(): raise OSError('{FAKE}')", "OSError at acme/jobs.py:1 in run"),
        (f"def run(): raise ExceptionGroup('{FAKE}', [OSError('{FAKE}')])", "ExceptionGroup at acme/jobs.py:1 in run"),
        ("def run(): raise ExceptionGroup('g', [OSError('x')])", "ExceptionGroup at acme/jobs.py:1 in run"),
        ("def run(): raise OSError", "OSError at acme/jobs.py:1 in run"),
        ("def run():\n  class E(Exception): ...\n  raise E('x')", "E at acme/jobs.py:3 in run"),
    ],
)
def test_the_cause_is_the_type_and_the_integrators_last_line_and_of_a_text_the_type(
    tmp_path: Path, source: str, cause: str
) -> None:
    """What a stock worker leaves is a text, and its lines may be the exception's own."""
    error = raised(tmp_path, source)
    text = "".join(traceback.format_exception(error))

    assert cause_of(error) == cause
    assert cause_in(text) == cause.partition(" ")[0]


HTTPX = "import httpx\ndef answer(status): return httpx.Response(status, request=httpx.Request('PUT', 'http://crm/user517'))\n"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (f"{HTTPX}def run(): answer(401).raise_for_status()", "HTTPStatusError 401 at acme/jobs.py:3 in run"),
        (
            f"{HTTPX}def run():\n  try: answer(422).raise_for_status()\n  except Exception as e: raise OSError from e",
            "OSError 422 at acme/jobs.py:5 in run",
        ),
        (
            "class E(Exception): status = 503\ndef run(): raise E('as aiohttp writes it')",
            "E 503 at acme/jobs.py:2 in run",
        ),
        ("class E(Exception): status = 'user517'\ndef run(): raise E", "E at acme/jobs.py:2 in run"),
        ("class E(Exception): status = 7\ndef run(): raise E", "E at acme/jobs.py:2 in run"),
        ("def run(): raise OSError from OSError()", "OSError at acme/jobs.py:1 in run"),
    ],
)
def test_the_cause_tells_the_status_that_a_server_answered(tmp_path: Path, source: str, cause: str) -> None:
    """An expired token, 401, is not a wrong address, 404: a number from 100 to 599, and nothing else of the answer."""
    assert cause_of(raised(tmp_path, source)) == cause


def test_of_a_chain_the_record_has_the_last_cause_and_the_traceback_tells_the_first(tmp_path: Path) -> None:
    """What stands behind the first one's message may be part of that message: anybody may have written it."""
    error = raised(tmp_path, f"def run():\n  try: int('{FAKE}')\n  except ValueError as e: raise OSError('x') from e")

    text = "".join(traceback.format_exception(error))

    assert cause_of(error) == "OSError at acme/jobs.py:3 in run"
    assert cause_in(text) == "ValueError"


def test_the_frames_that_are_recorded_are_read_again(tmp_path: Path) -> None:
    """The last thirty, of a recursion too; none where none were."""
    error = raised(tmp_path, "def run(n=0):\n  if n == 50: raise OSError\n  run(n + 1)")

    written = json.loads(json.dumps(last_frames_of(error)))

    assert read_frames(written) == last_frames_of(error)
    assert len(written) == 30
    assert read_frames(None) == []


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-24", "AbandonedJobError"),
        ("The worker gave no sign of life in time, and no attempt is left.", "AbandonedJobError"),
        ("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", "ProcessDied"),
        ("user517 wrote this", UNKNOWN),
        ("ValueError: user517\n", UNKNOWN),
        ("", UNKNOWN),
        ("Traceback (most recent call last):\n", UNKNOWN),
    ],
)
def test_what_is_written_where_nothing_was_raised_is_a_cause_too(text: str, cause: str) -> None:
    """RQ's sentences and ours."""
    assert cause_in(text) == cause


def test_rq_and_the_workers_write_the_sentences_that_are_looked_for() -> None:
    """They are not ours to choose: a version of RQ that words them anew must be noticed."""
    looked_for = "Moved to {FailedJobRegistry.__name__}, due to {AbandonedJobError.__name__}"
    theirs = Path(rq.__path__[0])

    assert looked_for in (theirs / "registry.py").read_text()
    assert "Work-horse terminated unexpectedly" in (theirs / "worker" / "worker_classes.py").read_text()
    assert ABANDONED.startswith("The worker gave no sign of life")


def test_the_cause_of_what_may_not_leave_a_coroutine_is_what_was_raised(tmp_path: Path) -> None:
    """Python raises RuntimeError instead, without the integrator's frames."""
    source = """
import asyncio
async def stops(): raise StopIteration
def run(): asyncio.run(stops())
"""
    error = raised(tmp_path, source)

    assert isinstance(error, RuntimeError)
    assert cause_of(error) == "StopIteration at acme/jobs.py:3 in stops"
    assert [frame.function for frame in last_frames_of(error)] == ["stops"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, ""),
        (OutOfTurnError("it is not this job's turn: busy"), ""),
        (Discard("no", code="422"), "http_4xx"),
        (Discard("no"), "decided"),
        (Retry(after=1, code="429"), "http_429"),
        (HTTPError("url", 401, "", Message(), None), "http_401_403"),
        (HTTPError("url", 503, "", Message(), None), "http_5xx"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "connection"),
        (UnknownJobError("x"), "unknown_type"),
        (ConfigError("x"), "settings"),
        (type("ReadTimeout", (Exception,), {})(), "timeout"),
        (ValueError("503"), "other"),
    ],
)
def test_the_kind_of_a_failure_is_one_of_few_words(error: BaseException | None, kind: str) -> None:
    """For a metric: no text of an exception becomes a label."""
    assert kind_of(error) == kind

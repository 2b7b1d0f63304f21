"""What an integrator's code may do to the process that it runs in, without harm to answers, jobs and our log lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell.testing import api_call
from shared.redis.queues import EVENTS, events_job, queue
from tests import forked
from tests.processes import ALONE, PATIENT, environment
from tests.serving import running_api
from tests.waiting import until

AT_IMPORT = {
    "stdlib recipe": """
structlog.configure(
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
)
""",
    "broken": """
def broken(*_):
    raise KeyError("no such field")
structlog.configure(processors=[broken])
logging.basicConfig(force=True, handlers=[logging.NullHandler()])
logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
logging.disable()
""",
}
IN_A_CALL = """
def take_over():
    structlog.configure(processors=[], wrapper_class=None, logger_factory=None)
    logging.disable()
    warnings.simplefilter("error")
    if sys.stdout:
        sys.stdout.close()
    sys.stdout = sys.stderr = None
    os.chdir("/")
    gc.disable()
    random.seed(0)
    socket.setdefaulttimeout(0.001)
    locale.setlocale(locale.LC_ALL, "C")
    os.environ.clear()
"""
HEAD = """
import gc, locale, logging, logging.config, os, random, socket, structlog, sys, warnings
"""
HANDLERS = """
from deskbell import Callbacks
callbacks = Callbacks()

@callbacks.api_call("harmless")
def harmless() -> dict[str, str]:
    return {"A": "b"}

@callbacks.api_call("hostile")
def hostile() -> dict[str, str]:
    take_over()
    return {"A": "b"}

@callbacks.api_call("hostile_too")
async def hostile_too() -> dict[str, str]:
    take_over()
    logging.getLogger("acme").error("odd")
    raise ValueError
"""
JOBS = """
from deskbell import ApiCall, Jobs
jobs = Jobs()

@jobs.on(ApiCall, node="harmless", attempts=1)
async def harmless(event: ApiCall) -> None: ...

@jobs.on(ApiCall, node="hostile", attempts=1)
def hostile(event: ApiCall) -> None:
    take_over()

@jobs.on(ApiCall, node="hostile_too", attempts=1)
async def hostile_too(event: ApiCall) -> None:
    take_over()
    logging.getLogger("acme").error("odd")
"""


@pytest.mark.parametrize("at_import", AT_IMPORT)
def test_what_an_integrators_code_configures_changes_no_answer_no_outcome_and_no_line_of_ours(
    redis: Redis, valkey_url: str, tmp_path: Path, at_import: str
) -> None:
    """Logging, structlog, standard output, warnings, the environment: at import, in a handler and in a job."""
    assert redis.ping()
    for name, rest in (("acme_handlers", HANDLERS), ("acme_jobs", JOBS)):
        (tmp_path / f"{name}.py").write_text(HEAD + AT_IMPORT[at_import] + IN_A_CALL + rest)
    calls = ["harmless", "hostile", "hostile_too", "harmless", "hostile", "unknown"]

    with running_api(valkey_url, tmp_path, DESKBELL_CALLBACKS="acme_handlers:callbacks", **PATIENT) as api:
        answers = [api.desk.call(node) for node in calls]
        until(lambda: len(api.lines("callback")) == len(calls))
        lines = api.lines("callback")

    assert [answer.json()["ErrorCode"] for answer in answers] == [0, 0, 1009, 0, 0, 1006]
    assert [(line["node"], line["event_id"]) for line in lines] == [
        (node, answer.headers["X-Deskbell-Event"]) for node, answer in zip(calls, answers, strict=True)
    ]
    assert len(api.lines("no_handler")) == 1
    assert api.lines(f"Finished server process [{api.pids()[0]}]")
    assert (api.process.returncode, api.lines("log_lines_lost")) == (0, [])

    attempts = [line for line in worked_off(valkey_url, tmp_path) if line["event"] == "attempt"]
    done = {"harmless": 2, "hostile": 2, "hostile_too": 1}
    assert {name: [line["job"] for line in attempts].count(name) for name in done} == done
    assert {line["outcome"] for line in attempts} == {"done"}
    assert {(line["pid"], bool(line["host"]), bool(line["worker"])) for line in attempts} == {
        (attempts[0]["pid"], True, True)
    }


FAILING = """
from deskbell import ApiCall, Jobs
jobs = Jobs()

@jobs.on(ApiCall, attempts=1)
def fails(event: ApiCall) -> None:
    raise ValueError("planted " + "text")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_text_of_what_a_job_raised_is_shown_where_a_developer_works(
    redis: Redis, valkey_url: str, tmp_path: Path, log_format: str
) -> None:
    """With the traceback; production's lines have its type and its stack frames."""
    (tmp_path / "acme_jobs.py").write_text(FAILING)
    events, event = queue(EVENTS, redis), api_call()
    events.enqueue_job(events_job(events, event.command, event.to_wire(), event.id))

    log = burst(valkey_url, tmp_path, DESKBELL_LOG_FORMAT=log_format)

    assert "ValueError" in log
    assert f"{tmp_path}/acme_jobs.py" in log
    assert ("    ValueError: planted text\n" in log) == (log_format == "console")
    assert ("planted text" in log) == (log_format == "console")


def worked_off(url: str, folder: Path) -> list[dict[str, Any]]:
    """The lines of a worker that works until its queues are empty."""
    return [json.loads(line) for line in burst(url, folder).splitlines()]


def burst(url: str, folder: Path, **settings: str) -> str:
    """What such a worker writes to standard output."""
    words = ("worker", "--burst", "--concurrency", "2", *ALONE)
    given = environment(DESKBELL_REDIS_URL=url, DESKBELL_JOBS="acme_jobs:jobs", **settings)
    return forked.run(*words, env=given, cwd=folder).stdout

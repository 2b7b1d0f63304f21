"""Log lines."""

import asyncio
import json
import logging
import logging.config
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException

from shared import logs
from shared.logs import configure_logs, expanded, get_log, name_process, on_lost_lines

PLANTED = "planted: what a customer wrote"


def fail() -> None:
    """Raise an exception that quotes a customer."""
    raise ValueError(PLANTED)


def failure() -> Exception:
    """That exception, caught."""
    with pytest.raises(ValueError, match=PLANTED) as caught:
        fail()
    return caught.value


def lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged, each line read as JSON; nothing else was written anywhere."""
    out, err = captured.readouterr()
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def test_a_line_is_one_json_object(capfd: pytest.CaptureFixture[str]) -> None:
    """With its event, its fields, its level, the time in UTC, and the process that wrote it."""
    configure_logs("json")
    before = datetime.now(UTC).replace(microsecond=0)  # a line has milliseconds

    get_log().info("callback", node="order_status", ms=1.5, note="two\nlines 退费")

    [line] = lines(capfd)
    time = datetime.fromisoformat(line.pop("timestamp"))
    assert before <= time <= before + timedelta(minutes=1)
    assert (line.pop("pid"), bool(line.pop("host"))) == (os.getpid(), True)
    assert line == {"event": "callback", "level": "info", "node": "order_status", "ms": 1.5, "note": "two\nlines 退费"}


def test_each_line_of_a_worker_has_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    """So the lines of several can be told apart."""
    configure_logs("json")
    name_process(worker="worker-7")

    get_log().info("attempt")
    logging.getLogger("acme.library").warning("theirs")

    assert [line["worker"] for line in lines(capfd)] == ["worker-7"] * 2


class Odd:
    """What an integrator's class may do when it is shown."""

    def __init__(self, does: Any) -> None:
        self._does = does

    def __repr__(self) -> str:
        return str(self._does())


def leave(*_: object, **__: object) -> logging.LogRecord:
    """End the process, as a careless `__repr__` may."""
    sys.exit(3)


def log_again() -> None:
    """Log the same once more, and so for ever if that were let."""
    get_log().info("again", thing=Odd(log_again))


@pytest.mark.parametrize(
    ("thing", "written"),
    [
        (lines, "<function lines at "),
        (Odd(lambda: 1 / 0), "<Odd>"),
        ("half a pair \ud83d", "'half a pair \\ud83d'"),
        (float("nan"), "NaN"),
        (Odd(log_again), "None"),
    ],
    ids=["function", "raises", "surrogate", "nan", "logs"],
)
def test_what_json_cannot_say_is_written_another_way(
    capfd: pytest.CaptureFixture[str], thing: object, written: str
) -> None:
    """A log line must not fail a callback, nor be lost for one field."""
    configure_logs("json")

    get_log().info("odd", thing=thing, node="order_status")

    line = lines(capfd)[0]
    assert (line["event"], line["node"]) == ("odd", "order_status")
    assert line["thing"].startswith(written)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_that_cannot_be_made_is_dropped_and_counted(capfd: pytest.CaptureFixture[str], log_format: Any) -> None:
    """Not even `SystemExit` reaches who logs; the next line is followed by one that says how many are lost."""
    configure_logs(log_format)

    logging.getLogger("acme.library").warning("odd %s", Odd(leave))
    get_log().info("next")

    out, _ = capfd.readouterr()
    assert [name for name in ("odd", "next", "log_lines_lost") if name in out] == ["next", "log_lines_lost"]


def test_a_time_out_that_strikes_while_a_line_is_written_reaches_the_job() -> None:
    """RQ's alarm raises wherever the job is at that moment."""

    def alarm() -> None:
        raise JobTimeoutException

    with logs.lines_go_to(lambda *_: alarm()), pytest.raises(JobTimeoutException):
        get_log().info("attempt")


def test_debug_and_info_of_libraries_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    """Ours begin at info, those of libraries at warning, uvicorn's life-cycle at info."""
    configure_logs("json")

    get_log().info("ours, info")
    logging.getLogger("acme.library").info("theirs")
    logging.getLogger("acme.library").warning("theirs, warning")
    logging.getLogger("uvicorn.error").info("uvicorn, info")
    logging.getLogger("rq.worker").info("rq, info")

    assert [line["event"] for line in lines(capfd)] == ["ours, info", "theirs, warning", "uvicorn, info"]


def configure_logging_otherwise() -> None:
    """Each way in which an integrator may take `logging` for itself."""
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    logging.getLogger("rq.worker").addFilter(lambda _: False)
    logging.setLogRecordFactory(leave)
    logging.disable()


def test_no_configuration_of_logging_reaches_our_lines_or_our_libraries(capfd: pytest.CaptureFixture[str]) -> None:
    """Uvicorn's and RQ's are ours; the integrator's own go where the integrator wants them."""
    configure_logs("json")
    try:
        configure_logging_otherwise()

        get_log().info("ours")
        logging.getLogger("uvicorn.error").info("uvicorn's")
        logging.getLogger("rq.worker").error("RQ's")
        logging.setLogRecordFactory(logging.LogRecord)
        logging.getLogger("acme.library").error("theirs")
    finally:
        logging.disable(logging.NOTSET)
        logging.setLogRecordFactory(logging.LogRecord)

    assert [line["event"] for line in lines(capfd)] == ["ours", "uvicorn's", "RQ's"]


def test_an_exception_is_its_type_and_its_frames() -> None:
    """Its text may quote what a customer wrote, so it stays out."""
    fields = expanded({"error": failure()})

    assert fields["error"] == "ValueError"
    assert [place.partition(":")[0] for place in fields["where"]] == [__file__, __file__]
    assert [place.rpartition(" ")[2] for place in fields["where"]] == ["failure", "fail"]
    assert PLANTED not in str(fields)


def test_an_exception_that_was_never_raised_has_no_frames() -> None:
    """There is no traceback to read."""
    assert expanded({"error": KeyError(PLANTED)}) == {"error": "KeyError", "where": []}


def test_the_last_frames_of_a_recursion_are_written() -> None:
    """A line has a bounded length."""

    def recur() -> None:
        recur()

    with pytest.raises(RecursionError) as caught:
        recur()

    assert len(expanded({"error": caught.value})["where"]) == 30


@pytest.mark.parametrize("log_format", ["json", "console", "dev"])
def test_only_developers_are_shown_an_exceptions_text(capfd: pytest.CaptureFixture[str], log_format: Any) -> None:
    """Deskbell's and libraries': a developer needs the traceback, production's logs must not quote a customer."""
    configure_logs(log_format)

    get_log().error("handler_failed", error=failure())
    try:
        fail()
    except ValueError:
        logging.getLogger("acme.library").exception("it broke for %s", "node order_status")

    out, err = capfd.readouterr()
    assert err == ""
    assert all(word in out for word in ("it broke for node order_status", "acme.library", "ValueError", __file__))
    assert out.count(f"    ValueError: {PLANTED}\n") == (2 if log_format == "console" else 0)
    assert (PLANTED in out) == (log_format != "json")


def test_nothing_in_an_exceptions_text_forges_a_line_on_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    """It is indented, and what would steer the terminal is escaped."""
    configure_logs("console")

    get_log().error("handler_failed", error=ValueError("a\n2026-01-01 forged\r\x1b[31mred"))

    out, _ = capfd.readouterr()
    assert all(character.isprintable() or character == "\n" for character in out)
    assert not [line for line in out.splitlines() if line.startswith("2026-01-01 forged")]


def test_a_text_of_several_lines_is_shown_as_such(capfd: pytest.CaptureFixture[str]) -> None:
    """The handler to write can be copied from the terminal."""
    configure_logs("console")

    get_log().warning("no_handler", node="a", write="@callbacks.api_call\nasync def a() -> dict[str, str]:")

    out, _ = capfd.readouterr()
    assert out.splitlines()[1:] == [
        "    write:",
        "    @callbacks.api_call",
        "    async def a() -> dict[str, str]:",
    ]


def test_a_librarys_line_has_its_logger_and_level(capfd: pytest.CaptureFixture[str]) -> None:
    """Percent signs without arguments are text, and `exc_info` without an exception is nothing."""
    configure_logs("json")

    logging.getLogger("acme.library").error("100% full", exc_info=True)  # noqa: LOG014 - libraries do that

    [line] = lines(capfd)
    assert {name: line[name] for name in ("event", "level", "logger")} == {
        "event": "100% full",
        "level": "error",
        "logger": "acme.library",
    }
    assert "error" not in line


@pytest.mark.parametrize(("level", "written"), [(35, "warning"), (45, "error"), (50, "critical"), (99, "critical")])
def test_a_level_of_a_librarys_own_is_the_one_below(
    capfd: pytest.CaptureFixture[str], level: int, written: str
) -> None:
    """Levels between the known ones are logged, not lost."""
    configure_logs("json")

    logging.getLogger("acme.library").log(level, "odd")

    assert [(line["event"], line["level"]) for line in lines(capfd)] == [("odd", written)]


def test_only_the_first_line_of_a_librarys_message_is_carried_over(capfd: pytest.CaptureFixture[str]) -> None:
    """RQ and asyncio put the exception's text into the lines that follow."""
    configure_logs("json")

    async def leave_a_failed_future() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        future.set_exception(failure())
        loop.call_exception_handler({"message": "never retrieved", "future": future, "exception": future.exception()})

    asyncio.run(leave_a_failed_future())

    [line] = lines(capfd)
    assert (line["event"], line["error"]) == ("never retrieved", "ValueError")
    assert PLANTED not in json.dumps(line)


def test_a_librarys_line_that_cannot_be_written_does_not_fail_the_library(capfd: pytest.CaptureFixture[str]) -> None:
    """Nor is it complained of with its values on standard error, as `logging` would."""
    configure_logs("json")
    too_few = (PLANTED,)

    logging.getLogger("acme.library").warning("%s and %s", *too_few)
    get_log().info("next")

    assert [line["event"] for line in lines(capfd)] == ["next", "log_lines_lost"]


def test_the_console_shows_lines_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    """The same lines, not as JSON."""
    configure_logs("console")

    get_log().info("callback", node="order_status", reason="two words", ms=1.5)

    out, _ = capfd.readouterr()
    assert out.endswith("Z [info   ] callback                 node='order_status' reason='two words' ms=1.5\n")


def test_configuring_twice_logs_once(capfd: pytest.CaptureFixture[str]) -> None:
    """The last word counts, for loggers that were made before as well as for libraries."""
    configure_logs("console")
    log = get_log()
    configure_logs("json")

    log.info("ours")
    logging.getLogger("acme.library").warning("theirs")

    assert [line["event"] for line in lines(capfd)] == ["ours", "theirs"]


def test_lost_lines_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    """The api has a metric of them."""
    noted: list[int] = []
    configure_logs("json")
    on_lost_lines(noted.append)

    logging.getLogger("acme.library").warning("odd %s", Odd(leave))

    assert noted == [1]
    assert lines(capfd) == []

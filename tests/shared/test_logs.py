"""Log lines."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from shared.logs import LineLogger, configure_logs, error_fields, get_log

PLANTED = "planted: what a customer wrote"


@pytest.fixture(autouse=True)
def _restored_logs() -> Iterator[None]:
    """This process logs afterwards as it did before."""
    root, server = logging.getLogger(), logging.getLogger("uvicorn.error")
    before = structlog.get_config(), root.handlers, root.level, server.level
    yield
    structlog.configure(**before[0])
    root.handlers = before[1]
    root.setLevel(before[2])
    server.setLevel(before[3])


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


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With its event, its fields, its level, and the time in UTC."""
    configure_logs("json")
    before = datetime.now(UTC).replace(microsecond=0)  # a line has milliseconds

    get_log().info("callback", node="order_status", ms=1.5, note="two\nlines 退费")

    [line] = lines(capsys)
    time = datetime.fromisoformat(line.pop("timestamp"))
    assert before <= time <= before + timedelta(minutes=1)
    assert line == {"event": "callback", "level": "info", "node": "order_status", "ms": 1.5, "note": "two\nlines 退费"}


def test_what_is_bound_stands_in_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    """So a job's lines carry its event's id."""
    configure_logs("json")
    log = get_log().bind(event_id="0" * 32)

    log.info("attempt")
    log.error("attempt")

    assert [line["event_id"] for line in lines(capsys)] == ["0" * 32] * 2


def test_an_object_that_json_cannot_say_is_written_as_python_does(capsys: pytest.CaptureFixture[str]) -> None:
    """A log line must not fail a callback."""
    configure_logs("json")

    get_log().info("odd", thing=lines)

    assert lines(capsys)[0]["thing"].startswith("<function lines at ")


def test_debug_lines_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours begin at info, those of libraries at warning, uvicorn's life-cycle at info."""
    configure_logs("json")

    get_log().debug("ours")
    get_log().info("ours, info")
    logging.getLogger("acme.library").info("theirs")
    logging.getLogger("acme.library").warning("theirs, warning")
    logging.getLogger("uvicorn.error").info("uvicorn, info")

    assert [line["event"] for line in lines(capsys)] == ["ours, info", "theirs, warning", "uvicorn, info"]


def test_an_exception_is_its_type_and_its_places() -> None:
    """Its text may quote what a customer wrote, so it stays out."""
    fields = error_fields(failure())

    assert fields["error"] == "ValueError"
    assert [place.partition(":")[0] for place in fields["where"]] == [__file__, __file__]
    assert [place.rpartition(" ")[2] for place in fields["where"]] == ["failure", "fail"]
    assert PLANTED not in str(fields)


def test_an_exception_that_was_never_raised_has_no_places() -> None:
    """There is no traceback to read."""
    assert error_fields(KeyError(PLANTED)) == {"error": "KeyError", "where": []}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_librarys_exception_is_carried_over_without_its_text(
    capsys: pytest.CaptureFixture[str], log_format: Any
) -> None:
    """In either format."""
    configure_logs(log_format)
    library = logging.getLogger("acme.library")

    try:
        fail()
    except ValueError:
        library.exception("it broke for %s", "node order_status")

    out, err = capsys.readouterr()
    assert err == ""
    assert all(word in out for word in ("it broke for node order_status", "acme.library", "ValueError", __file__))
    assert PLANTED not in out


def test_a_librarys_line_has_its_logger_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    """Percent signs without arguments are text, and `exc_info` without an exception is nothing."""
    configure_logs("json")

    logging.getLogger("acme.library").error("100% full", exc_info=True)  # noqa: LOG014 - libraries do that

    [line] = lines(capsys)
    del line["timestamp"]
    assert line == {"event": "100% full", "level": "error", "logger": "acme.library"}


@pytest.mark.parametrize(("level", "written"), [(35, "warning"), (45, "error"), (50, "critical"), (99, "critical")])
def test_a_level_of_a_librarys_own_is_the_one_below(
    capsys: pytest.CaptureFixture[str], level: int, written: str
) -> None:
    """Levels between the known ones are logged, not lost."""
    configure_logs("json")

    logging.getLogger("acme.library").log(level, "odd")

    assert [(line["event"], line["level"]) for line in lines(capsys)] == [("odd", written)]


def test_only_the_first_line_of_a_librarys_message_is_carried_over(capsys: pytest.CaptureFixture[str]) -> None:
    """RQ and asyncio put the exception's text into the lines that follow."""
    configure_logs("json")

    async def leave_a_failed_future() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        future.set_exception(failure())
        loop.call_exception_handler({"message": "never retrieved", "future": future, "exception": future.exception()})

    asyncio.run(leave_a_failed_future())

    [line] = lines(capsys)
    assert (line["event"], line["error"]) == ("never retrieved", "ValueError")
    assert PLANTED not in json.dumps(line)


def test_a_librarys_line_that_cannot_be_written_does_not_fail_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    """As in Python's own handlers, the complaint goes to standard error."""
    configure_logs("json")
    too_few = ("one",)

    logging.getLogger("acme.library").warning("%s and %s", *too_few)

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("--- Logging error ---")


def test_the_console_shows_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The same lines, not as JSON."""
    configure_logs("console")

    get_log().info("callback", node="order_status")

    out, _ = capsys.readouterr()
    assert "callback" in out
    assert "order_status" in out
    with pytest.raises(json.JSONDecodeError):
        json.loads(out)


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The last word counts, for loggers that were made before as well as for libraries."""
    configure_logs("console")
    log = get_log()
    configure_logs("json")

    log.info("ours")
    logging.getLogger("acme.library").warning("theirs")

    assert [line["event"] for line in lines(capsys)] == ["ours", "theirs"]


class FullDisk(io.BytesIO):
    """Takes nothing."""

    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_that_cannot_be_written_is_dropped() -> None:
    """An answer matters more than its line: neither a full disk nor a closed pipe raises."""
    closed = io.BytesIO()
    closed.close()

    for file in (FullDisk(), closed):
        LineLogger(file).msg(b"line")


def test_the_lines_of_one_turn_of_the_event_loop_leave_together() -> None:
    """Without a loop each leaves at once."""
    flushed: list[bytes] = []

    class Noting(io.BytesIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    async def log_twice() -> None:
        logger = LineLogger(Noting())
        logger.msg(b"one")
        logger.msg(b"two")
        assert flushed == []
        await asyncio.sleep(0)

    asyncio.run(log_twice())
    LineLogger(Noting()).msg(b"three")

    assert flushed == [b"one\ntwo\n", b"three\n"]

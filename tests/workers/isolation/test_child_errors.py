"""What a child writes to its worker of an exception."""

import json
import traceback
from typing import Any

import pytest

from deskbell import Discard, Retry
from shared.errors import ConfigError, NotRunError
from workers.causes import cause_of, last_frames_of, status_of
from workers.dead_letters.tracebacks import traceback_text
from workers.isolation.child_errors import decode_error, encode_error


class LaterError(Retry):
    """An integrator's own, with more than JSON can say."""

    def __init__(self) -> None:
        super().__init__(after=7)
        self.response = object()


class StatusError(Exception):
    """As httpx has it."""

    def __init__(self) -> None:
        super().__init__("x" * 100_000)
        self.response = type("Response", (), {"status_code": 503})()


class UnsayableError(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise KeyError


class EndingError(Exception):
    """One that ends the process which reads it."""

    def __str__(self) -> str:
        raise SystemExit


def fail(error: BaseException) -> None:
    """Raise an exception while another is handled."""
    try:
        int("first")
    except ValueError:
        raise error  # noqa: B904 - its context is to be seen


def raised(error: BaseException) -> BaseException:
    """An exception with a traceback and a context."""
    with pytest.raises(type(error)) as caught:
        fail(error)
    return caught.value


def retold(error: BaseException) -> Exception:
    """What a worker makes of it, by way of JSON."""
    told: dict[str, Any] = json.loads(json.dumps(encode_error(error)))
    return decode_error(told)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        SystemExit(3),
        TimeoutError(),
        StatusError(),
        UnsayableError(),
        EndingError(),
        ExceptionGroup("many", [OSError(), ValueError("\ud83d")]),
        Discard("old"),
        ConfigError("unset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_has_the_name_the_frames_the_status_and_the_text_of_the_first(error: BaseException) -> None:
    """So that it counts, is logged and is found as if it had been raised in the worker."""
    first = raised(error)

    second = retold(first)

    assert type(second).__name__ == type(first).__name__
    assert (cause_of(second), last_frames_of(second)) == (cause_of(first), last_frames_of(first))
    assert status_of(second) == status_of(first)
    assert traceback_text(second) == traceback_text(first)
    assert "first" in traceback_text(second)


def test_what_steers_is_of_its_class_and_has_its_state() -> None:
    """Of an integrator's subclass, too: but no object of it comes along."""
    later, discarded, unrun = (retold(raised(error)) for error in (LaterError(), Discard("old"), NotRunError("x")))

    assert isinstance(later, Retry)
    assert (type(later).__name__, later.after, hasattr(later, "response")) == ("LaterError", 7, False)
    assert isinstance(discarded, Discard)
    assert (discarded.reason, str(discarded)) == ("old", "old")
    assert isinstance(unrun, NotRunError)


def test_it_is_bounded() -> None:
    """Whatever is raised, and however many frames it has."""

    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1)
        raise StatusError

    try:
        dig(500)
    except StatusError as error:
        told = json.dumps(encode_error(error))

    assert len(told) < 200_000


def test_python_prints_it_with_its_frames() -> None:
    """Where a developer reads, in the console's lines."""
    second = retold(raised(ValueError("no")))

    printed = "".join(traceback.format_exception(second))

    assert f'test_child_errors.py", line {fail.__code__.co_firstlineno + 5}, in fail' in printed
    assert printed.endswith("ValueError: no\n")

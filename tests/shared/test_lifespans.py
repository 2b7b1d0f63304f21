"""What handlers and jobs share, opened and closed with their process."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from deskbell import Callbacks, Jobs, Settings
from shared.errors import DeclarationError, LifespanError
from shared.lifespans import Lifespans
from tests.logged import capture_logs


def noting(done: list[str], name: str) -> Callable[[], AsyncIterator[None]]:
    """A lifespan that notes what it does; anyio wants a task group left in the task that entered it."""

    async def lifespan() -> AsyncIterator[None]:
        async with anyio.create_task_group():
            done.append(f"open {name}")
            yield
            done.append(f"close {name}")

    return lifespan


def enter(lifespans: Lifespans, within: Callable[[], Any] = lambda: None) -> None:
    """Enter on an event loop, and leave."""

    async def run() -> None:
        async with lifespans.entered(Settings()):
            within()

    asyncio.run(run())


@pytest.mark.parametrize("registry", [Callbacks, Jobs])
def test_each_is_entered_once_and_left_in_reverse_order(registry: type[Callbacks | Jobs]) -> None:
    """Those of what is included too, however often; the decorator returns the function untouched."""
    done: list[str] = []
    first, second, app = registry(), registry(), registry()
    function = noting(done, "a")
    assert first.lifespan(function) is function
    second.lifespan(function)
    second.lifespan(asynccontextmanager(noting(done, "b")))
    app.include(first)  # type: ignore[arg-type]
    app.include(second)  # type: ignore[arg-type]
    app.include(second)  # type: ignore[arg-type]

    enter(app.lifespans, lambda: done.append("within"))

    assert done == ["open a", "open b", "within", "close b", "close a"]


def test_a_method_of_one_object_is_one_lifespan() -> None:
    """Two modules may share what opens it, such as the clients of Desk."""
    opened: list[str] = []

    class Pool:
        async def lifespan(self) -> AsyncIterator[None]:
            opened.append("open")
            yield

    pool, first, app = Pool(), Jobs(), Jobs()
    first.lifespan(pool.lifespan)
    app.lifespan(pool.lifespan)
    app.include(first)

    enter(app.lifespans, lambda: None)

    assert opened == ["open"]


def test_it_may_take_the_settings() -> None:
    """As a job may."""
    jobs, given = Jobs(), []

    @jobs.lifespan
    async def database(settings: Settings) -> AsyncIterator[None]:
        given.append(settings)
        yield

    enter(jobs.lifespans)

    assert given == [Settings()]


def test_one_that_does_not_start_is_named_and_what_was_opened_is_closed() -> None:
    """With the file and line, and what it raised; so is one that yields what nobody would get."""
    done: list[str] = []
    raising, yielding = Callbacks(), Callbacks()
    raising.lifespan(noting(done, "a"))

    @raising.lifespan
    async def database() -> AsyncIterator[None]:
        raise ConnectionRefusedError("no database here")
        yield

    @yielding.lifespan  # type: ignore[type-var]
    async def state() -> AsyncIterator[dict[str, int]]:
        yield {"pool": 1}

    with pytest.raises(LifespanError) as refused:
        enter(raising.lifespans)
    assert re.fullmatch(
        r"the lifespan tests\.shared\.test_lifespans\.\S+\.database failed at tests/shared/test_lifespans\.py:\d+ with "
        "ConnectionRefusedError: no database here",
        str(refused.value),
    )
    assert done == ["open a", "close a"]
    with pytest.raises(LifespanError, match="yields a dict, which nobody gets; keep it in a variable of the module"):
        enter(yielding.lifespans)


def test_one_that_fails_to_end_is_logged_and_the_others_are_ended() -> None:
    """The process ends in any case."""
    done: list[str] = []
    callbacks = Callbacks()
    callbacks.lifespan(noting(done, "a"))

    @callbacks.lifespan
    async def failing() -> AsyncIterator[None]:
        yield
        raise OSError("away")

    with capture_logs() as logs:
        enter(callbacks.lifespans)

    assert done == ["open a", "close a"]
    assert [(line["event"], line["error"]) for line in logs] == [("lifespan_failed", "OSError")]


def test_code_without_a_running_loop_is_run_within_them() -> None:
    """On one loop, in one task, also when that code raises; one that does not start keeps it from running."""
    done: list[str] = []
    jobs, failing = Jobs(), Jobs()

    async def fail() -> None:
        raise ZeroDivisionError

    jobs.lifespan(noting(done, "a"))

    @failing.lifespan
    async def database() -> AsyncIterator[None]:
        raise OSError
        yield

    with pytest.raises(ZeroDivisionError), jobs.lifespans.runner(Settings()) as runner:
        runner.run(fail())
    with pytest.raises(LifespanError), failing.lifespans.runner(Settings()):
        done.append("never")

    assert done == ["open a", "close a"]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (asyncio.sleep, "a lifespan is an async generator function; write `async def database"),
        (noting, "a lifespan is an async generator function"),
    ],
)
def test_what_cannot_be_one_is_refused_where_it_is_declared(function: Any, sentence: str) -> None:
    """The sentence says what to write."""
    with pytest.raises(DeclarationError, match=sentence):
        Callbacks().lifespan(function)


def test_one_that_takes_more_than_the_settings_is_refused() -> None:
    """Nobody would give it the rest."""
    callbacks = Callbacks()

    with pytest.raises(
        DeclarationError, match="nothing is given to pool; a lifespan may take settings: Settings alone"
    ):

        @callbacks.lifespan
        async def database(pool: int) -> AsyncIterator[None]:
            assert pool
            yield

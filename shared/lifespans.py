"""Lifespans: what the handlers or the jobs of a process share, such as a database pool, opened and closed with it.

1. `Callbacks.lifespan` and `Jobs.lifespan` declare an async generator function with one `yield`.
2. `Lifespans.entered` runs them up to their `yield`, in their order, before the first callback or job; on the event
   loop that runs those, and in one task, as task groups need it.
3. After the last callback or job it runs the rest of them, in reverse order.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.declarations.functions import describe, location, parameters
from shared.errors import DeclarationError, LifespanError
from shared.frames import frames_of, integrators_frame
from shared.settings.config import Settings

START_SECONDS = 45.0
"""What all of a process may take to start: a little less than its supervisor waits."""

_END_SECONDS = 2.0  # for each to end, while the supervisor waits
_EXAMPLE = "write `async def database() -> AsyncIterator[None]:` with one `yield` in it"

LifespanFunction = TypeVar(
    "LifespanFunction", bound=Callable[..., AsyncIterator[None] | AbstractAsyncContextManager[None]]
)


@dataclass(frozen=True, slots=True)
class Lifespan:
    """A declared function; `settings_parameter` takes the settings, if there is one."""

    function: Callable[..., Any]
    settings_parameter: str | None

    @asynccontextmanager
    async def entered(self, settings: Settings, until: float) -> AsyncIterator[None]:
        """Run the part before `yield` now and the part behind it at the end; an error in that is logged."""
        make = asynccontextmanager(inspect.unwrap(self.function))
        opened = make(**({self.settings_parameter: settings} if self.settings_parameter else {}))
        try:
            async with asyncio.timeout_at(until) as limit:
                yielded = await opened.__aenter__()
        except Exception as error:
            if limit.expired():
                who = describe(self.function)
                raise LifespanError(f"the lifespan {who} did not start within {START_SECONDS:g} s") from error
            raise LifespanError(_failure(self.function, error)) from error
        try:
            if yielded is not None:
                raise LifespanError(
                    f"the lifespan {describe(self.function)} yields a {type(yielded).__name__}, which nobody gets; "
                    "keep it in a variable of the module, and write `yield` alone"
                )
            yield
        finally:
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await opened.__aexit__(None, None, None)
            except Exception as error:  # noqa: BLE001 - the others are closed nevertheless
                from shared.logs import get_log  # noqa: PLC0415 - it imports RQ, and `import deskbell` must not

                get_log().error("lifespan_failed", lifespan=describe(self.function), error=error)


class HasLifespans:
    """What `Callbacks` and `Jobs` have in common: what their functions share.

    Attributes:
        lifespans: what their functions share.
    """

    def __init__(self) -> None:
        self.lifespans = Lifespans()

    @property
    def lifespan(self) -> Callable[[LifespanFunction], LifespanFunction]:
        """Declares what handlers or jobs share: an async generator function that opens it, yields, and closes it.

        Each process of the api, or each worker process, runs the part before `yield` on its event loop before its first
        callback or job, and the part behind it after the last. If the first part raises, the process does not come up.
        A job with `isolation="process"` has both around it in its own process, and so has each job in a stock
        `rq worker`. What is opened is kept where functions find it, in a variable of the module for instance. The
        function may take `settings: Settings`. There may be several, which are ended in reverse order.
        """
        return self.lifespans.declare

    def include_lifespans(self, other: object) -> None:
        """Add the lifespans of another of the same kind.

        Raises:
            DeclarationError: it is of another kind.
        """
        kind = type(self)
        if not isinstance(other, kind):
            raise DeclarationError(f"include: expected a {kind.__name__}, got {type(other).__name__}")
        self.lifespans.include(other.lifespans)


class Lifespans:
    """Those of a `Callbacks` or a `Jobs`.

    Attributes:
        declared: in the order of their declaration.
    """

    def __init__(self) -> None:
        self.declared: list[Lifespan] = []

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The declared functions."""
        return [each.function for each in self.declared]

    def declare(self, function: LifespanFunction) -> LifespanFunction:
        """Add a function, and return it untouched.

        Raises:
            DeclarationError: it is no async generator function, or takes what nobody gives it.
        """
        plain = inspect.unwrap(function)  # it may be decorated with `asynccontextmanager` already
        where = describe(function)
        if not inspect.isasyncgenfunction(plain):
            raise DeclarationError(f"{where}: a lifespan is an async generator function; {_EXAMPLE}")
        taken = [each for each in parameters(plain, "settings: Settings") if each.default is inspect.Parameter.empty]
        if len(taken) > 1 or any(each.annotation is not Settings for each in taken):
            names = ", ".join(each.name for each in taken)
            raise DeclarationError(
                f"{where}: nothing is given to {names}; a lifespan may take settings: Settings alone"
            )
        self._add(Lifespan(function, taken[0].name if taken else None))
        return function

    def include(self, other: "Lifespans") -> None:
        """Add those of another; one that is here already is entered once."""
        for each in other.declared:
            self._add(each)

    @asynccontextmanager
    async def entered(self, settings: Settings) -> AsyncIterator[None]:
        """Start all of them, and end them afterwards.

        Raises:
            LifespanError: one did not start; those before it have been ended.
        """
        until = asyncio.get_running_loop().time() + START_SECONDS
        async with AsyncExitStack() as stack:
            for each in self.declared:
                await stack.enter_async_context(each.entered(settings, until))
            yield

    @contextmanager
    def runner(self, settings: Settings) -> Iterator[asyncio.Runner]:
        """A runner on whose event loop all of them have been started; they are ended afterwards.

        A context that is dropped without being left gives up whatever runs there and does not end.

        Raises:
            LifespanError: one did not start.
        """
        runner, over = asyncio.Runner(), asyncio.Event()  # it makes its loop when it is needed
        holding = None
        try:
            if self.declared:
                holding = runner.run(self._held(settings, over))
            yield runner
        except GeneratorExit:
            runner.get_loop().close()
            raise
        except BaseException:
            _close(runner, over, holding)
            raise
        else:
            _close(runner, over, holding)

    async def _held(self, settings: Settings, over: asyncio.Event) -> "asyncio.Task[None]":
        """The task that has started them, and that ends them as soon as it is over."""
        started = asyncio.Event()

        async def hold() -> None:
            async with self.entered(settings):
                started.set()
                await over.wait()

        holding = asyncio.create_task(hold())
        starting = asyncio.create_task(started.wait())
        await asyncio.wait({holding, starting}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if holding.done():
            await holding
        return holding

    def _add(self, lifespan: Lifespan) -> None:
        if lifespan.function not in self.functions:  # a method of an object is another object each time, and equal
            self.declared.append(lifespan)


def _failure(function: Callable[..., Any], error: BaseException) -> str:
    """Which lifespan did not start, where and why; of a group of errors, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    name, _, place = describe(function).rstrip(")").partition(" (")
    frame = integrators_frame(frames_of(error.__traceback__))
    where = location(frame.file, frame.line) if frame else place
    return f"the lifespan {name} failed at {where} with {type(error).__name__}: {error}"


def _close(runner: asyncio.Runner, over: asyncio.Event, holding: "asyncio.Task[None] | None") -> None:
    if holding:
        over.set()
        runner.run(_result(holding))
    runner.close()


async def _result(task: "asyncio.Task[None]") -> None:
    await task

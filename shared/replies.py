"""The reply to an event: the integrator's handler, run until a deadline that it cannot move.

1. The handler for the event is found; without one the receipt is sent, or 1006 for a node that nobody answers.
2. Its arguments are made of the variables; one that is missing or does not fit is 1007.
3. It runs (`shared.runs`) until its time is over; when too many of its runs were left behind, it is not even begun.
4. Its result becomes the answer. If it failed or was late, its fallback does; without one it is 1008 or 1009.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from shared.callbacks import Callbacks
from shared.codes import Code
from shared.commands import ApiCall
from shared.errors import Refuse, ResultError, VariableError
from shared.events import Event, Outcome, Reply
from shared.handlers import Handler
from shared.logs import get_log
from shared.results import Content
from shared.runs import LateError, Runs, guarded_call

_MOST_CHARACTERS = 262_144  # of an answer beside its envelope; PROTOCOL §3.1 knows no limit
_LEAST_SECONDS = 0.05  # for such a fallback when the loop stood still, and the time is over
_FALLBACK_SHARE = 0.1  # of the handler's time, for a fallback that is a function


class Notes(Protocol):
    """Is told what happens while replies are computed."""

    def note_call(self, handler: Handler, call: ApiCall) -> None:
        """An API call has come to a handler."""

    def note_unhandled(self, call: ApiCall) -> None:
        """An API call has come that no handler takes."""

    def note_result(self, handler: Handler, result: Any, variables: Mapping[str, str] | None) -> None:
        """A handler, or its fallback, has given a result; the variables are the same as texts."""

    def note_straggler(self, handler: Handler) -> None:
        """A run was left behind."""

    def note_not_begun(self, handler: Handler) -> None:
        """A handler is not begun, because too many of its runs were left behind."""


class Replies:
    """Computes replies."""

    def __init__(self, callbacks: Callbacks, notes: Notes) -> None:
        self._callbacks = callbacks
        self._notes = notes
        self._runs: dict[tuple[int, str], Runs] = {}
        self._log = get_log()

    async def reply_to(self, event: Event, until: float, deadline: float) -> Reply:
        """The reply to an event.

        Args:
            event: what came in.
            until: the event loop's time at which the handler is given up.
            deadline: the one by which the answer is due; when the loop stood still, a result may come after it.
        """
        handler = self._callbacks.find(event)
        if handler:
            return await self._run(handler, event, until, deadline)
        if isinstance(event, ApiCall):
            self._notes.note_unhandled(event)
            if event.node:
                return Reply(code=Code.NO_HANDLER.number, info="no handler for this node", outcome="no_handler")
        return Reply(outcome="receipt")

    @property
    def stuck(self) -> list[str]:
        """The handlers that are not begun any more, or whose fallback is not: too many runs were left behind."""
        return [
            handler.name
            for handler in self._callbacks.handlers
            if any(runs.stuck for (key, _), runs in self._runs.items() if key == id(handler))
        ]

    def close(self) -> None:
        """Let the threads end; one that is still in a handler is left behind."""
        for runs in self._runs.values():
            runs.close()

    async def _run(self, handler: Handler, event: Event, until: float, deadline: float) -> Reply:
        started = time.perf_counter()

        def reply(outcome: Outcome, code: int = 0, info: str = "", content: Content | None = None) -> Reply:
            content = content or Content()
            return Reply(
                code=code,
                info=info,
                variables=content.variables,
                fields=content.fields,
                outcome=outcome,
                handler_ms=round((time.perf_counter() - started) * 1000, 3),
            )

        if handler.sees_packet:
            event = event.copy()  # whatever a function does with it, what is kept is the packet as it came
        if isinstance(event, ApiCall):
            self._notes.note_call(handler, event)
        failure: tuple[Code, Outcome, str]
        try:
            try:
                return reply("answered", content=await self._call_handler(handler, event, until, deadline))
            except _MisfitError as error:
                return reply("misfit", Code.MISFIT.number, str(error))
            except LateError:
                failure = (Code.OUT_OF_TIME, "out_of_time", "out of time")
            except _FailedError:
                failure = (Code.HANDLER_FAILED, "failed", "the handler failed")
            content = await self._fall_back(handler, event, until)
        except Refuse as refusal:
            return reply("refused", *_code_and_words(refusal))
        if content:
            return reply("fallback", content=content)
        code, outcome, info = failure
        return reply(outcome, code.number, info)

    async def _call_handler(self, handler: Handler, event: Event, until: float, deadline: float) -> Content:
        """What the handler answers.

        Raises:
            _MisfitError: a variable is missing or does not fit.
            Refuse: the handler refuses.
            LateError: it is late, or stuck.
            _FailedError: it failed; the log says how.
        """
        if callable(handler.fallback):
            until -= _FALLBACK_SHARE * max(0.0, until - asyncio.get_running_loop().time())
        runs = self._runs_of(handler, "handler", handler.function)
        if runs.stuck:
            self._notes.note_not_begun(handler)
        try:
            result = await runs.result(until, **_arguments(handler, event))
            content = _content(handler, result)
        except (_MisfitError, Refuse, LateError):
            raise
        except ResultError as error:
            self._log.error("handler_result", event_id=event.id, node=handler.name, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever an integrator's function raises is answered
            self._log.error("handler_failed", event_id=event.id, node=handler.name, error=error)
        else:
            if asyncio.get_running_loop().time() > deadline:  # it blocked the loop, or another did
                raise LateError
            self._notes.note_result(handler, result, content.variables)
            return content
        raise _FailedError

    async def _fall_back(self, handler: Handler, event: Event, until: float) -> Content | None:
        """What the fallback answers; None when there is none, or when it fails or is late itself."""
        fallback = handler.fallback
        if fallback is None or isinstance(fallback, Content):
            return fallback
        until = max(until, asyncio.get_running_loop().time() + _LEAST_SECONDS)
        try:
            result = await self._runs_of(handler, "fallback", fallback).result(until, event)
            content = _content(handler, result)
            self._notes.note_result(handler, result, content.variables)
        except Refuse:
            raise
        except LateError:
            self._log.error("fallback_late", event_id=event.id, node=handler.name)
            return None
        except Exception as error:  # noqa: BLE001 - as above
            self._log.error("fallback_failed", event_id=event.id, node=handler.name, error=error)
            return None
        return content

    def _runs_of(self, handler: Handler, role: str, function: Callable[..., Any]) -> Runs:
        key = (id(handler), role)
        if key not in self._runs:
            self._runs[key] = Runs(function, handler.name, functools.partial(self._notes.note_straggler, handler))
        return self._runs[key]


class _MisfitError(Exception):
    """Raised when the variables do not fit the parameters: not to be mixed up with what a handler may raise."""


class _FailedError(Exception):
    """Raised when a handler failed, once it is logged."""


def _arguments(handler: Handler, event: Event) -> dict[str, Any]:
    try:
        bound: dict[str, Any] = guarded_call(functools.partial(handler.bind, event))
    except VariableError as error:
        raise _MisfitError(str(error)) from None
    return bound


def _content(handler: Handler, result: Any) -> Content:
    """What the answer holds for a result.

    Raises:
        ResultError: it is of another kind than the command asks for, or too large to answer and to remember.
    """
    content: Content = guarded_call(functools.partial(handler.content, result))
    size = sum(len(name) + len(value) for name, value in (content.variables or {}).items()) + len(str(content.fields))
    if size > _MOST_CHARACTERS:
        raise ResultError(f"the answer is larger than {_MOST_CHARACTERS} characters")
    return content


def _code_and_words(refusal: Refuse) -> tuple[int, str]:
    """What a refusal answers; a class derived from `Refuse` may have anything where these are due."""
    code, message = 1, ""
    with suppress(Exception):
        code = guarded_call(lambda: Refuse("", code=refusal.code).code)
    with suppress(Exception):
        message = guarded_call(lambda: Refuse(str(refusal.message)).message)
    return code, message

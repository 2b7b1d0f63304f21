"""Late values: the job types that run the handlers with `late=` again.

    from acme.callbacks import callbacks
    from deskbell.jobs import late

    jobs.include(late.jobs(callbacks))

Each run calls the handler's function with the variables of the call, as the api does, but for the time that it has. In
a worker the parameter annotated `ApiCall` has the answer that went out, `call.reply`; in the api it is None.
"""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from rq import get_current_job

from shared.declarations.functions import awaited, is_async, is_awaited
from shared.errors import DeclarationError, Discard, Refuse, ResultError, VariableError
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import Handler
from shared.handlers.replies import refused, reply_of
from shared.jobs.declaration import declared_job_type
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.jobs.late import LateJobType
from shared.late.values import keep
from shared.wire.commands import ApiCall
from shared.wire.events import Event, Reply


def jobs(callbacks: Callbacks) -> Jobs:
    """A job type `late.<node>` for each handler with `late=`, and the lifespans of the handlers.

    Raises:
        DeclarationError: these are no handlers, or none has `late=`.
    """
    if not isinstance(callbacks, Callbacks):
        raise DeclarationError(f"late.jobs: expected a Callbacks, got {type(callbacks).__name__}")
    made = Jobs()
    made.lifespans.include(callbacks.lifespans)
    for handler in callbacks.handlers:
        if handler.late:
            made.add(_job_type(callbacks, handler))
    if not made.types:
        raise DeclarationError("late.jobs: no handler has late=; write @callbacks.api_call(fallback={…}, late=True)")
    return made


def _job_type(callbacks: Callbacks, handler: Handler) -> LateJobType:
    node = handler.late
    assert node
    policy = node.policy
    plain = declared_job_type(
        _run_of(handler),
        (ApiCall,),
        name=node.job,
        queue=policy.queue,
        timeout=policy.timeout,
        attempts=policy.attempts,
    )
    given: dict[str, Any] = {each.name: getattr(plain, each.name) for each in fields(JobType) if each.init}
    return LateJobType(**given, answers=lambda event: callbacks.find(event) is handler)


def _run_of(handler: Handler) -> Callable[..., Any]:
    """The job's function: like the handler's, it runs on the event loop or in a thread."""

    async def run_on_the_loop(event: ApiCall) -> None:
        await _kept_later(handler, event, _begun(handler, event))

    def run(event: ApiCall) -> Any:
        begun = _begun(handler, event)
        if is_awaited(begun):
            return _kept_later(handler, event, begun)
        return _keep(handler, event, begun)

    return run_on_the_loop if is_async(handler.function) else run


def _begun(handler: Handler, event: Event) -> Any:
    """What the handler's function returns; a refusal is a result."""
    try:
        return handler.function(**handler.bind(event))
    except Refuse as refusal:
        return refusal
    except VariableError as error:
        raise Discard(f"the call does not fit the handler any more: {error}", code="misfit") from error


async def _kept_later(handler: Handler, event: Event, begun: Any) -> None:
    """Keep a result that has still to be awaited."""
    result = begun
    try:
        while is_awaited(result):
            result = await awaited(result)
    except Refuse as refusal:
        result = refusal
    await asyncio.to_thread(partial(_keep, handler, event, result))


def _keep(handler: Handler, event: Event, result: Any) -> None:
    """Keep a result for the ticket; without RQ's job, as with `perform_job`, nobody has one."""
    reply: Reply
    try:
        reply = refused(result) if isinstance(result, Refuse) else reply_of(handler, result)
    except ResultError as error:
        raise Discard(f"the handler's result cannot be answered: {error}", code="result") from error
    assert handler.late
    if job := get_current_job():
        keep(job.connection, event.id, reply, handler.late.policy.keep)

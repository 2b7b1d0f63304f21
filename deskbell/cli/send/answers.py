"""What `deskbell send` prints: the answer, why it is what it is, and the event's jobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console

from deskbell.calls.following import FollowedJob
from deskbell.simulator.client import Answer
from shared.redaction import terminal_text
from shared.wire.codes import Code

_WHY = {
    Code.NOT_A_PACKET: "the body is no packet, or did not arrive within the api's budget",
    Code.NOT_OUR_APP: "SdkAppid is not one of DESKBELL_APPS; write --app",
    Code.BAD_SIGN: "Sign is missing, is not made with a token of the app, or is older than 60 s; write --token",
    Code.COMMANDS_DIFFER: "the commands in URL and body differ",
    Code.TOO_LARGE: "the body is larger than DESKBELL_MAX_BODY_BYTES",
    Code.NO_HANDLER: "no handler has the node's name; the api's log holds the handler to write",
    Code.MISFIT: "a variable is missing or does not fit the handler's parameter; ErrorInfo names it",
    Code.OUT_OF_TIME: "the handler ran out of time and has no fallback",
    Code.HANDLER_FAILED: "the handler failed and has no fallback; the api's log has the traceback under the event's id",
    Code.CANNOT_KEEP: "neither Redis nor the disk can keep the event now, or too many callbacks are in flight",
}
_REASONS = {code.number: reason for code, reason in _WHY.items()} | {
    404: "the api has no such path; write --url, with the path secret if there is one",
    500: "a defect of Deskbell's; the api's log has it",
}


def reason(answer: Answer) -> str:
    """Why the api answered a failure."""
    if answer.code is None:
        return f"HTTP {answer.status} without an ErrorCode: expected the api's URL, with the path secret; write --url"
    return f"ErrorCode {answer.code}: " + _REASONS.get(answer.code, "the handler refused; ErrorInfo has its reason")


def show_answer(target: str, answer: Answer) -> None:
    """Print one answer in three lines."""
    console = _console()
    console.print(f"POST {target}")
    event = f", event {answer.event_id}" if answer.event_id else ""
    console.print(f"HTTP {answer.status} in {answer.ms:.1f} ms{event}")
    console.print(answer.text)


def show_made_up(made_up: Mapping[str, str]) -> None:
    """Print the variables that nobody gave."""
    if made_up:
        shown = " ".join(f"{name}={value}" for name, value in made_up.items())
        _console().print(f"made up from the handler's signature: {shown}")


def show_jobs(jobs: Sequence[FollowedJob]) -> None:
    """Print how an event's jobs ended, a line for each."""
    if not jobs:
        typer.echo("no job type wants this event")
        return
    names, queues = (max(map(len, texts)) for texts in zip(*((job.name, job.queue) for job in jobs), strict=True))
    for job in jobs:
        attempts = f"attempt {job.attempts}" if job.attempts else ""
        line = f"{job.name:{names}}  {job.queue:{queues}}  {job.state:8}  {attempts:10}  {job.cause}"
        typer.echo(terminal_text(line.rstrip()))


def show_json(found: Any) -> None:
    """Print JSON."""
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer, for programs; the envelope is a text if it is none."""
    return {
        "status": answer.status,
        "ms": round(answer.ms, 3),
        "event": answer.event_id or None,
        "envelope": answer.envelope or answer.text,
    }


def job_json(job: FollowedJob) -> dict[str, Any]:
    """A job, for programs."""
    return {name: getattr(job, name) for name in ("id", "name", "queue", "state", "attempts", "cause")}


def _console() -> Console:
    return Console(soft_wrap=True, markup=False, highlight=False)

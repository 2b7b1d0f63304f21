"""`deskbell queues`: pauses a queue and resumes it. It reads and writes Redis only, never the integrator's package."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from deskbell.cli.exit import stop

if TYPE_CHECKING:
    from deskbell.queues.pausing import Pausing

_FAILED = 1

app = typer.Typer(help="Queues: pause, resume.", no_args_is_help=True)

Queue = Annotated[str, typer.Argument(help="The queue's name.")]
By = Annotated[str | None, typer.Option(help="Who does it, for the record; you on this host by default.")]


@app.command()
def pause(queue: Queue, by: By = None) -> None:
    """Let workers begin no job of a queue until it is resumed; those under way go on, and events are accepted.

    `deskbell doctor` says who paused it, and since when. RQ's own workers do not heed it; `rq suspend` holds all back.
    """
    with _queues(by) as (names, pausing):
        if queue not in names:
            nearest = get_close_matches(queue, names, n=1)
            also = f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(names)}" if names else ""
            stop(f"no job type, job or worker has the queue {queue!r}{also}")
        is_new = pausing.pause(queue)
    typer.echo(f"the queue {queue} is paused" + ("" if is_new else " already"))


@app.command()
def resume(queue: Queue, by: By = None) -> None:
    """Let workers begin the jobs of a paused queue again; what a circuit breaker has paused goes on by itself."""
    with _queues(by) as (_, pausing):
        was_paused = pausing.resume(queue)
    if not was_paused:
        stop(f"nobody has paused the queue {queue!r}; `deskbell doctor {queue}` says why it does not move", _FAILED)
    typer.echo(f"the queue {queue} goes on")


@contextmanager
def _queues(by: str | None) -> Iterator["tuple[list[str], Pausing]"]:
    """The names of the queues, and what pauses them; a server that does not answer ends the command in one sentence."""
    from deskbell.cli.settings.redis_here import redis_here
    from deskbell.queues.pausing import Pausing, known_queues
    from workers.audit import user_name

    with redis_here() as (redis, _):
        yield known_queues(redis), Pausing(redis, by or user_name())

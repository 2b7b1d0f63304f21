"""Fan-out (publish/subscribe): an event becomes one job for each job type that wants it, once.

1. `prepare_fan_out` finds the job types. It asks nothing of Redis: a worker does it on its event loop.
2. `fan_out.lua` writes the jobs and the mark that they were made, which stands in the event's own RQ job. It is part of
   the script by which our worker acks the event, for many at once, so nothing is written when the lease was lost.
3. `fan_out` is the entry point for a stock `rq worker`, which acks the event by itself. When the event is run again,
   the mark says that there is nothing left to do.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from redis import Redis
from rq import get_current_job
from rq.utils import now, utcformat

from shared.errors import LeftError
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.jobs.late import check_late
from shared.logs import get_log
from shared.redaction import loggable_fields
from shared.redis.queues import FOREVER, PERFORM, job_template, pack, queue
from shared.redis.scripts import script_text
from shared.traces.spans import Span, carried, end_fan_out, fan_out_span
from shared.wire.commands import event_from_wire
from shared.wire.events import Event, Wire
from workers.flow.limits import limits_text
from workers.flow.ordering import execution_of, key_digest, received_ms
from workers.perform import performer
from workers.releases.leaving import leaving
from workers.retries import restore_retry, rq_retry

BACKSTOP_SECONDS = 5
"""By how much RQ's time limit of an async job is longer than its own, at which the event loop cancels it."""

_FAN_OUT = """
local meta = redis.call('HGET', ARGV[1], 'meta')
local is_done = fan_out_once(ARGV[1], meta, read_fan_out(4), cjson.decode(ARGV[3]), ARGV[2])
write_collected()
return is_done and 1 or 0
"""


@dataclass(slots=True)
class FanOut:
    """What one event becomes.

    Attributes:
        wire: the event as JSON.
        place: what its jobs' positions are computed from: the digest of its execution or "", its `Seq`, and the
            milliseconds of its receipt.
        wanted: the job types that want it, each with the digest of its partition key or "".
        started: when the fan-out began, in seconds of `time.perf_counter()`.
        span: of the fan-out, the parent of the attempts at its jobs.
    """

    event: Event
    wire: bytes
    place: tuple[str, int, int]
    wanted: list[tuple[JobType, str]]
    started: float
    span: Span

    @property
    def size(self) -> int:
        """About how many bytes its jobs are."""
        return len(self.wire) * len(self.wanted)

    def arguments(self, numbers: Mapping[str, int]) -> list[str | bytes | int]:
        """What `read_fan_out` in `fan_out.lua` reads.

        Args:
            numbers: of the job types in the script's table, from 1.
        """
        arguments: list[str | bytes | int] = [len(self.wanted), self.event.id, *self.place]
        for job_type, digest in self.wanted:
            # RQ's `data` of a job: function, instance, arguments, keyword arguments.
            data = b'["%s",null,["%s",%s],{}]' % (PERFORM.encode(), job_type.name.encode(), self.wire)
            arguments += (numbers[job_type.name], digest, pack(data))
        return arguments

    def log(self, outcome: str, **more: Any) -> None:
        """Log how it ended: `done`, `done_before` or `failed`."""
        fields = loggable_fields(event_id=self.event.id, command=self.event.command, node=self.event.node)
        _log(self.started, self.span, outcome, **fields, jobs=[each.name for each, _ in self.wanted], **more)


def prepare_fan_out(jobs: Jobs, wire: Wire) -> FanOut:
    """Find what an event becomes.

    Raises:
        LeftError: it is for a worker of another release.
        Exception: it holds no event; that is logged.
    """
    started, span = time.perf_counter(), fan_out_span(wire)
    try:
        event = event_from_wire(wire)
        is_ordered = any(job_type.ordered_by for job_type in jobs.types)
        place = (*((execution_of(event) if is_ordered else None) or ("", 0)), received_ms(event))
        wanted = [(job_type, key_digest(job_type, event)) for job_type in jobs.wanted_by(event)]
        check_late(event, (job_type for job_type, _ in wanted))
        return FanOut(event, to_json(carried(wire, span), inf_nan_mode="strings"), place, wanted, started, span)
    except Exception as error:
        if not isinstance(error, LeftError):
            _log(started, span, "failed", error=error)
        raise


class JobTemplates:
    """What all jobs of a type have in common, as RQ itself writes it, made once for each type."""

    def __init__(self, jobs: Jobs, connection: Redis) -> None:
        self._texts = {job_type.name: _template(job_type, connection) for job_type in jobs.types}

    def arguments(self, fan_outs: Sequence[FanOut | None]) -> tuple[str, list[list[str | bytes | int]]]:
        """The table of job types that some fan-outs need, as JSON, and the arguments of each; none of what is None."""
        names = dict.fromkeys(job_type.name for each in fan_outs if each for job_type, _ in each.wanted)
        numbers = {name: number for number, name in enumerate(names, 1)}
        table = f"[{','.join(self._texts[name] for name in names)}]"
        return table, [each.arguments(numbers) if each else [""] for each in fan_outs]


def fan_out_text() -> str:
    """`fan_out.lua` with what it needs; `limits_text` and `writes.lua` stand in front of it."""
    return script_text("workers.flow", "order", "place") + script_text("workers", "fan_out")


def fan_out(wire: Wire) -> None:
    """The entry point for a stock worker: configured from the environment."""
    fan_out_with(performer().jobs, wire)


def fan_out_with(jobs: Jobs, wire: Wire) -> None:
    """Make the jobs of RQ's current job, an event, once."""
    job = get_current_job()
    assert job, "fan_out is called by an RQ worker"
    with leaving(job):
        made = prepare_fan_out(jobs, wire)
    text = limits_text(jobs) + script_text("workers", "writes") + fan_out_text() + _FAN_OUT
    script = job.connection.register_script(text)
    try:
        table, (arguments,) = JobTemplates(jobs, job.connection).arguments([made])
        is_done = script(args=[job.key, utcformat(now()), table, *arguments])
    except Exception as error:
        made.log("failed", error=error)
        restore_retry(job, error)
        raise
    made.log("done" if is_done else "done_before")


def _template(job_type: JobType, connection: Redis) -> str:
    """A job type, as `fan_out.lua` needs it."""
    job = queue(job_type.queue, connection).create_job(
        PERFORM,
        description=job_type.name,
        # The event loop cancels an async job on time; RQ's alarm is the backstop for one that blocks the loop.
        timeout=job_type.timeout + (BACKSTOP_SECONDS if job_type.is_async else 0),
        failure_ttl=FOREVER,
        result_ttl=job_type.keep,
        retry=rq_retry(job_type),
    )
    fields = [part for pair in job_template(job).items() for part in pair]
    own = {"slug": job_type.type_slug, "queue": job_type.queue, "holds": job_type.on_dead == "hold"}
    return json.dumps(own | {"fields": fields})


def _log(started: float, span: Span, outcome: str, **fields: Any) -> None:
    fields |= {"outcome": outcome, "ms": round((time.perf_counter() - started) * 1000, 3)}
    get_log().info("fan_out", **fields, **end_fan_out(span, fields))

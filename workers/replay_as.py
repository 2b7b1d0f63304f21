"""Replay of dead letters under another job type: theirs was renamed, or another does their work now.

A job's id, its position among those of its key and its limits go by its type. So the old job goes, and the event gets a
job of the new type, as fan-out would have made it, in one script (`replay_as.lua`). Jobs of a type that no worker
declares any more are left for a day (`workers/releases/leaving.py`): those can be replayed in the same way.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from redis import Redis
from rq.job import Job
from rq.utils import utcformat

from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.redis.job_data import read_data
from shared.redis.queues import RUNS_KEY
from shared.redis.releases import left_key, read_left
from shared.redis.scripts import script_text
from shared.traces.spans import NO_SPAN
from shared.wire.commands import event_from_wire
from workers.dead_letters.registry import PAGE, DeadLetter, batched
from workers.dead_letters.replay import Pages, Progress, Replays, Throttle, in_batches, let_go_on
from workers.fan_out import FanOut, JobTemplates, fan_out_text
from workers.flow.limits import limits_text
from workers.flow.ordering import execution_of, key_digest, received_ms


class ReplaysAs:
    """Puts jobs back under another type."""

    def __init__(self, redis: Redis, replays: Replays, job_type: JobType) -> None:
        self._redis = redis
        self._replays = replays
        self._job_type = job_type
        jobs = Jobs()
        jobs.add(job_type)
        self._templates = JobTemplates(jobs, redis)
        text = limits_text(jobs) + script_text("workers", "writes") + fan_out_text()
        text += script_text("workers.dead_letters", "delete") + script_text("workers", "replay_as")
        self._script = redis.register_script(text)

    def replay(self, pages: Pages, selection: str, throttle: Throttle, progress: Progress) -> Counter[str]:
        """Give the events of jobs a job of the new type instead.

        Returns:
            What became of how many: `replayed`; `gone`, `expired` or `alive`, as for a replay; `there` if the event has
            a job of that type already; `misfit` if that type does not subscribe to such events; `no_job` if it is an
            event, or none of Deskbell's.
        """
        outcomes: Counter[str] = Counter()
        with self._replays.recorded("replay", f"{selection} --as {self._job_type.name}") as record:
            for batch in in_batches(pages, throttle.batch):
                throttle.wait(len(batch))
                outcomes.update(self._replay(record, each) for each in batch)
                progress(len(batch))
        return outcomes

    def look(self, pages: Pages, progress: Progress) -> Counter[str]:
        """What `replay` would return, without doing anything."""
        outcomes: Counter[str] = Counter()
        for page in pages:
            outcomes.update(self._replay(RUNS_KEY, each, is_dry=True) for each in page)
            progress(len(page))
        return outcomes

    def _replay(self, record: str, old: DeadLetter, *, is_dry: bool = False) -> str:
        data: bytes | None = self._redis.hget(Job.key_for(old.id), "data")  # type: ignore[assignment]
        if data is None:
            return "expired"
        try:
            _, _, (_, wire), _ = read_data(data)
            event = event_from_wire(wire)
        except Exception:  # noqa: BLE001 - whatever it holds, it is not such a job's
            return "no_job"
        job_type = self._job_type
        if not job_type.wants(event):
            return "misfit"
        place = (*((execution_of(event) if job_type.ordered_by else None) or ("", 0)), received_ms(event))
        wire_text = to_json(wire, inf_nan_mode="strings")
        fan_out = FanOut(event, wire_text, place, [(job_type, key_digest(job_type, event))], 0.0, NO_SPAN)
        table, (arguments,) = self._templates.arguments([fan_out])
        if is_dry:
            return self._run(record, old, ["1", "1", *arguments], table)
        outcome = self._run(record, old, ["", "", *arguments], table)
        if outcome == "awaited":
            let_go_on(self._redis, old.id, old.queue)
            outcome = self._run(record, old, ["1", "", *arguments], table)
        return outcome

    def _run(self, record: str, old: DeadLetter, rest: list[Any], table: str) -> str:
        date = utcformat(datetime.now(UTC))
        answer: bytes = self._script(keys=[record], args=[date, table, old.queue, old.id, *rest])
        return answer.decode()


def left_jobs(redis: Redis, job: str) -> Iterator[list[DeadLetter]]:
    """The jobs of a type that are left since no living worker declares it, in pages, in the order of their events."""
    for left in read_left(redis):
        if left.job_type == job and not left.is_declared:
            ids: list[bytes] = redis.zrange(left_key(left.queue, left.need), 0, -1)  # type: ignore[assignment]
            for page in batched(ids, PAGE):
                yield [DeadLetter(job_id.decode(), left.queue, "left", None, {}) for job_id in page]

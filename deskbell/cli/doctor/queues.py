"""Why jobs do not move: suspended, paused, no worker there, or a loop that is blocked; and how many are where."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rq import Queue, Worker
from rq.suspension import WORKERS_SUSPENDED

from deskbell.cli.doctor.findings import Checked, Finding, problem, said, warning
from shared.redis.breakers import Pause, paused_queues
from shared.redis.queues import EVENTS, queue
from shared.runtime.blocks import LAST_BLOCKS_KEY, LastBlock, read_blocks
from shared.runtime.loop_lag import STUCK_SECONDS
from workers.dead_letters.registry import DeadLetters, Selection

_SPARE_MS = 60_000
_RECENT = timedelta(hours=1)
_LONGEST_BLOCK = timedelta(seconds=STUCK_SECONDS + 10)  # then its process has been ended


def suspended(checked: Checked) -> Iterator[Finding]:
    """Whether `rq suspend` holds all workers back."""
    if checked.connection.exists(WORKERS_SUSPENDED):
        yield problem("all workers are suspended by `rq suspend`: no job is begun until `rq resume`")


def pauses(checked: Checked) -> Iterator[Finding]:
    """Which queues a breaker has paused."""
    yield from map(_paused, paused_queues(checked.connection))


def blocks(checked: Checked) -> Iterator[Finding]:
    """Which handlers and jobs have blocked an event loop within the last hour."""
    now = datetime.now(UTC)
    for block in read_blocks(checked.connection.hgetall(LAST_BLOCKS_KEY)):
        if now - block.noted > _RECENT:
            continue
        is_blocking = not block.is_over and now - block.noted < _LONGEST_BLOCK
        yield problem(_blocked(block)) if is_blocking else warning(_blocked(block))


def queue_table(checked: Checked) -> Iterator[Finding]:
    """How many jobs are where, on each queue."""
    workers = _living(checked)
    for name in _names(checked):
        here = queue(name, checked.connection)
        counts = {
            "wait": here.count,
            "run": here.started_job_registry.get_job_count(cleanup=False),
            "are to be tried again later": here.scheduled_job_registry.get_job_count(cleanup=False),
            "are held behind others": here.deferred_job_registry.get_job_count(cleanup=False),
            "are dead letters": here.failed_job_registry.get_job_count(cleanup=False),
        }
        counted = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing waits"
        yield said(f"queue {name}: {counted}; workers: {workers[name]}")


def held(checked: Checked) -> Iterator[Finding]:
    """Which jobs dead letters hold back."""
    names = _names(checked)
    if not any(queue(name, checked.connection).deferred_job_registry.get_job_count(cleanup=False) for name in names):
        return  # reading all dead letters is expensive
    dead_letters = DeadLetters(checked.connection)
    for group in dead_letters.groups(dead_letters.pages(Selection())):
        if group.awaited_by:
            yield problem(
                f"dead letters of {group.job} hold {group.awaited_by} jobs back until they are replayed or discarded "
                f"({group.count} of {group.cause}): `deskbell dead list`"
            )


def unread_queues(checked: Checked) -> Iterator[Finding]:
    """Which queues no living worker reads."""
    workers = _living(checked)
    unread = [name for name in _names(checked) if not workers[name]]
    if not workers:
        yield problem("no worker runs: events are accepted, and nothing is done for them")
    elif unread:
        yield problem(f"no living worker reads {_list(unread)}; start `deskbell worker {' '.join(unread)}`")


def _names(checked: Checked) -> list[str]:
    """The queues of job types, and those that hold jobs."""
    used = [EVENTS, *(checked.jobs.queues if checked.jobs else [])]
    held = [each.name for each in Queue.all(checked.connection) if _holds_any(checked, each.name)]
    return list(dict.fromkeys([*used, *sorted(held)]))


def _holds_any(checked: Checked, name: str) -> bool:
    here = queue(name, checked.connection)
    others = (here.started_job_registry, here.scheduled_job_registry, here.deferred_job_registry)
    return bool(here.count or any(each.get_job_count(cleanup=False) for each in others))


def _living(checked: Checked) -> Counter[str]:
    """How many living workers read each queue.

    RQ lets a worker's key expire a minute after the time within which it must give a sign of life.
    """
    found: Counter[str] = Counter()
    for worker in Worker.all(checked.connection):
        if checked.connection.pttl(worker.key) >= _SPARE_MS:
            found.update(worker.queue_names())
    return found


def _paused(pause: Pause) -> Finding:
    return problem(
        f"the queue {pause.queue} is paused since {pause.since:%H:%M:%S} UTC, because jobs of {pause.job_type} keep "
        f"failing ({pause.cause}); one is tried at {pause.until:%H:%M:%S}"
    )


def _blocked(block: LastBlock) -> str:
    how_long = f"for {block.seconds:g} s until" if block.is_over else "and has not been seen to end, since"
    return (
        f"{block.who} blocked an event loop {how_long} {block.noted:%H:%M:%S} UTC, at {block.at}: everything else of "
        "that process waited; write def instead of async def, or await what takes long"
    )


def _list(names: list[str]) -> str:
    return f"the queue {names[0]}" if len(names) == 1 else f"the queues {', '.join(names)}"

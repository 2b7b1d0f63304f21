"""Jobs that nobody runs or ends, because they are in no queue and no registry."""

from collections import defaultdict
from collections.abc import Iterator

from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, problem, said, unknown, warning
from deskbell.queues.orphans import MOST_SECONDS, Orphan, read_orphans
from shared.keys import RQ

_NAMED = 3
_QUEUE = ("RPUSH", "queue", "")
_PUT_BACK = {"scheduled": ("ZADD", "scheduled", " 0"), "failed": ("ZADD", "failed", " inf")}
_IS = {"started": "under way", "queued": "queued", "scheduled": "scheduled", "deferred": "held", "failed": "dead"}


def orphans(checked: Checked, queue: str | None = None) -> Iterator[Finding]:
    """Whether jobs are lost, of one queue or of all."""
    seen = read_orphans(checked.connection)
    grouped: dict[tuple[str, str, bool], list[Orphan]] = defaultdict(list)
    for each in seen.found:
        if queue in (None, each.queue):
            grouped[each.queue, each.status, bool(each.awaits)].append(each)
    for (name, status, awaits), lost in sorted(grouped.items()):
        yield _finding(name, status, lost, awaits=awaits)
    looked = f"looked for orphaned jobs in {seen.keys} of {seen.all_keys} keys"
    if seen.is_whole and queue is None:
        yield said(f"{looked}: found {sum(map(len, grouped.values()))}")
    elif not seen.is_whole:
        names = ", ".join(seen.unread)
        of_queues = f", and not at all in {names}, where too many wait or a key is damaged" if names else ""
        yield unknown(f"{looked}, for {MOST_SECONDS:g} s at most{of_queues}: there may be more than is told")


def _finding(queue: str, status: str, lost: list[Orphan], *, awaits: bool) -> Finding:
    ids = ", ".join(each.id for each in lost[:_NAMED]) + (" and others" if len(lost) > _NAMED else "")
    if awaits:
        return warning(
            f"{len(lost)} jobs of the queue {queue} are held behind jobs that are gone ({ids})",
            "wait half a minute: a worker that declares their type as ordered queues them",
            "orphaned",
        )
    if not status:
        return warning(
            f"{len(lost)} ids on the queue {queue} have no job, which was deleted or has expired ({ids})",
            "nothing: a worker drops them when it comes to them",
            "orphaned",
        )
    first = lost[0].id
    command, registry, score = _PUT_BACK.get(status, _QUEUE)
    return problem(
        f"{len(lost)} jobs of the queue {queue} are {_IS[status]}, as they say, and in no queue or registry, so that "
        f"nobody runs or ends them ({ids})",
        f"put each back where its status says, with `redis-cli {command} {RQ}{registry}:{queue}{score} {first}`",
        "orphaned",
    )

"""Jobs that nobody runs or ends, because they are in no queue and no registry."""

from collections import defaultdict
from collections.abc import Iterator

from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, problem, said, unknown, warning
from deskbell.queues.orphans import MOST_SECONDS, Orphan, read_orphans
from shared.keys import RQ
from shared.sentences import sentence

_NAMED = 3
_QUEUE = ("RPUSH", "queue", "")
_PUT_BACK = {"scheduled": ("ZADD", "scheduled", " 0"), "failed": ("ZADD", "failed", " inf")}
_IS = {
    "started": sentence("under way"),
    "queued": sentence("queued"),
    "scheduled": sentence("scheduled"),
    "deferred": sentence("held"),
    "failed": sentence("dead"),
}


def orphans(checked: Checked, queue: str | None = None) -> Iterator[Finding]:
    """Whether jobs are lost, of one queue or of all."""
    seen = read_orphans(checked.connection)
    grouped: dict[tuple[str, str, bool], list[Orphan]] = defaultdict(list)
    for each in seen.found:
        if queue in (None, each.queue):
            grouped[each.queue, each.status, bool(each.awaits)].append(each)
    for (name, status, awaits), lost in sorted(grouped.items()):
        yield _finding(name, status, lost, awaits=awaits)
    looked = {"keys": seen.keys, "all": seen.all_keys}
    if seen.is_whole and queue is None:
        count = sum(map(len, grouped.values()))
        yield said(sentence("looked for orphaned jobs in {keys} of {all} keys: found {count}", **looked, count=count))
    elif not seen.is_whole:
        but_for = sentence(", and not at all in {queues}, where too many wait or a key is damaged", queues=seen.unread)
        yield unknown(
            sentence(
                "looked for orphaned jobs in {keys} of {all} keys, for {seconds:g} s at most{but}: there may be more "
                "than is told",
                **looked,
                seconds=MOST_SECONDS,
                but=but_for if seen.unread else "",
            ),
            sentence("look again when Redis and this host are less busy"),
        )


def _finding(queue: str, status: str, lost: list[Orphan], *, awaits: bool) -> Finding:
    of_them = {
        "count": len(lost),
        "queue": queue,
        "ids": [each.id for each in lost[:_NAMED]],
        "more": sentence(" and others") if len(lost) > _NAMED else "",
    }
    if awaits:
        return warning(
            sentence(
                "{count} jobs of the queue {queue} are held behind jobs that are gone ({ids}{more})",
                "{count} job of the queue {queue} is held behind one that is gone ({ids}{more})",
                **of_them,
            ),
            sentence("wait half a minute: a worker that declares their type as ordered queues them"),
            "orphaned",
        )
    if not status:
        return warning(
            sentence(
                "{count} ids on the queue {queue} have no job, which was deleted or has expired ({ids}{more})",
                "{count} id on the queue {queue} has no job, which was deleted or has expired ({ids}{more})",
                **of_them,
            ),
            sentence("nothing: a worker drops them when it comes to them"),
            "orphaned",
        )
    verb, registry, score = _PUT_BACK.get(status, _QUEUE)
    command = f"redis-cli {verb} {RQ}{registry}:{queue}{score} {lost[0].id}"
    return problem(
        sentence(
            "{count} jobs of the queue {queue} are {status}, as they say, and in no queue or registry, so that nobody "
            "runs or ends them ({ids}{more})",
            "{count} job of the queue {queue} is {status}, as it says, and in no queue or registry, so that nobody "
            "runs or ends it ({ids}{more})",
            **of_them,
            status=_IS[status],
        ),
        sentence("put each back where its status says, with `{command}`", command=command),
        "orphaned",
    )

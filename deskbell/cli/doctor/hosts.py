"""The other hosts of the api: events that wait in the spool of one that is gone are nowhere else."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

from deskbell.cli.doctor.findings import Checked
from deskbell.cli.doctor.queues import states
from deskbell.queues import refused as refusals
from deskbell.queues import together
from deskbell.queues.findings import Finding, problem, said, warning
from shared.redis.api_hosts import ApiHost, read_hosts
from shared.sentences import sentence

_SPOOLED_SECONDS = 60.0
_FORGOTTEN_SECONDS = 7 * 24 * 3600


def no_api(checked: Checked) -> Iterator[Finding]:
    """Whether an api runs anywhere."""
    yield from together.no_api(read_hosts(checked.connection), redis_refuses=not checked.takes_events)


def refused(checked: Checked) -> Iterator[Finding]:
    """Why callbacks were refused within the last ten minutes."""
    yield from refusals.refused(checked.connection)


def other_hosts(checked: Checked) -> Iterator[Finding]:
    """Which hosts of the api have events in their spools, or have gone without a word."""
    here = f"{socket.gethostname()}:{checked.settings.spool_dir.absolute()}"  # `spooled` looks at that itself
    for each in read_hosts(checked.connection):
        if each.field != here or not checked.looks_here:
            yield from _of(each)


def not_replaced(checked: Checked) -> Iterator[Finding]:
    """Which processes go on after SIGHUP with the settings and code of before."""
    apis = {each.host: each.kept_at for each in read_hosts(checked.connection) if each.kept_at and not each.is_gone}
    records = {each.name: each for state in states(checked) for each in state.readers.records}.values()
    workers = {each.host: each.kept_at for each in records if each.kept_at}
    do = sentence("see standard error beside not_replaced in its log, correct that, and send SIGHUP again")
    for host, at in sorted(apis.items()):
        yield warning(
            sentence(
                "the api of the host {host} goes on with its old settings and code: at {at:%Y-%m-%d %H:%M:%S} UTC a "
                "new process did not start",
                host=host,
                at=datetime.fromtimestamp(at, UTC),
            ),
            do,
        )
    for host, at in sorted(workers.items()):
        yield warning(
            sentence(
                "workers of the host {host} go on with their old settings and code: at {at:%Y-%m-%d %H:%M:%S} UTC a "
                "new process did not start",
                host=host,
                at=datetime.fromtimestamp(at, UTC),
            ),
            do,
        )


def numbers_of_shards(checked: Checked) -> Iterator[Finding]:
    """Which apis and workers have another number of shards."""
    records = {each.name: each for state in states(checked) for each in state.readers.records}.values()
    workers = {(each.host, each.shards) for each in records}
    apis = {(each.host, each.shards) for each in read_hosts(checked.connection) if not each.is_gone}
    here = checked.settings.shards
    for host, theirs in sorted(workers | apis):
        if theirs not in (0, here):  # an older release says none
            text = sentence(
                "an api or a worker on the host {host} has {theirs} shards in DESKBELL_REDIS_URL, and here there are "
                "{here}: events may wait where nobody works on them, and a delivery that is repeated may be done twice",
                host=host,
                theirs=theirs,
                here=here,
            )
            yield problem(text, sentence("give every process the same number"))


def _of(each: ApiHost) -> Iterator[Finding]:
    where = {"at": datetime.fromtimestamp(each.noted, UTC), "host": each.host, "folder": each.folder}
    if each.events and each.is_gone:
        yield problem(
            sentence(
                "{events} events waited in the spool {folder} of the host {host} at {at:%Y-%m-%d %H:%M:%S} UTC, and no "
                "api runs there",
                events=each.events,
                **where,
            ),
            sentence("start one with that DESKBELL_SPOOL_DIR to drain them"),
            "spooled",
        )
    elif each.events and each.oldest_seconds > _SPOOLED_SECONDS:
        yield problem(
            sentence(
                "{events} events wait in the spool {folder} of the host {host}, the first for {seconds:.0f} s, though "
                "Redis answers: its api still drains them, or cannot write to Redis, so that no job is made of them",
                "{events} event waits in the spool {folder} of the host {host}, for {seconds:.0f} s, though Redis "
                "answers: its api still drains it, or cannot write to Redis, so that no job is made of it",
                events=each.events,
                seconds=each.oldest_seconds // 10 * 10,
                **where,
            ),
            sentence("see redis_away and redis_refuses in its log"),
            "spooled",
        )
    elif each.events:
        yield said(
            sentence("{events} events wait in the spool {folder} of the host {host}", events=each.events, **where)
        )
    elif each.is_gone and not each.has_ended and each.age < _FORGOTTEN_SECONDS:
        yield warning(
            sentence(
                "the api of the host {host} was last heard of at {at:%Y-%m-%d %H:%M:%S} UTC, and was not told to end: "
                "what it kept in its spool {folder} afterwards is there alone",
                **where,
            )
        )

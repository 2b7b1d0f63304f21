"""`make chaos-hosts`: whether what several hosts acknowledged is done once, whatever they are cut off from.

1. Two apis behind nginx, three workers, Redis with two replicas and three sentinels run on nine hosts, which are
   network namespaces of this machine.
2. Signed callbacks come at a steady rate, some of them twice, before, during and after each fault
   (`bench/chaos/hosts/faults.py`).
3. When nothing waits any more, what was acknowledged is compared with the analytics table, the jobs' effects and the
   records. When Redis has its replicas back, the next fault begins.

Lost and doubled must be 0, and no answer may differ from the first to its delivery unless its api could not know that
one, or the exit code is 1.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench.chaos.deliveries import Deliveries, is_success, judge
from bench.chaos.driving import drive
from bench.chaos.evidence import evidence
from bench.chaos.hosts.faults import FAULTS, Fault
from bench.chaos.hosts.network import missing
from bench.chaos.hosts.stack import Hosts, running_hosts
from bench.chaos.records import effects_in, wait_until
from bench.environments import FOLDER
from deskbell.cli.processes.signals import end_on_signals

RATE = 30
SECONDS = 7.0  # more than a lease
_AROUND_SECONDS = 1.5
_BUDGET_SECONDS = 1.5


@dataclass(slots=True)
class Row:
    """What came of a fault.

    Attributes:
        fault: its title.
        is_promised: whether nothing may be lost under it.
        sent: requests, those that were sent again included.
        acknowledged: requests answered with success.
        deliveries: those of which one was.
        once: those of them whose jobs have had their effects, once.
        lost: those of them without, and events on record without.
        doubled: deliveries with two events, and events that are on record twice.
        differing: requests whose answer differs from the delivery's first, which their api could have known.
        unknowable: requests whose answer differs because their api could not.
        again: runs of jobs that found their effect there.
        reported: calls that apis said Redis had lost.
        seconds: from the end of the fault until all was done; None when that did not come about.
        examples: of what was broken.
    """

    fault: str
    is_promised: bool
    sent: int
    acknowledged: int
    deliveries: int
    once: int
    lost: int
    doubled: int
    differing: int
    unknowable: int
    again: int
    reported: int
    seconds: float | None
    examples: list[str]

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        if not self.is_promised:
            return self.acknowledged > 0 and self.seconds is not None and (not self.lost or self.reported > 0)
        broken = self.lost, self.doubled, self.differing, self.reported, self.seconds is None
        return self.acknowledged > 0 and not any(broken)


def main() -> None:
    """Run the faults that the command line names, print a table, and exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description="what several hosts acknowledged, under partitions and losses")
    parser.add_argument("--only", action="append", help="faults whose title holds this; may be repeated")
    parser.add_argument("--rate", type=float, default=RATE, help="callbacks a second")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long a fault lasts")
    parser.add_argument("--keep", action="store_true", help="leave the hosts' folders, in the system's temporary one")
    options = parser.parse_args()
    if lacking := missing():
        sys.exit(f"hosts need {lacking}")
    end_on_signals()
    console = Console(width=190)
    chosen = [each for each in FAULTS if not options.only or any(part in each.title for part in options.only)]
    rows = []
    for row in run(chosen, options.rate, options.seconds, keep=options.keep):
        rows.append(row)
        sys.stderr.write(f"{row.fault}: {row.once} of {row.deliveries} once{' BROKEN' * (not row.is_good)}\n")
    console.print(table(rows))
    for row in rows:
        for line in row.examples:
            console.print(f"{row.fault}: {line}", soft_wrap=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "chaos-hosts.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    sys.exit(0 if rows and all(row.is_good for row in rows) else 1)


def run(faults: Iterable[Fault], rate: float = RATE, seconds: float = SECONDS, *, keep: bool = False) -> Iterator[Row]:
    """Inject faults under load, one after the other, and judge each.

    Args:
        faults: what is injected; those that follow one another and need the same hosts share them.
        rate: callbacks a second.
        seconds: how long a fault lasts.
        keep: whether the folders with all logs stay.
    """
    for (waits, clocks_apart), group in groupby(faults, lambda fault: (fault.waits, fault.clocks_apart)):
        with running_hosts(waits=waits, clocks_apart=clocks_apart, keep=keep) as hosts:
            for fault in group:
                yield under(fault, hosts, rate, seconds)


def under(fault: Fault, hosts: Hosts, rate: float, seconds: float) -> Row:
    """Inject one fault, when what the last has left is mended, and judge what came of it."""
    hosts.wait_until_whole()
    deliveries = Deliveries(f"hosts{time.time_ns():x}")
    before = _count_runs(hosts.folder), _count_reported(hosts.api_logs)
    answers, span = uvloop.run(
        drive(hosts.desk, deliveries, lambda: fault.injected(hosts), rate, seconds, _AROUND_SECONDS, is_success)
    )
    is_done = wait_until(lambda: not hosts.what_is_left())
    took = time.monotonic() - span.ended
    undone = "" if is_done else f"not done: {hosts.what_is_left()}"
    kept = hosts.kept()
    with hosts.redis() as redis:
        found = evidence(redis, hosts.api_logs, [], hosts.clocks)
    verdict = judge(fault.title, deliveries, answers, span, kept, found, _BUDGET_SECONDS)
    effects = {job_id.partition("-")[0] for job_id in effects_in(hosts.folder)}
    users = {deliveries.user(deliveries.delivery_of(each.number)) for each in answers if is_success(each)}
    events = {user: kept.rows.get(user, []) for user in users}
    once = [user for user, ids in events.items() if len(ids) == 1 and ids[0] in effects]
    lost = max(verdict.lost, len(users) - len(once))
    if lost and not fault.waits:  # the old master acknowledges until it is a replica: only then is its api told
        wait_until(lambda: _count_reported(hosts.api_logs) > before[1])
    return Row(
        fault=fault.title,
        is_promised=fault.waits,
        sent=verdict.sent,
        acknowledged=verdict.acknowledged,
        deliveries=len(users),
        once=len(once),
        lost=lost,
        doubled=verdict.duplicated,
        differing=verdict.differing,
        unknowable=sum(verdict.unavoidable.values()),
        again=_count_runs(hosts.folder) - before[0],
        reported=_count_reported(hosts.api_logs) - before[1],
        seconds=took if is_done else None,
        examples=[*verdict.examples, *filter(None, [undone])],
    )


def _count_runs(folder: Path) -> int:
    """How many runs of jobs have found their effect there."""
    path = folder / "runs"
    return path.read_text().count('"what": "repeated"') if path.exists() else 0


def _count_reported(logs: Iterable[Path]) -> int:
    """How many calls apis have said that Redis lost."""
    lines = [line for log in logs for line in log.read_text().splitlines() if '"redis_lost_writes"' in line]
    return sum(json.loads(line)["calls"] for line in lines)


def table(rows: Iterable[Row]) -> Table:
    """A row for each fault."""
    made = Table(title="what several hosts acknowledged")
    made.add_column("fault", no_wrap=True)
    heads = "sent", "acknowledged", "deliveries", "done once", "lost", "doubled", "differing", "unknowable", "run again"
    for head in (*heads, "reported", "seconds"):
        made.add_column(head, justify="right")
    for row in rows:
        counts = (
            row.sent,
            row.acknowledged,
            row.deliveries,
            row.once,
            row.lost,
            row.doubled,
            row.differing,
            row.unknowable,
            row.again,
            row.reported,
        )
        seconds = "never" if row.seconds is None else f"{row.seconds:.1f}"
        made.add_row(row.fault, *map(str, counts), seconds)
    return made


if __name__ == "__main__":
    main()

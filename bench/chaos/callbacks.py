"""`make chaos`: whether an accepted callback is lost, duplicated or late when what it depends on fails.

1. For each fault (`bench/chaos/faults.py`) a stack of its own starts: a server that fsyncs always, two api processes, a
   worker.
2. Signed callbacks come at a steady rate, some of them twice, before, during and after the fault.
3. When no event waits any more, what was acknowledged is compared with the analytics table and the records.

Lost and doubled must be 0 in every row, no answer may be later than the budget, and none may differ from the first
answer to its delivery, or the exit code is 1. An answer whose process could not know the first, of which the run must
have evidence (`bench/chaos/evidence.py`), is counted apart, by its cause.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict

import uvloop
from rich.console import Console
from rich.table import Table

from bench.chaos.deliveries import Deliveries, Verdict, judge
from bench.chaos.driving import drive
from bench.chaos.evidence import Cause, evidence
from bench.chaos.faults import FAULTS, Fault, one_server
from bench.chaos.stack import BUDGET_MS, start_stack
from bench.environments import FOLDER
from deskbell.cli.processes.signals import end_on_signals

RATE = 100
AROUND_SECONDS = 2.5


def main() -> None:
    """Run the faults that the command line names, print a table, and exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description="callbacks lost, doubled or late under faults")
    parser.add_argument("--only", action="append", choices=list(FAULTS), help="one fault; may be repeated")
    parser.add_argument("--rate", type=float, default=RATE, help="callbacks a second")
    parser.add_argument(
        "--keep", action="store_true", help="leave the folders with all logs, in the system's temporary one"
    )
    options = parser.parse_args()
    end_on_signals()
    console = Console(width=190)
    verdicts, skipped = [], []
    for name in options.only or FAULTS:
        fault = FAULTS[name]
        if fault.lacks:
            skipped.append(f"not run: {fault.title}; it needs {fault.lacks}")
            continue
        sys.stderr.write(f"{fault.title}\n")
        verdicts.append(run(fault, options.rate, keep=options.keep))
    console.print(table(verdicts))
    for line in skipped:
        console.print(line)
    for verdict in verdicts:
        unavoidable = [f"unavoidable, {count} times: {cause.meaning}" for cause, count in verdict.unavoidable.items()]
        for line in [*verdict.examples, *unavoidable, *verdict.logged_errors]:
            console.print(f"{verdict.fault}: {line}", soft_wrap=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "chaos.json").write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    sys.exit(0 if all(verdict.is_good for verdict in verdicts) else 1)


def run(
    fault: Fault, rate: float = RATE, seconds: float = 0, around: float = AROUND_SECONDS, *, keep: bool = False
) -> Verdict:
    """Inject one fault under load, and judge the result.

    Args:
        fault: what is injected.
        rate: callbacks a second.
        seconds: how long it lasts; its own time by default.
        around: seconds of callbacks before it and after it.
        keep: whether the folder with all logs stays.
    """
    deliveries = Deliveries(f"chaos{time.time_ns():x}")
    with (
        start_stack(keep=keep) as stack,
        (fault.set_up or one_server)(stack, deliveries) as setup,
        stack.running(setup.api_url, setup.workers_url, setup.variables),
    ):
        answers, span = uvloop.run(
            drive(
                stack.port,
                deliveries,
                lambda: fault.inject(setup),
                rate,
                seconds or fault.seconds,
                around,
                lambda answer: answer.status,
            )
        )
        if fault.afterwards:
            fault.afterwards(setup)
        undrained = stack.wait_until_drained(setup.connect)
        kept = stack.kept(setup.connect)
        with (setup.connect or stack.redis)() as redis:
            found = evidence(redis, [stack.api_log], setup.gone)
        verdict = judge(fault.title, deliveries, answers, span, kept, found, BUDGET_MS / 1000)
        verdict.logged_errors = stack.logged_errors()
        verdict.breaks_connections = fault.breaks_connections
    if undrained:
        verdict.undrained = True
        verdict.examples.append(f"did not come to rest: {undrained}")
    return verdict


def table(verdicts: list[Verdict]) -> Table:
    """A row for each fault."""
    made = Table(title=f"callbacks under faults; budget {BUDGET_MS} ms")
    made.add_column("fault", no_wrap=True)
    heads = ("sent", "acknowledged", "1010", "other", "unanswered", "lost", "doubled", "late", "differing")
    for head in (*heads, *Cause, "p50 ms", "p99 ms", "max ms"):
        made.add_column(head, justify="right")
    for each in verdicts:
        counts = each.sent, each.acknowledged, each.refused, each.otherwise, each.unanswered
        broken = (
            each.lost,
            each.duplicated,
            each.late,
            each.differing,
            *(each.unavoidable.get(cause, 0) for cause in Cause),
        )
        spent = each.p50_ms, each.p99_ms, each.most_ms
        made.add_row(each.fault, *map(str, counts), *map(str, broken), *(f"{one:.1f}" for one in spent))
    return made


if __name__ == "__main__":
    main()

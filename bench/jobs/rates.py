"""`make bench-jobs`: what one worker process does, beside other libraries' workers; one server for all.

1. Each contender is installed in an environment of its own, under `.bench`.
2. In a round each has its queue filled and then its worker started, for each workload; when it is idle, jobs are
   enqueued one at a time. Rounds alternate between the contenders, so that other load of the machine affects all of
   them; compare the ratios of the medians.
3. The rate is computed from the times at which jobs begin, without the first tenth, in which the worker warms up.
4. Deskbell's worker is measured for more: see `bench/jobs/targets.py`.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from math import nan
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from bench.environments import FOLDER, install
from bench.jobs.backlog import MILLION
from bench.jobs.contenders.contender import CONTENDERS, DRAMATIQ, SIMPLE, Contender
from bench.jobs.targets import Extras, judge, measure_extras
from bench.jobs.testbed import Memory, Testbed, start_testbed
from bench.report import print_targets

WORKLOADS = {"nothing": "no-op", "cpu": "5 ms of CPU", "wait": "50 ms of waiting"}
MOST_JOBS = 60_000
IDLE_SECONDS = 2.5
PATIENCE = 3
"""How many times longer than planned the jobs of a round may take."""


@dataclass
class Measured:
    """What was measured of one contender, a round at a time.

    Attributes:
        rates: jobs/s, by workload.
        latencies: milliseconds from enqueue to start on an idle worker, of all rounds.
        memory: of all its processes, at the end of each round, by workload.
    """

    rates: dict[str, list[float]] = field(default_factory=lambda: {workload: [] for workload in WORKLOADS})
    memory: dict[str, list[Memory]] = field(default_factory=lambda: {workload: [] for workload in WORKLOADS})
    latencies: list[float] = field(default_factory=list)

    def rate(self, workload: str) -> float:
        return median(self.rates[workload])

    def percentiles(self) -> tuple[float, float]:
        """p50 and p99; no numbers when nothing was measured."""
        if len(self.latencies) < 2:  # noqa: PLR2004 - what quantiles needs
            return nan, nan
        hundredths = quantiles(self.latencies, n=100, method="inclusive")
        return hundredths[49], hundredths[98]

    def rss(self, workload: str) -> float:
        return median(one.rss for one in self.memory[workload])

    def pss(self, workload: str) -> float:
        return median(one.pss for one in self.memory[workload])


def main() -> None:
    parser = argparse.ArgumentParser(description="jobs/s, latency and memory of workers, one process each")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that everything runs")
    parser.add_argument("--only", action="append", choices=[contender.name for contender in CONTENDERS])
    options = parser.parse_args()
    rounds, seconds = (1, 0.7) if options.quick else (3, 2.0)
    chosen = [contender for contender in CONTENDERS if not options.only or contender.name in options.only]
    contenders = install(chosen)
    load = [os.getloadavg()[0]]
    with start_testbed() as testbed:
        results = measure(testbed, contenders, rounds, seconds)
        extras = measure_extras(testbed, seconds, 100_000 if options.quick else MILLION)
    load.append(os.getloadavg()[0])
    console = Console(width=120)
    console.print(table(contenders, results, f"{rounds} rounds; load of the machine {load[0]:.1f} to {load[1]:.1f}"))
    report(console, results, extras)
    (FOLDER / "jobs.json").write_text(json.dumps(as_json(contenders, results, extras, load), indent=1))


def measure(testbed: Testbed, contenders: Iterable[Contender], rounds: int, seconds: float) -> dict[str, Measured]:
    results = {contender.name: Measured() for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            sys.stderr.write(f"round {number + 1}: {contender.name}\n")
            for workload in WORKLOADS:
                one_round(testbed, contender, workload, results[contender.name], seconds)
    return results


def one_round(testbed: Testbed, contender: Contender, workload: str, measured: Measured, seconds: float) -> None:
    known = measured.rates[workload]
    count = min(int((known[-1] if known else contender.expected[workload]) * seconds) + 1, MOST_JOBS)
    testbed.clear()
    testbed.put(contender, workload, count)
    with testbed.worker(contender, contender.slots_for(workload)) as worker:
        worker.wait_for(count, seconds * PATIENCE)
        measured.memory[workload].append(worker.memory())
        measured.rates[workload].append(worker.rate())
        if workload == "nothing" and worker.started() >= count:
            measured.latencies += testbed.one_by_one(contender, IDLE_SECONDS, 100)


def table(contenders: list[Contender], results: dict[str, Measured], caption: str) -> Table:
    made = Table(title="one worker process each", caption=caption)
    for head in ("worker", "at once"):
        made.add_column(head, no_wrap=True)
    heads = [
        "no-op/s",
        "x Simple",
        "x dramatiq",
        "5 ms CPU/s",
        "50 ms wait/s",
        "p50 ms",
        "p99 ms",
        "PSS MiB",
    ]
    for head in heads:
        made.add_column(head, justify="right")
    simple, dramatiq = results.get(SIMPLE.name), results.get(DRAMATIQ.name)
    for contender in contenders:
        measured = results[contender.name]
        made.add_row(
            contender.name,
            " / ".join(dict.fromkeys(map(str, contender.slots))),
            f"{measured.rate('nothing'):,.0f}",
            ratio(measured, simple),
            ratio(measured, dramatiq),
            f"{measured.rate('cpu'):,.0f}",
            f"{measured.rate('wait'):,.0f}",
            *(f"{value:.1f}" for value in measured.percentiles()),
            f"{measured.pss('wait'):.0f}",
        )
    return made


def ratio(measured: Measured, other: Measured | None) -> str:
    return f"{measured.rate('nothing') / other.rate('nothing'):.2f}" if other else ""


def report(console: Console, results: dict[str, Measured], extras: Extras) -> None:
    """Print what only Deskbell is measured for, and the targets if the workers they compare with have run."""
    console.print(
        f"Deskbell, no-op: {extras.few:,.0f}/s with 1,000 queued, {extras.many:,.0f}/s with {extras.backlog:,}; "
        f"{extras.threads:,.0f}/s as `def`, in threads. At 64 running jobs RSS {extras.memory.rss:.1f} MiB."
    )
    if not {"Deskbell", SIMPLE.name, DRAMATIQ.name} <= results.keys():
        return
    rates = {name: {workload: each.rate(workload) for workload in WORKLOADS} for name, each in results.items()}
    p50, _ = results["Deskbell"].percentiles()
    print_targets(console, judge(rates, p50, results[SIMPLE.name].rss("wait"), extras))


def as_json(
    contenders: list[Contender], results: dict[str, Measured], extras: Extras, load: list[float]
) -> dict[str, object]:
    """Everything that was measured."""
    of = {contender.name: {"at_once": contender.slots, **asdict(results[contender.name])} for contender in contenders}
    return {"contenders": of, "deskbell": asdict(extras), "load": load}


if __name__ == "__main__":
    main()

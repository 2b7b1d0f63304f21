"""`make bench-path`: callbacks until both their jobs are done, one api and one worker process, beside other libraries.

1. Each stack is installed in environments of its own, under `.bench`. For each `appendfsync` all use one server.
2. *Drain*: events wait, and a worker is started. The others' events are jobs that enqueue two others.
3. *As fast as answered*: 64 connections send for some seconds; it counts until all jobs are done.
4. *Sustained*: the highest steady rate, found by bisection, at which the jobs do not fall behind.
5. *Ack to done*: from the answer to the end of the last job, one callback at a time, and at half of that rate.
6. Deskbell alone: its worker where it only fans out, with a million events queued, and its api's CPU beside that of an
   endpoint which validates the packet and does nothing.

The CPU of each process for a callback holds on a machine that is busy with other things; rates do not.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.ack.load import serving
from bench.chart import draw
from bench.environments import FOLDER
from bench.jobs.backlog import MILLION
from bench.jobs.testbed import Testbed, start_testbed
from bench.path import report
from bench.path.drain import Drain, drain, fan_out
from bench.path.million import measure_backlogs
from bench.path.report import Alone, Measured
from bench.path.running import Site
from bench.path.sender import Plan
from bench.path.stack import DESKBELL, NOTHING, STACKS, Stack
from bench.path.steps import Times, run_steps
from bench.report import print_targets
from bench.server import persistence
from deskbell.cli.processes.signals import end_on_signals

FSYNCS = ("everysec", "always")
TIMES = Times(drain=2.5, whole=2, patience=20, idle=1.5, probe=3, sustained=20, half=3)
QUICK = Times(drain=0.5, whole=1, patience=15, idle=0.5, probe=1, sustained=3, half=1)
FEWEST = 200
DRAIN_FACTOR, FAN_OUT_FACTOR = 1.5, 2.5
"""How many more events wait than came to their end as fast as answered, or were drained, in the planned seconds."""
CHART = Path("docs/bench-path.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description="callbacks/s until both jobs are done, one api and one worker process")
    parser.add_argument("--quick", action="store_true", help="short steps: to see that everything runs")
    parser.add_argument("--only", action="append", choices=[stack.name for stack in STACKS])
    options = parser.parse_args()
    end_on_signals()
    times, queued = (QUICK, 100_000) if options.quick else (TIMES, MILLION)
    stacks = [each for each in STACKS if not options.only or each.name in options.only]
    stacks = [each for each in stacks if each.is_installed()]
    load = [os.getloadavg()[0]]
    results = {fsync: measure(fsync, stacks, times) for fsync in FSYNCS}
    alone = measure_alone(times, queued, results["always"][DESKBELL.name].drain) if DESKBELL in stacks else None
    load.append(os.getloadavg()[0])
    console = Console(width=140)
    for fsync, each in results.items():
        for table in report.tables(f"appendfsync {fsync}; load of the machine {load[0]:.1f} to {load[1]:.1f}", each):
            console.print(table)
    if alone:
        report.print_alone(console, alone)
        print_targets(console, report.judge(results["always"], alone))
    everything = {"appendfsync": results, "deskbell": alone, "load": load}
    (FOLDER / "path.json").write_text(json.dumps(everything, indent=1, default=asdict))
    if not options.quick and not options.only:
        CHART.write_text(draw(report.panels(results), "callbacks/s, until both jobs are done"))
        console.print(f"drawn: {CHART}")


def measure(fsync: str, stacks: list[Stack], times: Times) -> dict[str, Measured]:
    """One stack after the other, on one server."""
    results = {}
    with start_testbed(**persistence(fsync)) as bed:
        for stack in stacks:
            sys.stderr.write(f"appendfsync {fsync}: {stack.name}\n")
            try:
                results[stack.name] = measure_one(bed, stack, times)
            except RuntimeError as error:
                if stack is DESKBELL:
                    raise
                sys.stderr.write(f"not measured: {error}\n")
    return results


def measure_one(bed: Testbed, stack: Stack, times: Times) -> Measured:
    with serving(stack.endpoint, bed.url) as api:
        steps = run_steps(bed, stack, api, times)
        events = max(int(steps.whole.rate * times.drain * DRAIN_FACTOR), FEWEST)
        return Measured(drain(bed, stack, api, events), steps)


def measure_alone(times: Times, queued: int, drained: Drain) -> Alone:
    """What only ours is measured for."""
    with start_testbed(**persistence("always")) as bed:
        closed = Plan(times.whole)
        with serving(NOTHING, bed.url) as api:
            sys.stderr.write(f"{NOTHING.name}\n")
            nothing = Site(bed, api).send(closed)
        with serving(DESKBELL.endpoint, bed.url) as api:
            sys.stderr.write("Deskbell: acknowledging alone, fan-out alone\n")
            acknowledging = Site(bed, api).send(closed)
            fanned_out = fan_out(bed, api, int(drained.rate * times.drain * FAN_OUT_FACTOR))
            sys.stderr.write(f"Deskbell: {queued:,} queued\n")
            backlogs = measure_backlogs(bed, api, queued, times.drain)
    each, other = (seen.cost.per(len(seen.acked)).api for seen in (acknowledging, nothing))
    return Alone(fanned_out, backlogs, each, other)


if __name__ == "__main__":
    main()

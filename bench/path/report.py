"""The tables, the targets and the chart of `make bench-path`."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.jobs.backlog import THOUSAND
from bench.path.drain import Drain
from bench.path.million import Backlogs
from bench.path.stack import DESKBELL, WITH_CELERY, WITH_DRAMATIQ, WITH_SIMPLE
from bench.path.steps import Steps
from bench.report import Target, at_least, at_most


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a stack."""

    drain: Drain
    steps: Steps


@dataclass(frozen=True, slots=True)
class Alone:
    """What only ours is measured for.

    Attributes:
        fan_out: events of which a worker only makes jobs.
        backlogs: a thousand and a million events.
        api_us: CPU of our api for a callback, no worker beside it.
        nothing_us: that of an endpoint which validates the packet and does nothing.
    """

    fan_out: Drain
    backlogs: Backlogs
    api_us: float
    nothing_us: float


def tables(title: str, results: dict[str, Measured]) -> list[Table]:
    """Rates and latencies, then CPU."""
    rates = Table(title=f"one api and one worker process, {title}")
    cpu = Table(title="CPU, µs: of an event that is drained; of a callback at the sustained rate", caption=title)
    for table in (rates, cpu):
        table.add_column("stack", no_wrap=True)
    for head in (
        "drain/s",
        "as answered/s",
        "acknowledged/s",
        "sustained/s",
        "idle p50, p99 ms",
        "at half p50, p99 ms",
    ):
        rates.add_column(head, justify="right")
    for head in ("drain: worker", "Redis", "callback: api", "worker", "Redis", "sender", "all"):
        cpu.add_column(head, justify="right")
    for name, each in results.items():
        steps = each.steps
        rates.add_row(
            name,
            f"{each.drain.rate:,.0f}",
            f"{steps.whole.rate:,.0f}",
            f"{steps.whole.acknowledged:,.0f}",
            f"{steps.sustained.rate:,.0f}",
            *(f"{latency.p50_ms:,.1f}, {latency.p99_ms:,.1f}" for latency in (steps.idle, steps.half)),
        )
        cost = steps.sustained.cost
        parts = (
            each.drain.cost.worker,
            each.drain.cost.redis,
            cost.api,
            cost.worker,
            cost.redis,
            cost.sender,
            cost.whole,
        )
        cpu.add_row(name, *(f"{part:,.0f}" for part in parts))
    return [rates, cpu]


def print_alone(console: Console, alone: Alone) -> None:
    fanned_out, backlogs = alone.fan_out, alone.backlogs
    console.print(
        f"Deskbell, fan-out alone: {fanned_out.rate:,.0f} events/s, of CPU {fanned_out.cost.worker:,.0f} µs of the "
        f"worker and {fanned_out.cost.redis:,.0f} of Redis. With {backlogs.queued:,} events queued "
        f"{backlogs.ratio:.2f} times as fast as with {THOUSAND:,}. "
        f"Api, no worker beside it: {alone.api_us:,.0f} µs of CPU; doing nothing {alone.nothing_us:,.0f}."
    )


def judge(always: dict[str, Measured], alone: Alone) -> list[Target]:
    """Hold ours against the targets; those that compare, if the stacks they compare with have run."""
    ours = always[DESKBELL.name]
    targets = [
        at_least("drain, events/s", 1500, ours.drain.rate),
        at_least("fan-out alone, events/s", 5000, alone.fan_out.rate),
        at_most("api CPU for a callback, times doing nothing's", 0.75, alone.api_us / alone.nothing_us),
        at_most("ack to last job done, idle, p50, ms", 4, ours.steps.idle.p50_ms),
        at_least(f"{alone.backlogs.queued:,} events queued, times {THOUSAND:,}", 0.9, alone.backlogs.ratio),
    ]
    for stack, wanted in ((WITH_SIMPLE, 8), (WITH_DRAMATIQ, 3), (WITH_CELERY, 3)):
        if other := always.get(stack.name):
            targets.append(at_least(f"drain, times {stack.name}", wanted, ours.drain.rate / other.drain.rate))
    others = [each.steps for name, each in always.items() if name != DESKBELL.name]
    if others:
        best = max(each.whole.rate for each in others)
        targets.append(at_least("as fast as answered, times the best other", 2, ours.steps.whole.rate / best))
        best = max(each.sustained.rate for each in others)
        targets.append(at_least("sustained, times the best other", 2, ours.steps.sustained.rate / best))
    return targets


def panels(results: dict[str, dict[str, Measured]]) -> dict[str, dict[str, float]]:
    """Rates by stack and panel of the chart."""
    always = results["always"]
    return {
        name: {
            "as fast as they are answered": each.steps.whole.rate,
            "at the highest steady rate": each.steps.sustained.rate,
            "events that waited": each.drain.rate,
        }
        for name, each in always.items()
    }

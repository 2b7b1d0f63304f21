"""`make bench-ack`: acknowledged callbacks per second and how late, beside what one would write without Deskbell.

1. Each endpoint is installed in an environment of its own, under `.bench`; one process each, one server for all.
2. For each `appendfsync`, rounds of wrk alternate between the endpoints, so that other load of the machine affects all
   of them; compare the ratios of the medians. Everything that was acknowledged must be in the queue.
3. Each is then sent half of its own rate, steadily (`bench/pace.py`).
4. Each then loses Redis in two ways (`bench/ack/outages.py`).
"""

import argparse
import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table

from bench.ack.endpoints.endpoint import DESKBELL, ENDPOINTS, NOTHING, WITH_RQ, Endpoint
from bench.ack.load import Speed, paced, serving, wrk
from bench.ack.outages import OUTAGES, Outage, measure_outages
from bench.chart import draw
from bench.environments import FOLDER, install
from bench.pace import percentile
from bench.report import Target, at_least, at_most, print_targets
from bench.server import persistence, server
from deskbell.cli.processes.signals import end_on_signals

FSYNCS = ("everysec", "always")
CHART = Path("docs/bench-ack.svg")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long is measured: rounds of wrk, seconds of each and of the steady load, seconds of an outage."""

    rounds: int
    wrk_seconds: float
    paced_seconds: float
    outage_seconds: float


WHOLE, QUICK = Plan(3, 3, 2, 3), Plan(1, 1, 1, 1)


@dataclass
class Measured:
    """What was measured of one endpoint at one `appendfsync`.

    Attributes:
        rounds: of wrk.
        half_rate: the requests a second it was sent afterwards, half of its median rate.
        half_p99s_ms: within which 99 % of those that were acknowledged were answered, by round.
        half_lost: how many of those were not acknowledged, in all rounds.
    """

    rounds: list[Speed] = field(default_factory=list)
    half_rate: float = 0.0
    half_p99s_ms: list[float] = field(default_factory=list)
    half_lost: int = 0

    @property
    def rate(self) -> float:
        return median(one.per_second for one in self.rounds)

    @property
    def p50_ms(self) -> float:
        return median(one.p50_ms for one in self.rounds)

    @property
    def p99_ms(self) -> float:
        return median(one.p99_ms for one in self.rounds)

    @property
    def half_p99_ms(self) -> float:
        return median(self.half_p99s_ms)


Results = dict[str, Measured]


def main() -> None:
    parser = argparse.ArgumentParser(description="acknowledged callbacks/s and how late, one process each")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that everything runs")
    parser.add_argument("--only", action="append", choices=[endpoint.name for endpoint in ENDPOINTS])
    options = parser.parse_args()
    end_on_signals()
    if not shutil.which("wrk"):
        sys.exit("bench-ack needs wrk (Debian: apt-get install wrk)")
    plan = QUICK if options.quick else WHOLE
    endpoints = install([each for each in ENDPOINTS if not options.only or each.name in options.only])
    load = [os.getloadavg()[0]]
    results = {fsync: measure(fsync, endpoints, plan) for fsync in FSYNCS}
    outages = {
        endpoint.name: measure_outages(endpoint, plan.outage_seconds) for endpoint in endpoints if endpoint.queue
    }
    load.append(os.getloadavg()[0])
    console = Console(width=140)
    for fsync, each in results.items():
        console.print(table(fsync, each, f"{plan.rounds} rounds; load of the machine {load[0]:.1f} to {load[1]:.1f}"))
    console.print(outage_table(outages))
    missing = [each.name for each in ENDPOINTS if each not in endpoints and not options.only]
    if missing:
        console.print(f"not measured, since it cannot be installed on this Python: {', '.join(missing)}")
    (FOLDER / "ack.json").write_text(json.dumps(as_json(results, outages, load), indent=1))
    if {NOTHING, WITH_RQ, DESKBELL} <= set(endpoints):
        print_targets(console, judge(results["always"], outages[DESKBELL.name]))
    if not options.quick and not options.only:
        CHART.write_text(draw(as_panels(results), "acknowledged/s of one process"))
        console.print(f"drawn: {CHART}")


def measure(fsync: str, endpoints: list[Endpoint], plan: Plan) -> Results:
    """Rounds of wrk, then the steady load; all processes wait while one works."""
    results = {endpoint.name: Measured() for endpoint in endpoints}
    with server(**persistence(fsync)) as (url, redis), ExitStack() as stack:
        ports = {endpoint.name: stack.enter_context(serving(endpoint, url)).port for endpoint in endpoints}
        for number in range(plan.rounds):
            for endpoint in endpoints:
                sys.stderr.write(f"appendfsync {fsync}, round {number + 1}: {endpoint.name}\n")
                redis.flushall()
                speed = wrk(endpoint, ports[endpoint.name], plan.wrk_seconds)
                check_kept(endpoint, redis, speed.answered)
                results[endpoint.name].rounds.append(speed)
        for _ in range(plan.rounds):
            for endpoint in endpoints:
                redis.flushall()
                at_half(endpoint, ports[endpoint.name], results[endpoint.name], plan.paced_seconds)
    return results


def check_kept(endpoint: Endpoint, redis: Redis, answered: int) -> None:
    """What was acknowledged must be kept, or the endpoint is not measured."""
    if not endpoint.queue:
        return
    kind: Any = redis.type(endpoint.queue)
    kept = {b"list": redis.llen, b"stream": redis.xlen, b"zset": redis.zcard}[kind](endpoint.queue)
    if kept < answered:
        raise RuntimeError(f"{endpoint.name} acknowledged {answered} and kept {kept}")


def at_half(endpoint: Endpoint, port: int, measured: Measured, seconds: float) -> None:
    """The steady load of half its rate."""
    measured.half_rate = measured.rate / 2
    answers = paced(endpoint, port, measured.half_rate, seconds, first=10**8)
    taken = [answer.seconds for answer in answers if answer.status == 200]  # noqa: PLR2004 - HTTP's
    measured.half_lost += len(answers) - len(taken)
    measured.half_p99s_ms.append(percentile(taken, 99))


def table(fsync: str, results: Results, caption: str) -> Table:
    made = Table(title=f"one process each, appendfsync {fsync}", caption=caption)
    made.add_column("endpoint", no_wrap=True)
    for head in ("acknowledged/s", "x nothing", "x RQ", "p50 ms", "p99 ms", "p99 ms at half", "x nothing's", "refused"):
        made.add_column(head, justify="right")
    nothing, with_rq = results.get(NOTHING.name), results.get(WITH_RQ.name)
    for name, each in results.items():
        made.add_row(
            name,
            f"{each.rate:,.0f}",
            f"{each.rate / nothing.rate:.2f}" if nothing else "",
            f"{each.rate / with_rq.rate:.2f}" if with_rq else "",
            f"{each.p50_ms:.1f}",
            f"{each.p99_ms:.1f}",
            f"{each.half_p99_ms:.1f}",
            f"{each.half_p99_ms / nothing.half_p99_ms:.2f}" if nothing else "",
            str(each.half_lost),
        )
    return made


def outage_table(outages: dict[str, dict[str, Outage]]) -> Table:
    made = Table(title="while Redis is away: acknowledged, and how late")
    made.add_column("endpoint", no_wrap=True)
    for title in OUTAGES.values():
        made.add_column(title)
    for name, each in outages.items():
        made.add_row(name, *(outage.in_words for outage in each.values()))
    return made


def judge(always: Results, outages: dict[str, Outage]) -> list[Target]:
    """Hold ours against the targets."""
    ours, nothing, with_rq = always[DESKBELL.name], always[NOTHING.name], always[WITH_RQ.name]
    return [
        at_least("always, times doing nothing", 1.2, ours.rate / nothing.rate),
        at_least("always, times FastAPI + RQ", 7, ours.rate / with_rq.rate),
        at_most("p99 at half of the rate, times doing nothing's", 2, ours.half_p99_ms / nothing.half_p99_ms),
        *(at_most(f"{OUTAGES[key]}, p99, ms", 50, outage.acknowledged_p99_ms) for key, outage in outages.items()),
    ]


def as_json(results: dict[str, Results], outages: dict[str, dict[str, Outage]], load: list[float]) -> dict[str, object]:
    """Everything that was measured."""
    speeds = {fsync: {name: asdict(one) for name, one in each.items()} for fsync, each in results.items()}
    away = {name: {kind: asdict(one) for kind, one in each.items()} for name, each in outages.items()}
    return {"appendfsync": speeds, "redis_away": away, "load": load}


def as_panels(results: dict[str, Results]) -> dict[str, dict[str, float]]:
    """Rates by endpoint and panel."""
    names = next(iter(results.values()))
    return {name: {f"appendfsync {fsync}": each[name].rate for fsync, each in results.items()} for name in names}


if __name__ == "__main__":
    main()

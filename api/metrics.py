"""The metrics of the api, as Prometheus reads them at `/metrics`.

With several processes each writes its values to files in a shared folder; the process that is asked adds them up. A
gauge has the highest value of the living processes.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from api.errors import Cause
from shared.prometheus import MULTIPROCESS, Once, build_info, processes, shared_families
from shared.redis.history import History
from shared.wire.commands import COMMANDS
from shared.wire.events import Outcome

CONTENT_TYPE = "text/plain; version=0.0.4"
"""The media type of Prometheus' text format."""

CallbackOutcome = Literal[Outcome, "duplicate", "verified", "defect"]
"""What becomes of a callback that is not refused."""

SpoolProblem = Literal["full", "late", "unusable", "broken"]
"""Why the disk keeps no events."""

DrainResult = Literal["sent", "taken_before", "duplicate", "forgotten"]
"""What becomes of an event of the spool."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3)
"""Close to each other where the budget is, 1.5 s by default, and up to the 2 s that Desk waits."""

_BATCH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_OF_ONE_PROCESS = "python_gc_"  # counters of the process that is asked: with several they would jump up and down


class Metrics:
    """The metrics of an api. Labels are names that this project or the integrator chose, never what came in.

    Every label that is known at the start begins with 0: Prometheus sees no increase in a series that begins with 1.
    """

    def __init__(self, handlers: Iterable[str] = ()) -> None:
        self._registry = CollectorRegistry()
        self.handlers = names = list(handlers)
        self.history = History()
        self._nodes = {*names, *COMMANDS}
        commands, outcomes = (*COMMANDS, ""), get_args(CallbackOutcome)
        self.callbacks = self._counter(
            "deskbell_callbacks", "Callbacks answered, by command and outcome.", command=commands, outcome=outcomes
        )
        self._counts = {pair: self.callbacks.labels(*pair) for pair in product(commands, outcomes)}
        self.refused = self._counter("deskbell_refused", "Callbacks refused, by cause.", cause=get_args(Cause))
        self.drift = self._counter(
            "deskbell_drift",
            "API calls that lack a declared input, or bring one that is not declared, by node.",
            node=names,
            kind=("missing", "undeclared"),
        )
        self.stragglers = self._counter(
            "deskbell_stragglers",
            "Calls left behind: they went on in a thread, or ignored their cancellation; by handler.",
            handler=names,
        )
        self.at_once = self._counter(
            "deskbell_fallbacks_at_once",
            "Calls not begun, because too many of the handler were left behind.",
            handler=names,
        )
        self.spooled = self._counter("deskbell_spooled", "Events kept on the disk.")
        self.spool_failures = self._counter(
            "deskbell_spool_failures", "Times the disk kept no events, by cause.", cause=get_args(SpoolProblem)
        )
        self.drained = self._counter(
            "deskbell_drained",
            "Events that left the spool: sent; or Redis had taken them before, or another event of their delivery; or "
            "their user was forgotten meanwhile.",
            result=get_args(DrainResult),
        )
        self.log_lines_lost = self._counter("deskbell_log_lines_lost", "Log lines that could not be written.")
        self.stuck = self._gauge(
            "deskbell_handler_stuck",
            "1 while a process does not begin the handler, because too many of its calls were left behind.",
            handler=names,
        )
        self.loop_blocks = self._counter(
            "deskbell_loop_blocks",
            "Times the event loop was blocked for a quarter of a second or longer, by the handler that blocked it.",
            handler=("", *names),
        )
        self.loop_blocked_seconds = self._counter(
            "deskbell_loop_blocked_seconds", "For how long it was blocked then.", handler=("", *names)
        )
        self.loop_blocked = self._gauge(
            "deskbell_loop_blocked",
            "1 while a handler blocks the event loop of a process, and for a minute afterwards.",
            handler=("", *names),
        )
        self.redis_away = self._gauge(
            "deskbell_redis_away", "1 while Redis takes no events of a process; with shards, how many take none."
        )
        self.spool_failing = self._gauge(
            "deskbell_spool_failing",
            "1 while the disk could keep no events of a process; with shards, for how many it could not.",
        )
        self.clock_skew = Gauge(
            "deskbell_clock_skew_seconds",
            "How far back the RequestTime of the last stale callback was.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self.seconds = Histogram(
            "deskbell_answer_seconds", "From the first byte to the answer.", buckets=_BUCKETS, registry=self._registry
        )
        self.batch_seconds = Histogram(
            "deskbell_batch_seconds",
            "How long Redis took for a batch of events, or the attempt failed.",
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )

    def record_answer(self, node: str, command: str, outcome: CallbackOutcome, seconds: float) -> None:
        """Count a callback that was answered: of the node of a handler, or else of a documented command."""
        self._counts[command if command in COMMANDS else "", outcome].inc()
        node = node or command
        self.seconds.observe(seconds)
        self.history.record("callback", node if node in self._nodes else "", outcome, seconds * 1000)

    def render(self, *others: Metric) -> bytes:
        """The metrics of all processes in Prometheus' text format, with the integrator's own, each of them once."""
        return generate_latest(Once([*others, *self._families()]))

    def living(self, gauge: Gauge) -> dict[tuple[str, ...], float]:
        """The values of a gauge over all living processes, by the values of its labels."""
        (ours,) = gauge.collect()
        try:
            families = [*(shared_families() if MULTIPROCESS in os.environ else ()), ours]
        except (OSError, ValueError):  # the files that the processes share are gone or damaged
            families = [ours]
        first = next(family for family in families if family.name == ours.name)
        return {tuple(sample.labels.values()): sample.value for sample in first.samples}

    def _families(self) -> Iterator[Metric]:
        """All families; of those with the same name the preferred one comes first."""
        yield build_info()
        if MULTIPROCESS in os.environ:
            yield from shared_families()
            yield from processes(Path(os.environ[MULTIPROCESS]))
        yield from self._registry.collect()
        for family in REGISTRY.collect():
            if MULTIPROCESS not in os.environ or not family.name.startswith(_OF_ONE_PROCESS):
                yield family

    def _counter(self, name: str, text: str, **labels: Iterable[str]) -> Counter:
        counter = Counter(name, text, list(labels), registry=self._registry)
        _begin(counter, labels)
        return counter

    def _gauge(self, name: str, text: str, **labels: Iterable[str]) -> Gauge:
        gauge = Gauge(name, text, list(labels), registry=self._registry, multiprocess_mode="livemax")
        _begin(gauge, labels)
        return gauge


def _begin(metric: Counter | Gauge, labels: Mapping[str, Iterable[str]]) -> None:
    """Begin a metric with 0 for every combination of labels."""
    for values in product(*labels.values()):
        if values:
            metric.labels(*values)

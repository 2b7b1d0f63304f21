"""What the api counts, for Prometheus at `/metrics`."""

import os
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder in which the processes of one api add their counts up."""

CONTENT_TYPE = "text/plain; version=0.0.4"
"""The media type of Prometheus' text format."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2)


class Metrics:
    """The counters of an api. Labels are names that this project or the integrator chose, never what came in."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.callbacks = Counter(
            "deskbell_callbacks", "Callbacks answered, by outcome.", ["outcome"], registry=self._registry
        )
        self.refused = Counter("deskbell_refused", "Callbacks refused, by cause.", ["cause"], registry=self._registry)
        self.drift = Counter(
            "deskbell_drift",
            "API calls that lack a declared input, or bring one that is not declared, by node.",
            ["node", "kind"],
            registry=self._registry,
        )
        self.stragglers = Counter(
            "deskbell_stragglers",
            "Calls left behind: in a thread, or heedless of their cancellation; by handler.",
            ["handler"],
            registry=self._registry,
        )
        self.at_once = Counter(
            "deskbell_fallbacks_at_once",
            "Calls not begun, because too many of the handler were left behind.",
            ["handler"],
            registry=self._registry,
        )
        self.clock_skew = Gauge(
            "deskbell_clock_skew_seconds",
            "How far back the RequestTime of the last stale callback was.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self.redis_away = Gauge(
            "deskbell_redis_away",
            "1 since Redis took no events, of the process that noted it last.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self.spooled = Counter("deskbell_spooled", "Events kept on the disk.", registry=self._registry)
        self.spool_failures = Counter(
            "deskbell_spool_failures",
            "Times the disk kept no events, by cause.",
            ["cause"],
            registry=self._registry,
        )
        self.drained = Counter(
            "deskbell_drained",
            "Events that left the spool: sent; or Redis had taken them before, or another event of their delivery.",
            ["result"],
            registry=self._registry,
        )
        self.log_lines_lost = Counter(
            "deskbell_log_lines_lost", "Log lines that could not be written.", registry=self._registry
        )
        self.seconds = Histogram(
            "deskbell_answer_seconds", "From the first byte to the answer.", buckets=_BUCKETS, registry=self._registry
        )

    def render(self) -> bytes:
        """The metrics of this process, or of all that share the folder, in Prometheus' text format."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def render_queues(waiting: Mapping[str, int], paused: Iterable[str]) -> bytes:
    """What Redis says of the queues, in the same format.

    Args:
        waiting: how many jobs wait, by queue.
        paused: the queues that a breaker has paused.
    """
    registry = CollectorRegistry()
    jobs = Gauge("deskbell_jobs_waiting", "Jobs that wait, by queue.", ["queue"], registry=registry)
    pauses = Gauge("deskbell_queue_paused", "1 while a breaker has the queue paused.", ["queue"], registry=registry)
    for queue, count in waiting.items():
        jobs.labels(queue).set(count)
        pauses.labels(queue).set(0)
    for queue in paused:
        pauses.labels(queue).set(1)
    return generate_latest(registry)


def render_spool(events: int, size: int, oldest_seconds: float) -> bytes:
    """What waits on this host's disk, in the same format.

    Args:
        events: how many.
        size: their bytes.
        oldest_seconds: for how long the first has waited.
    """
    registry = CollectorRegistry()
    for name, text, value in (
        ("deskbell_spool_events", "Events on this host's disk that wait for Redis.", events),
        ("deskbell_spool_bytes", "Their bytes.", size),
        ("deskbell_spool_oldest_seconds", "For how long the first of them has waited.", oldest_seconds),
    ):
        Gauge(name, text, registry=registry).set(value)
    return generate_latest(registry)

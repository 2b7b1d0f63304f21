"""Metrics of all hosts, as Redis knows them: what waits in their spools, and how far their clocks are apart."""

from collections.abc import Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from shared.redis.api_hosts import ApiHost
from shared.redis.workers import WorkerRecord

_KEPT_SECONDS = 7 * 24 * 3600  # after which a host that ended with an empty spool is not told of


def host_families(hosts: Sequence[ApiHost], workers: Sequence[WorkerRecord]) -> list[Metric]:
    """Metrics of the hosts of apis, living and gone, and of the clocks of those and of workers."""
    clocks = GaugeMetricFamily(
        "deskbell_host_clock_seconds", "How far the clock of a host is ahead of Redis', at most.", labels=["role"]
    )
    ahead = {
        "api": [host.ahead for host in hosts if not host.is_gone],
        "worker": [record.ahead for record in workers],
    }
    for role, seconds in ahead.items():
        clocks.add_metric([role], max(seconds, key=abs, default=0.0))
    count, events, size, oldest = (
        GaugeMetricFamily(f"deskbell_hosts{name}", text, labels=["state"])
        for name, text in (
            ("", "Hosts and spools of apis: those that are there, and those gone within a week, or with events."),
            ("_spool_events", "Events in their spools, as each told last."),
            ("_spool_bytes", "The bytes of those."),
            ("_spool_oldest_seconds", "For how long the first of those has waited."),
        )
    )
    for state in ("living", "gone"):
        here = [host for host in hosts if host.is_gone == (state == "gone")]
        here = [host for host in here if host.events or state == "living" or host.age < _KEPT_SECONDS]
        count.add_metric([state], len(here))
        events.add_metric([state], sum(host.events for host in here))
        size.add_metric([state], sum(host.size for host in here))
        oldest.add_metric([state], max((host.oldest_seconds for host in here if host.events), default=0.0))
    return [count, events, size, oldest, clocks]

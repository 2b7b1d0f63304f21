"""Metrics of this host's disk, read when Prometheus asks."""

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from api.acceptance.backlog import BacklogReader, age


async def collect_spool(backlog: BacklogReader) -> list[Metric]:
    """What waits on this host's disk; nothing while the disk does not answer."""
    found = await backlog.read()
    if found is None:
        return []
    return spool_families(found.events, found.size, age(found.oldest) or 0.0, len(found.damaged))


def spool_families(events: int, size: int, oldest_seconds: float, damaged: int) -> list[Metric]:
    """Metrics of what waits on this host's disk."""
    return [
        GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("deskbell_spool_events", "Events on this host's disk that wait for Redis.", events),
            ("deskbell_spool_bytes", "Their bytes.", size),
            ("deskbell_spool_oldest_seconds", "For how long the first of them has waited.", oldest_seconds),
            ("deskbell_spool_damaged_files", "Files there that were set aside, or cannot be read.", damaged),
        )
    ]

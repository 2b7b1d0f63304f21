"""Metrics of this host's disk, read when Prometheus asks."""

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from api.acceptance.backlog import BacklogReader, age
from api.acceptance.spool import Survey


async def collect_spool(backlog: BacklogReader, most_bytes: int) -> list[Metric]:
    """What waits on this host's disk, and its room; nothing while the disk does not answer."""
    found = await backlog.read()
    if found is None:
        return []
    return spool_families(found, most_bytes)


def spool_families(found: Survey, most_bytes: int) -> list[Metric]:
    """Metrics of what waits on this host's disk, and of its room."""
    return [
        GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("deskbell_spool_events", "Events on this host's disk that wait for Redis.", found.events),
            ("deskbell_spool_bytes", "Their bytes.", found.size),
            ("deskbell_spool_oldest_seconds", "For how long the first of them has waited.", age(found.oldest) or 0.0),
            ("deskbell_spool_damaged_files", "Files there that were set aside, or cannot be read.", len(found.damaged)),
            ("deskbell_spool_max_bytes", "DESKBELL_SPOOL_MAX_MB, in bytes.", most_bytes),
            ("deskbell_spool_disk_free_bytes", "What that disk has left.", found.free),
        )
    ]

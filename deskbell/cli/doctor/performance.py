"""How soon Redis answers, what made it late, and how much memory it has left."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Any

from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, said, unknown, warning

_CALLS = 20
_ENTRIES = 128
_RECENT_SECONDS = 3600
_SLOWLOG, _MONITOR = "slowlog-log-slower-than", "latency-monitor-threshold"


def answer_time(checked: Checked) -> Iterator[Finding]:
    """How soon Redis answers this host."""
    took = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        checked.connection.ping()
        took.append((time.perf_counter() - began) * 1000)
    allowed = checked.settings.redis_timeout_ms
    text = f"Redis answers this host in {median(took):.2f} ms (at most {max(took):.1f} ms in {_CALLS} calls)"
    if max(took) > allowed:
        yield warning(f"{text}; the api waits DESKBELL_REDIS_TIMEOUT_MS, {allowed}, and then keeps events on its disk")
    else:
        yield said(text)


def slow_commands(checked: Checked) -> Iterator[Finding]:
    """Which commands have taken long on Redis within the last hour."""
    threshold = _configured(checked, _SLOWLOG)
    if threshold is not None and threshold < 0:
        yield unknown(f"Redis notes no slow commands: {_SLOWLOG} is {threshold}", f"set {_SLOWLOG} to 10000")
        return
    entries: Any = checked.connection.slowlog_get(_ENTRIES)
    recent = [each for each in entries if time.time() - each["start_time"] < _RECENT_SECONDS]
    if not recent:
        yield said("no command was slow on Redis within the last hour, as SLOWLOG has it")
        return
    names = Counter(_name(each) for each in recent)
    slowest = max(recent, key=lambda each: each["duration"])
    ms = slowest["duration"] / 1000
    at = datetime.fromtimestamp(slowest["start_time"], UTC)
    counted = ", ".join(f"{count} of {name}" for name, count in names.most_common(3))
    text = (
        f"{len(recent)} commands were slow on Redis within the last hour ({counted}), the slowest "
        f"{_name(slowest)} with {ms:.0f} ms at {at:%H:%M:%S} UTC"
    )
    found = warning if ms > checked.settings.redis_timeout_ms else said
    yield found(text)


def late_moments(checked: Checked) -> Iterator[Finding]:
    """What Redis itself saw that made it late."""
    threshold = _configured(checked, _MONITOR)
    if threshold == 0:
        yield said(f"Redis does not watch its own latency: {_MONITOR} is 0")
        return
    events: Any = checked.connection.execute_command("LATENCY LATEST")
    for name, at, ms, longest, *_ in events:
        text = f"{name.decode()} made Redis late by {ms} ms at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        found = warning if ms > checked.settings.redis_timeout_ms and time.time() - at < _RECENT_SECONDS else said
        yield found(f"{text}, {longest} ms at most")
    if not events:
        yield said(f"Redis saw nothing that made it late by {threshold if threshold is not None else '?'} ms")


def memory(checked: Checked) -> Iterator[Finding]:
    """How much memory Redis has left."""
    info: Any = checked.connection.info("memory")
    used, limit, machine = (int(info.get(name, 0)) for name in ("used_memory", "maxmemory", "total_system_memory"))
    if limit:
        yield said(f"Redis has used {_mb(used)} of its {_mb(limit)} MB of memory, {used / limit:.0%}")
    else:
        of_machine = f"; the machine has {_mb(machine)} MB" if machine else ""
        yield warning(
            f"Redis has used {_mb(used)} MB and has no maxmemory{of_machine}: when that is used up, the kernel ends it",
            "set maxmemory: a Redis that is full takes no events, and the apis keep them on their disks",
        )
    if machine and limit > machine:
        yield warning(f"maxmemory is {_mb(limit)} MB, and the machine has {_mb(machine)}", "set it lower")


def _configured(checked: Checked, name: str) -> int | None:
    """A number in Redis' configuration; None where it forbids CONFIG."""
    found: Any = checked.connection.config_get(name)
    return int(found[name]) if name in found else None


def _name(entry: Any) -> str:
    return str(entry["command"].partition(b" ")[0].decode(errors="replace"))


def _mb(size: int) -> str:
    return f"{size / 1_000_000:,.0f}"

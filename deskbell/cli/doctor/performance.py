"""How soon Redis answers, what made it late, and how much memory it has left."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Any

from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, said, unknown, warning
from shared.sentences import sentence

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
    text = sentence(
        "Redis answers this host in {half:.2f} ms (at most {most:.1f} ms in {calls} calls)",
        half=median(took),
        most=max(took),
        calls=_CALLS,
    )
    if max(took) > allowed:
        yield warning(
            sentence(
                "{answers}; the api waits DESKBELL_REDIS_TIMEOUT_MS, {ms}, and then keeps events on its disk",
                answers=text,
                ms=allowed,
            )
        )
    else:
        yield said(text)


def slow_commands(checked: Checked) -> Iterator[Finding]:
    """Which commands have taken long on Redis within the last hour."""
    threshold = _configured(checked, _SLOWLOG)
    if threshold is not None and threshold < 0:
        yield unknown(
            sentence("Redis notes no slow commands: {setting} is {value}", setting=_SLOWLOG, value=threshold),
            sentence("set {setting} to 10000", setting=_SLOWLOG),
        )
        return
    entries: Any = checked.connection.slowlog_get(_ENTRIES)
    recent = [each for each in entries if time.time() - each["start_time"] < _RECENT_SECONDS]
    if not recent:
        yield said(sentence("no command was slow on Redis within the last hour, as SLOWLOG has it"))
        return
    names = Counter(_name(each) for each in recent)
    slowest = max(recent, key=lambda each: each["duration"])
    ms = slowest["duration"] / 1000
    text = sentence(
        "{count} commands were slow on Redis within the last hour ({commands}), the slowest {command} with {ms:.0f} ms "
        "at {at:%H:%M:%S} UTC",
        count=len(recent),
        commands=[sentence("{count} of {name}", count=count, name=name) for name, count in names.most_common(3)],
        command=_name(slowest),
        ms=ms,
        at=datetime.fromtimestamp(slowest["start_time"], UTC),
    )
    found = warning if ms > checked.settings.redis_timeout_ms else said
    yield found(text)


def late_moments(checked: Checked) -> Iterator[Finding]:
    """What Redis itself saw that made it late."""
    threshold = _configured(checked, _MONITOR)
    if threshold == 0:
        yield said(sentence("Redis does not watch its own latency: {setting} is 0", setting=_MONITOR))
        return
    events: Any = checked.connection.execute_command("LATENCY LATEST")
    for name, at, ms, longest, *_ in events:
        text = sentence(
            "{what} made Redis late by {ms} ms at {at:%Y-%m-%d %H:%M:%S} UTC, {most} ms at most",
            what=name.decode(),
            ms=ms,
            at=datetime.fromtimestamp(at, UTC),
            most=longest,
        )
        found = warning if ms > checked.settings.redis_timeout_ms and time.time() - at < _RECENT_SECONDS else said
        yield found(text)
    if not events:
        ms = threshold if threshold is not None else "?"
        yield said(sentence("Redis saw nothing that made it late by {ms} ms", ms=ms))


def memory(checked: Checked) -> Iterator[Finding]:
    """How much memory Redis has left."""
    info: Any = checked.connection.info("memory")
    used, limit, machine = (int(info.get(name, 0)) for name in ("used_memory", "maxmemory", "total_system_memory"))
    if limit:
        yield said(
            sentence(
                "Redis has used {used} of its {limit} MB of memory, {part:.0%}",
                used=_mb(used),
                limit=_mb(limit),
                part=used / limit,
            )
        )
    else:
        of_machine = sentence("; the machine has {size} MB", size=_mb(machine)) if machine else ""
        yield warning(
            sentence(
                "Redis has used {used} MB and has no maxmemory{machine}: when that is used up, the kernel ends it",
                used=_mb(used),
                machine=of_machine,
            ),
            sentence("set maxmemory: a Redis that is full takes no events, and the apis keep them on their disks"),
        )
    if machine and limit > machine:
        yield warning(
            sentence("maxmemory is {limit} MB, and the machine has {size}", limit=_mb(limit), size=_mb(machine)),
            sentence("set it lower"),
        )


def _configured(checked: Checked, name: str) -> int | None:
    """A number in Redis' configuration; None where it forbids CONFIG."""
    found: Any = checked.connection.config_get(name)
    return int(found[name]) if name in found else None


def _name(entry: Any) -> str:
    return str(entry["command"].partition(b" ")[0].decode(errors="replace"))


def _mb(size: int) -> str:
    return f"{size / 1_000_000:,.0f}"

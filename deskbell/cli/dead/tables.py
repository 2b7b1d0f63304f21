"""Dead letters as a person reads them.

What comes from Redis is printed without control characters: a terminal would obey them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from shared.redaction import loggable_fields, terminal_text
from shared.wire.json_values import moment
from workers.dead_letters.details import Details
from workers.dead_letters.registry import Group, Meta

_MANY = 10  # RQ keeps as many results of a job
_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)


def groups_json(groups: Iterable[Group], *, with_ids: bool) -> str:
    """Groups of dead letters as JSON, dates as ISO texts in UTC."""
    left_out = () if with_ids else ("ids",)
    return _json([{name: value for name, value in asdict(each).items() if name not in left_out} for each in groups])


def groups_table(groups: Sequence[Group], now: datetime) -> Table:
    """Groups of dead letters."""
    table = Table("dead", "job", "queue", "cause", "first", "last", "awaited by", "the latest", box=None)
    table.columns[0].justify = table.columns[6].justify = "right"
    for each in groups:
        times = (_ago(each.first, now), _ago(each.last, now))
        awaited_by = f"{each.awaited_by:,}" if each.awaited_by else ""
        cells = (each.job, each.queue, each.cause, *times, awaited_by, each.latest)
        table.add_row(f"{each.count:,}", *(Text(terminal_text(cell), overflow="fold") for cell in cells))
    return table


def details_text(details: Details, now: datetime, *, values: bool) -> str:
    """All about one dead letter."""
    lines = [f"{name:<9} {terminal_text(value)}" for name, value in _facts(details, now) if value]
    lines += _frames(details)
    if values:
        lines += ["event", _pretty(details.event), "failure", *map(terminal_text, details.text.splitlines())]
    lines += ["", f"To put it back: deskbell dead replay {terminal_text(details.dead_letter.id)}"]
    return "\n".join(lines)


def _facts(details: Details, now: datetime) -> Iterable[tuple[str, str]]:
    dead_letter, event = details.dead_letter, details.event or {}
    yield "id", dead_letter.id
    yield "job", dead_letter.job
    yield "queue", dead_letter.queue
    yield "cause", dead_letter.cause
    failed_at = dead_letter.failed_at
    yield "failed", f"{_date(failed_at)}, {_ago(failed_at, now)} ago" if failed_at else ""
    if details.failures > 1:
        yield "failures", f"{details.failures}{' or more' if details.failures == _MANY else ''}, replays between them"
    yield "attempts", _attempts(dead_letter.meta)
    yield "queued", _date(details.enqueued_at)
    yield "worker", details.worker
    jobs = "job" if details.awaiting == 1 else "jobs"
    yield "awaited", f"by {details.awaiting:,} {jobs}" if details.awaiting else ""
    yield from loggable_fields(command=event.get("command"), node=event.get("node")).items()
    yield "received", _date(moment(event.get("received_at")))


def _frames(details: Details) -> Iterable[str]:
    """The stack frames that the exception passed through; the one that the cause names is marked."""
    if details.frames:
        yield "where"
    for frame in details.frames:
        mark = ">" if details.dead_letter.cause.endswith(f" at {frame}") else " "
        yield f"  {mark} {terminal_text(f'{frame.file}:{frame.line} in {frame.function}')}"


def _pretty(event: dict[str, Any] | None) -> str:
    return json.dumps(event, indent=1) if event else "  cannot be read"


def _attempts(meta: Meta) -> str:
    """How many were made, and of how many; where that was not recorded, the attempt in which the worker died."""
    made, allowed, at = (meta.get(name) for name in ("made", "attempts", "attempt"))
    if isinstance(made, int) and isinstance(allowed, int):
        return f"{made} of {allowed}"
    return str(at) if isinstance(at, int) and at else ""


def _json(items: list[dict[str, Any]]) -> str:
    return json.dumps(items, indent=1, default=datetime.isoformat)


def _date(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else ""


def _ago(when: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    if when is None:
        return ""
    span = max(now - when, timedelta())
    unit, length = next(((unit, length) for unit, length in _UNITS if span >= length), _UNITS[-1])
    return f"{span // length} {unit}"

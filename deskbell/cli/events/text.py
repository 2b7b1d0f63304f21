"""Callbacks on record, and all of one event, as a person or a program reads them.

What comes from Redis is shown without control characters: a terminal would obey them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from deskbell.calls.jobs import FANNED_OUT, JobNow
from shared.records.query import Attempt, Call, Found, Story, Values
from shared.redaction import terminal_text

_MOST_SHOWN = 64  # characters of a value, in a list
_SPOOLED_SECONDS = 3  # from the receipt to the server, beyond which an event has waited


def call_lines(call: Call) -> Iterator[str]:
    """A callback in a list: a line for what it was, one for what came, one for what went out."""
    facts = [_time(call.received), call.node or call.command, call.outcome]
    facts += [f"code {call.code}"] * bool(call.code)
    facts += [f"user {call.user}"] * bool(call.user) + [f"session {call.session}"] * bool(call.session)
    yield terminal_text("  ".join([*facts, call.id]))
    for title, values in (("asked", call.asked), ("told", call.answered)):
        if values:
            yield terminal_text(f"    {title:<5}  " + "  ".join(_pairs(values, _MOST_SHOWN)))
    if call.info:
        yield terminal_text(f"    info   {call.info}")


def found_sentence(found: Found, limit: int, hours: int) -> str:
    """How far a search has looked, and how to go on."""
    count = f"{len(found.calls):,} shown" if found.calls else "No callback on record fits"
    if found.back_to is None:
        return f"{count}: looked at {found.looked_at:,} records, all that there are; they are kept for {hours} hours."
    why = f"--limit {limit}" if len(found.calls) == limit else "no search looks at more"
    at = datetime.fromtimestamp(found.back_to, UTC).isoformat(timespec="milliseconds")
    return f"{count}: looked at {found.looked_at:,} records ({why}). For older ones: --until {at}"


def story_lines(event_id: str, story: Story, jobs: Iterable[JobNow], hours: int) -> Iterator[str]:
    """All about one event."""
    yield f"event     {event_id}"
    if story.call:
        yield from map(terminal_text, _call_facts(story.call))
    else:
        yield f"record    none of the callback: it was never kept, or more than {hours} hours ago, or made room"
    if story.repeated:
        times = ", ".join(map(_time, story.repeated[:10]))
        yield f"seen      {len(story.repeated) + 1} times; again at {times}"
    now = {each.job: each for each in jobs}
    for name in [*now, *dict.fromkeys(each.job for each in story.attempts if each.job not in now)]:
        yield terminal_text(_job_line(name, now.get(name)))
        for each in story.attempts:
            if each.job == name:
                cause = f": {each.cause}" if each.cause else ""
                facts = f"attempt {each.number or '-'}  {each.outcome}  {each.ms:,.0f} ms{cause}"
                yield terminal_text(f"          {_time(each.ended_ms / 1000)}  {facts}")
    if not story.attempts and not now:
        yield "jobs      none is known: the event had none, or they have ended and their records are gone"


def call_data(call: Call) -> dict[str, Any]:
    """A callback for a program; a masked value is its length, a number."""
    return {"received": _iso(call.received)} | asdict(call) | {"at": _iso(call.at)}


def found_data(found: Found) -> dict[str, Any]:
    """A list for a program."""
    back_to = None if found.back_to is None else _iso(found.back_to)
    return {"calls": [call_data(call) for call in found.calls], "looked_at": found.looked_at, "back_to": back_to}


def story_data(event_id: str, story: Story, jobs: Iterable[JobNow]) -> dict[str, Any]:
    """All about one event, for a program."""
    return {
        "id": event_id,
        "call": call_data(story.call) if story.call else None,
        "repeated": [_iso(at) for at in story.repeated],
        "attempts": [_attempt_data(each) for each in story.attempts],
        "jobs": [asdict(each) | {"next_try": None if each.next_try is None else _iso(each.next_try)} for each in jobs],
    }


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    found = asdict(attempt)
    for name in ("at", "event_id", "ended_ms"):
        del found[name]
    return found | {"ended": _iso(attempt.ended_ms / 1000)}


def _call_facts(call: Call) -> Iterator[str]:
    yield f"received  {_time(call.received)}"
    if call.at - call.received > _SPOOLED_SECONDS:
        yield f"on Redis  {_time(call.at)}: until then it waited on the api's disk, or the clocks differ"
    yield f"command   {call.command}" + (f", node {call.node}" if call.node else "")
    yield f"app       {call.app}"
    if call.user:
        yield f"user      {call.user}"
    if call.session:
        yield f"session   {call.session}"
    yield f"outcome   {call.outcome}, code {call.code}" + (f", {call.info}" if call.info else "")
    yield f"handler   {call.handler_ms:g} ms"
    for title, values in (("asked", call.asked), ("told", call.answered)):
        for pair in _pairs(values, None):
            yield f"{title:<9} {pair}"


def _job_line(name: str, job: JobNow | None) -> str:
    if job is None:
        return f"job       {name}: ended, and gone from RQ"
    what = "its own job" if name == FANNED_OUT else name
    retry = f", next try {_time(job.next_try)}" if job.next_try is not None else ""
    return f"job       {what} on {job.queue}: {job.status}{retry}"


def _pairs(values: Values, most: int | None) -> Iterator[str]:
    for name, value in values.items():
        shown = f"({value} characters)" if isinstance(value, int) else value
        yield f"{name}={shown if most is None or len(shown) <= most else shown[:most] + '…'}"


def _time(seconds: float) -> str:
    """By this machine's time zone; with the date where it is not today's."""
    moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    is_today = moment.date() == datetime.now(UTC).astimezone().date()
    text = moment.isoformat(" ", "milliseconds")
    return text[11:23] if is_today else text[:23]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

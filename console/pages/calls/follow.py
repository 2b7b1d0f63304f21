"""New callbacks, as rows of the page's table.

A stream reads what was recorded behind its place. Where it falls behind, or after ten minutes, it ends; the browser
asks again, from the last place that it has heard of, and who asks is checked again.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from console.rendering import TEMPLATES, clock
from console.streams import AGAIN_MS, event
from console.visit import Visit
from deskbell.calls.filters import Filters
from deskbell.calls.masked import masked
from shared.records.query import Call, after

START = "0/0-0"
"""The place before all records."""

MOST_ROWS = 50
"""Of one event; it says how many more there were."""

_PAUSE_SECONDS = 0.5
_BEAT_SECONDS = 5.0
_LONGEST_SECONDS = 600.0
_MOST_PAGES = 20  # that are read at once: who is further behind begins anew


async def follow(visit: Visit, filters: Filters, place: str) -> AsyncIterator[str]:
    """Events: `calls` (rows, the newest first), `beat` (the stream goes on), `again` (the page must begin anew)."""
    yield f"retry: {AGAIN_MS}\n\n"
    began, beat = time.monotonic(), 0.0
    while not visit.state.streams.is_ending() and time.monotonic() - began < _LONGEST_SECONDS:
        try:
            calls, there, is_behind = await run_in_threadpool(_read, visit, filters, place)
            if await run_in_threadpool(visit.has_ended):
                return
        except (RedisError, OSError):
            return  # the browser asks again, and is told
        if is_behind:
            yield event("again", ())
            return
        if calls:
            yield event("calls", _rows(visit, calls), there)
        if calls or time.monotonic() - beat >= _BEAT_SECONDS:
            beat = time.monotonic()
            yield event("beat", [clock(time.time())], there)
        place = there
        await asyncio.sleep(_PAUSE_SECONDS)


def _read(visit: Visit, filters: Filters, place: str) -> tuple[list[Call], str, bool]:
    """The callbacks behind a place that fit, the place behind them, and whether there are too many to go on."""
    fitting: list[Call] = []
    for _ in range(_MOST_PAGES):
        calls, there = after(visit.state.redis, place)
        fitting += filter(filters.fits, calls)
        if there == place:
            return fitting, place, False
        place = there
    return fitting, place, True


def _rows(visit: Visit, calls: list[Call]) -> list[str]:
    shown = [masked(each) for each in reversed(calls[-MOST_ROWS:])]
    rows = TEMPLATES.get_template("calls/rows.html").module
    html = rows.rows(visit, shown)  # type: ignore[attr-defined]  # a macro
    more = len(calls) - len(shown)
    html += rows.left_out(visit.text("calls.left_out", count=more)) if more else ""  # type: ignore[attr-defined]
    return str(html).splitlines()

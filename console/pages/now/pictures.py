"""The last hours as pictures."""

import time
from dataclasses import dataclass

from markupsafe import Markup

from console.charts import Line, counts, times
from console.history import STEP_SECONDS, Step
from console.visit import Visit
from deskbell.queues.now import Now
from shared.redis.history import quantile_ms

_NOT_GOOD = ("refused", "misfit", "no_handler", "out_of_time", "failed")
_FAILED = ("dead", "discarded", "retry")
_OVER_ALL_MS = 100_000.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its title."""

    title: str
    chart: Markup


def pictures(visit: Visit, now: Now, steps: list[Step]) -> list[Picture]:
    """Callbacks, how soon they were answered, how long jobs waited, and attempts."""
    unfinished = sum(not step.is_over for step in steps)
    jobs = [step.of(step.jobs) for step in steps]
    named = {name: visit.text(f"now.chart.{name}") for name in ("callbacks", "answered", "waits", "attempts")}

    def line(key: str, values: list[float | None]) -> Line:
        moments = [step.began + STEP_SECONDS / 2 for step in steps]
        return Line(visit.text(f"now.line.{key}"), list(zip(moments, values, strict=True)), unfinished)

    def in_a_minute(outcomes: tuple[str, ...], kind: str) -> list[float | None]:
        tallies = [step.callbacks for step in steps] if kind == "callback" else jobs
        lengths = [step.minutes for step in steps]
        return [
            round(sum(tally.outcomes[each] for each in outcomes or tally.outcomes) / minutes, 1)
            for tally, minutes in zip(tallies, lengths, strict=True)
        ]

    answered = [step.callbacks.ms for step in steps]
    waited = [each.waited_ms for each in jobs]
    oldest = max((each.state.oldest_seconds or 0.0 for each in now.queues), default=0.0)
    waits = [line("wait", [_quantile(each, 0.99) for each in waited])]
    if oldest:
        at = min(time.time(), steps[-1].began + STEP_SECONDS)
        waits.append(Line(visit.text("now.line.oldest"), [(at, oldest * 1000)], 0))
    charts = {
        "callbacks": counts(
            named["callbacks"],
            [line("callbacks", in_a_minute((), "callback")), line("not_good", in_a_minute(_NOT_GOOD, "callback"))],
        ),
        "answered": times(
            named["answered"],
            [
                line("half", [_quantile(each, 0.5) for each in answered]),
                line("most", [_quantile(each, 0.99) for each in answered]),
            ],
            visit.settings.budget_ms,
        ),
        "waits": times(named["waits"], waits),
        "attempts": counts(
            named["attempts"],
            [line("done", in_a_minute(("done",), "job")), line("failed", in_a_minute(_FAILED, "job"))],
        ),
    }
    return [Picture(named[name], chart) for name, chart in charts.items()]


def _quantile(buckets: list[int], share: float) -> float | None:
    value = quantile_ms(buckets, share)
    return value if value is None else min(value, _OVER_ALL_MS)

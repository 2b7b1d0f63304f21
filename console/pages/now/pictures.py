"""The last hours as pictures."""

import time
from dataclasses import dataclass

from markupsafe import Markup

from console.charts import Line, counts, times
from console.history import STEP_SECONDS, Step
from console.visit import Visit
from deskbell.queues.now import Now
from shared.redis.history import Tally, quantile_ms

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
    jobs = [step.all_jobs for step in steps]
    keys = ("now.chart.callbacks", "now.chart.answered", "now.chart.waits", "now.chart.attempts")
    named = {key.rpartition(".")[2]: visit.text(key) for key in keys}

    def in_a_minute(outcomes: tuple[str, ...], kind: str) -> list[float | None]:
        tallies = [step.callbacks for step in steps] if kind == "callback" else jobs
        lengths = [step.minutes for step in steps]
        return [
            round(sum(tally.outcomes[each] for each in outcomes or tally.outcomes) / minutes, 1)
            for tally, minutes in zip(tallies, lengths, strict=True)
        ]

    answered = [step.callbacks.ms for step in steps]
    oldest = max((each.state.oldest_seconds or 0.0 for each in now.queues), default=0.0)
    charts = {
        "callbacks": counts(
            named["callbacks"],
            [
                _line(visit, "now.line.callbacks", steps, in_a_minute((), "callback")),
                _line(visit, "now.line.not_good", steps, in_a_minute(_NOT_GOOD, "callback")),
            ],
        ),
        "answered": times(
            named["answered"],
            [
                _line(visit, "console.half", steps, [_quantile(each, 0.5) for each in answered]),
                _line(visit, "console.most", steps, [_quantile(each, 0.99) for each in answered]),
            ],
            visit.settings.budget_ms,
            language=visit.language,
        ),
        "waits": waits(visit, named["waits"], steps, jobs, oldest),
        "attempts": counts(
            named["attempts"],
            [
                _line(visit, "now.done", steps, in_a_minute(("done",), "job")),
                _line(visit, "now.failed", steps, in_a_minute(_FAILED, "job")),
            ],
        ),
    }
    return [Picture(named[name], chart) for name, chart in charts.items()]


def waits(visit: Visit, title: str, steps: list[Step], jobs: list[Tally], oldest_seconds: float | None) -> Markup:
    """How long jobs waited, and how long the oldest does, the only thing that grows where nothing moves."""
    lines = [_line(visit, "now.line.wait", steps, [_quantile(each.waited_ms, 0.99) for each in jobs])]
    if oldest_seconds:
        at = min(time.time(), steps[-1].began + STEP_SECONDS)
        lines.append(Line(visit.text("now.line.oldest"), [(at, oldest_seconds * 1000)], 0))
    return times(title, lines, language=visit.language)


def _line(visit: Visit, key: str, steps: list[Step], values: list[float | None]) -> Line:
    moments = [step.began + STEP_SECONDS / 2 for step in steps]
    return Line(visit.text(key), list(zip(moments, values, strict=True)), sum(not step.is_over for step in steps))


def _quantile(buckets: list[int], share: float) -> float | None:
    value = quantile_ms(buckets, share)
    return value if value is None else min(value, _OVER_ALL_MS)

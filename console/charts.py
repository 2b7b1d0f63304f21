"""Pictures of the last hours, drawn here as SVG: lines over time, on a plain or a logarithmic axis."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from console.rendering import ms
from console.texts.table import DEFAULT_LANGUAGE

_WIDTH, _HEIGHT = 640, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 8, 12, 22
_HALF_LABEL = 24
_HOUR = 3600
_LOWEST_MS, _LEAST_POWERS, _MOST_POWERS = 1.0, 5, 9

Point = tuple[float, float | None]
"""Unix seconds, and a value; None where there is none."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart.

    Attributes:
        label: what it shows, in the reader's language.
        points: the oldest first.
        unfinished: how many of the last points are of a time that is not over: they are drawn dashed.
    """

    label: str
    points: Sequence[Point]
    unfinished: int = 1


def counts(title: str, lines: Sequence[Line]) -> Markup:
    """A chart of counts, from 0 to a round number above the highest."""
    highest = max((value for line in lines for _, value in line.points if value is not None), default=0.0)
    top = _round_up(highest)
    ticks = [(0.0, "0"), (top / 2, f"{top / 2:,g}"), (top, f"{top:,g}")]
    return _chart(title, lines, lambda value: value / top, ticks)


def times(
    title: str, lines: Sequence[Line], limit_ms: float | None = None, *, language: str = DEFAULT_LANGUAGE
) -> Markup:
    """A chart of milliseconds, each power of ten as far from the next; with a line at a limit."""
    highest = max((value for line in lines for _, value in line.points if value is not None), default=_LOWEST_MS)
    powers = min(max(math.ceil(math.log10(max(highest, _LOWEST_MS))), _LEAST_POWERS), _MOST_POWERS)

    def share(value: float) -> float:
        return math.log10(max(value, _LOWEST_MS)) / powers

    ticks = [(10.0**power, ms(10.0**power, language)) for power in range(powers + 1)]
    return _chart(title, lines, share, ticks, limit_ms)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a moment and a value are, in units of the picture."""

    first: float
    last: float
    share: Callable[[float], float]

    def x(self, moment: float) -> float:
        """From the left."""
        return _LEFT + (moment - self.first) / max(1.0, self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """From the top."""
        return _HEIGHT - _BOTTOM - min(1.0, self.share(value)) * (_HEIGHT - _TOP - _BOTTOM)


def _chart(
    title: str,
    lines: Sequence[Line],
    share: Callable[[float], float],
    ticks: Sequence[tuple[float, str]],
    limit: float | None = None,
) -> Markup:
    moments = [moment for line in lines for moment, _ in line.points] or [0.0]
    scale = _Scale(min(moments), max(moments), share)
    parts = [*_value_axis(scale, ticks), *_time_axis(scale)]
    if limit is not None:
        parts.append(_stroke("limit", _LEFT, scale.y(limit), _WIDTH - _RIGHT, scale.y(limit)))
    for number, line in enumerate(lines, 1):
        parts += _paths(scale, line, f"line-{number}")
    drawn = Markup("").join(parts)
    picture = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    key = Markup("").join(
        Markup('<li class="key-{}">{}</li>').format(number, line.label) for number, line in enumerate(lines, 1)
    )
    summary = f"{title}: {'; '.join(f'{line.label} {_last(line)}' for line in lines)}"
    return picture.format(_WIDTH, _HEIGHT, summary, drawn) + Markup('<ul class="key">{}</ul>').format(key)


def _value_axis(scale: _Scale, ticks: Sequence[tuple[float, str]]) -> Iterator[Markup]:
    for value, label in ticks:
        y = scale.y(value)
        yield _stroke("grid", _LEFT, y, _WIDTH - _RIGHT, y)
        yield Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 6, y + 4, label)


def _time_axis(scale: _Scale) -> Iterator[Markup]:
    """Full hours, or quarters of one where there are few."""
    span = scale.last - scale.first
    step = _HOUR if span > 2 * _HOUR else _HOUR / 4
    moment = scale.first - scale.first % step + step
    while moment <= scale.last:
        label, x = f"{datetime.fromtimestamp(moment, UTC):%H:%M}", min(scale.x(moment), _WIDTH - _RIGHT - 14)
        if x > _LEFT + _HALF_LABEL:
            yield Markup('<text class="time" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                x, _HEIGHT - 6, label
            )
        moment += step


def _paths(scale: _Scale, line: Line, css_class: str) -> Iterator[Markup]:
    """A line, broken where there is no value; what is not over is dashed. A value alone is a dot."""
    over = len(line.points) - line.unfinished
    runs: list[list[tuple[float, float]]] = [[]]
    for number, (moment, value) in enumerate(line.points):
        if value is None:
            runs.append([])
            continue
        place = scale.x(moment), scale.y(value)
        if number == over and runs[-1]:
            yield _dashed(css_class, (runs[-1][-1], place))
            runs.append([])
        runs[-1].append(place)
    for run in runs:
        if len(run) == 1:
            yield Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="1.5"/>').format(css_class, *run[0])
        elif run:
            yield Markup('<path class="{}" d="{}"/>').format(css_class, _way(run))


def _dashed(css_class: str, run: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<path class="{} unfinished" stroke-dasharray="3 3" d="{}"/>').format(css_class, _way(run))


def _way(run: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run)


def _stroke(css_class: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    form = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return form.format(css_class, x1, y1, x2, y2)


def _last(line: Line) -> str:
    value = next((value for _, value in reversed(line.points) if value is not None), None)
    return "-" if value is None else f"{value:,g}"


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 10, 20, 40 and so on."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 4, 10) if step * power >= value)

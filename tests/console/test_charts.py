"""Pictures of the last hours."""

import re

import pytest

from console.charts import Line, counts, times

HOUR = 3600.0


def test_a_line_is_broken_where_there_is_no_value() -> None:
    """A time without answers has no p99; a value alone is a dot."""
    points = [(HOUR * number, value) for number, value in enumerate([10.0, 20.0, None, 5.0, None, 7.0, 8.0])]

    drawn = times("Answers", [Line("p99", points, unfinished=1)], limit_ms=1500)

    assert len(re.findall('<path class="line-1" ', drawn)) == 1
    assert len(re.findall('<path class="line-1 unfinished" ', drawn)) == 1
    assert len(re.findall('<circle class="line-1" ', drawn)) == 3
    assert 'class="limit"' in drawn


@pytest.mark.parametrize(("highest", "top"), [(0.0, "1"), (1.5, "2"), (3.0, "4"), (41.0, "100"), (99_999.0, "100,000")])
def test_the_axis_ends_at_a_round_number(highest: float, top: str) -> None:
    """Above the highest value."""
    drawn = counts("Callbacks", [Line("all", [(0.0, highest), (HOUR, 0.0)])])

    assert f">{top}</text>" in drawn


def test_what_a_chart_shows_is_said_in_words() -> None:
    """For those who do not see it; a label is text."""
    drawn = counts("Calls & <b>", [Line("<all>", [(0.0, 3.0), (HOUR, 12.5)])])

    assert 'role="img" aria-label="Calls &amp; &lt;b&gt;: &lt;all&gt; 12.5"' in drawn
    assert '<li class="key-1">&lt;all&gt;</li>' in drawn


def test_a_chart_of_nothing_is_one() -> None:
    """At the first start nothing has been counted."""
    assert "<svg" in times("Answers", [Line("p99", [])])

"""The chart of `make bench-jobs`: bars of jobs/s, a panel for each workload."""

from pathlib import Path

from jinja2 import Environment

_TEMPLATE = Path(__file__).with_name("jobs.svg.j2")


def draw(rates: dict[str, dict[str, float]]) -> str:
    """An SVG.

    Args:
        rates: jobs/s by contender and workload, each by its title.
    """
    titles = next(iter(rates.values()))
    panels = {title: {name: each[title] for name, each in rates.items()} for title in titles}
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(_TEMPLATE.read_text())
        .render(panels=panels)
    )

"""The charts of `make bench-ack` and `make bench-path`: bar charts, a panel for each workload."""

from pathlib import Path

from jinja2 import Environment

_TEMPLATE = Path(__file__).with_name("bars.svg.j2")


def draw(rates: dict[str, dict[str, float]], unit: str) -> str:
    """An SVG.

    Args:
        rates: by contender and workload, each by its title.
        unit: what they are.
    """
    titles = next(iter(rates.values()))
    panels = {title: {name: each[title] for name, each in rates.items()} for title in titles}
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(_TEMPLATE.read_text())
        .render(panels=panels, unit=unit)
    )

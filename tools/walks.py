"""Flow charts as SVG from text: draws each text of docs/walks beside itself.

The first line is the title. Below it a line without indentation is a box: what the data is by now. A line indented by
two spaces, `FILE: what it does`, stands on the arrow to the next box. A line indented by four spaces, `-> END`, leaves
that arrow to a box at the side.

    python -m tools.walks
"""

import textwrap
from html import escape
from itertools import chain
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "walks"
_WIDTH, _MARGIN, _LINE = 1000, 20, 17
_ARROW_X = 350
_BOX_WIDTH, _BOX_CHARACTERS = 420, 52
_SIDE_WIDTH, _SIDE_CHARACTERS = 290, 38
_LABEL_X, _LABEL_CHARACTERS = 372, 84
_BOX, _SIDE = 'fill="#e8f0fb" stroke="#2f5488"', 'fill="#fdf1e7" stroke="#a85b1f"'
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" \
font-size="13">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
"""


def draw(walk: str) -> str:
    """The SVG of a walk."""
    title, *lines = walk.splitlines()
    drawing = _Drawing(title)
    for line in filter(None, lines):
        if line.startswith("    -> "):
            drawing.side(line.removeprefix("    -> "))
        elif line.startswith("  "):
            drawing.label(*line.strip().split(": ", maxsplit=1))
        else:
            drawing.box(line)
    return drawing.whole()


class _Drawing:
    """Grows downwards; `y` is where the next part begins."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts = [_text(_MARGIN, 36, title, 'font-size="19" font-weight="bold"')]
        self._y = 56
        self._arrow_from = 0
        self._label_y = 0
        self._side_y = 0

    def box(self, text: str) -> None:
        """A box in the column, and the arrow to it from the one before."""
        y = max(self._y, self._side_y)
        if self._arrow_from:
            y += 14
            self._parts.append(_arrow(_ARROW_X, self._arrow_from, _ARROW_X, y))
        self._y = self._arrow_from = self._boxed(_ARROW_X - _BOX_WIDTH // 2, y, _BOX_WIDTH, text, _BOX_CHARACTERS, _BOX)
        self._y += 10

    def label(self, file: str, what: str) -> None:
        """What the arrow's file does, right of the arrow."""
        self._y = max(self._y, self._side_y) + 6
        self._label_y = self._y
        self._parts.append(_text(_LABEL_X, self._y + 13, file, 'font-family="monospace" font-weight="bold"'))
        rows = textwrap.wrap(what, _LABEL_CHARACTERS)
        self._parts += [_text(_LABEL_X, self._y + 13 + (at + 1) * _LINE, row) for at, row in enumerate(rows)]
        self._y += 6 + (len(rows) + 1) * _LINE

    def side(self, text: str) -> None:
        """An end at the left of the arrow, beside the last label."""
        y = max(self._label_y, self._side_y)
        self._side_y = self._boxed(_MARGIN, y, _SIDE_WIDTH, text, _SIDE_CHARACTERS, _SIDE) + 6
        middle = (y + self._side_y - 6) // 2
        self._parts.append(_arrow(_ARROW_X, middle, _MARGIN + _SIDE_WIDTH, middle))

    def whole(self) -> str:
        """The SVG."""
        height = max(self._y, self._side_y) + 10
        head = _HEAD.format(width=_WIDTH, height=height, title=escape(self._title))
        return head + "\n".join(chain(self._parts, ["</svg>\n"]))

    def _boxed(self, x: int, y: int, width: int, text: str, characters: int, style: str) -> int:
        rows = textwrap.wrap(text, characters)
        height = 13 + len(rows) * _LINE
        self._parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" {style}/>')
        middle = 'text-anchor="middle"'
        self._parts += [_text(x + width // 2, y + 6 + (at + 1) * _LINE - 4, row, middle) for at, row in enumerate(rows)]
        return y + height


def _text(x: int, y: int, text: str, style: str = "") -> str:
    return f'<text x="{x}" y="{y}"{" " * bool(style)}{style}>{escape(text)}</text>'


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path d="M{x1} {y1}L{x2} {y2}" stroke="#444" stroke-width="1.5" fill="none" marker-end="url(#tip)"/>'


def main() -> None:
    """Draw all."""
    for path in FOLDER.glob("*.txt"):
        path.with_suffix(".svg").write_text(draw(path.read_text()))


if __name__ == "__main__":
    main()

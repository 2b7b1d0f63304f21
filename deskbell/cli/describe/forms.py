"""Sections as text for a terminal, as Markdown, and as one HTML file that loads nothing and runs nothing."""

import sys
from collections.abc import Iterable, Iterator
from html import escape

from rich.console import Console
from rich.markup import escape as plain
from rich.table import Table

from deskbell.describe.document import Section

_PIPE_WIDTH = 400
_STYLE = """\
body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
h2{margin-top:2em;border-bottom:1px solid #ccc}
dt{float:left;clear:left;width:12em;color:#555}
dd{margin:0 0 .3em 12em}
table{border-collapse:collapse;margin:1em 0}
th,td{border:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}
code{font-family:monospace;overflow-wrap:anywhere}"""


def print_text(title: str, intro: str, sections: Iterable[Section]) -> None:
    """Print them to the terminal, or into a file or pipe, where no cell is folded."""
    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(f"[bold]{plain(title)}[/]\n{plain(intro)}\n")
    for section in sections:
        console.print(f"[bold]{plain(section.title)}[/]  {plain(section.about)}".rstrip())
        for name, value in section.facts:
            console.print(f"  {name}: {plain(value)}")
        for columns, rows in section.tables:
            table = Table(*columns, box=None, padding=(0, 2))
            for row in rows:
                table.add_row(*map(plain, row))
            console.print(table)
        for remark in section.remarks:
            console.print(f"  {plain(remark)}")
        console.print()


def markdown(title: str, intro: str, sections: Iterable[Section]) -> str:
    """The sections as Markdown."""
    return "\n".join([f"# {title}\n", f"{intro}\n", *(line for each in sections for line in _markdown(each))])


def _markdown(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    if section.about:
        yield f"{section.about}\n"
    if section.facts:
        yield "\n".join(f"- {name}: `{value}`" for name, value in section.facts) + "\n"
    for columns, rows in section.tables:
        yield "\n".join(map(_row, [columns, ["---"] * len(columns), *rows])) + "\n"
    for remark in section.remarks:
        yield f"{remark}\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def html(title: str, intro: str, sections: Iterable[Section]) -> str:
    """The sections as one HTML file."""
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(intro)}</p>"]
    parts += [line for each in sections for line in _html(each)]
    head = f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _html(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    if section.about:
        yield f"<p>{escape(section.about)}</p>"
    if section.facts:
        facts = (f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in section.facts)
        yield f"<dl>{''.join(facts)}</dl>"
    for columns, rows in section.tables:
        body = "\n".join(_cells("td", row) for row in rows)
        yield f"<table>\n<thead>{_cells('th', columns)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    for remark in section.remarks:
        yield f"<p>{escape(remark)}</p>"


def _cells(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

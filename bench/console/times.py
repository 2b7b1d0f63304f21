"""`make bench-console`: how long each page of the operator's console takes with a million events on record and
100,000 dead letters, over HTTP, and the bytes of a first visit.

Each page is asked for by a new process of the console: once, seven times at once, and then so often as `--requests`
says, when what the process reads beside its pages has been read.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from rich.console import Console
from rich.table import Table

from bench.console.app import QUEUES
from bench.console.content import write_content
from bench.console.pages import Page, all_pages
from bench.console.serving import Asked, Consoles, assets, worker
from bench.report import Target, at_most, print_targets
from bench.server import server

_MOST_MS = 300
_FIRST_VISITS = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """The requests of a page, in their order: the first of the process, some behind it, and the rest."""

    page: Page
    first: Asked
    next: list[Asked]
    rest: list[Asked]

    @property
    def most_ms(self) -> float:
        """The slowest."""
        return max(each.ms for each in (self.first, *self.next, *self.rest))

    @property
    def cells(self) -> list[str]:
        """What the table says of it."""
        times, next_ones, last = [each.ms for each in self.rest], [each.ms for each in self.next], self.rest[-1]
        spent = mean(each.cpu_ms for each in self.rest)
        ms = [f"{each:.0f}" for each in (self.first.ms, max(next_ones), median(times), max(times), spent)]
        return [self.page.name, *ms, f"{len(last.answer.content) / 1000:.1f}", f"{last.sent / 1000:.1f}"]


def main() -> None:
    """Measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=20)
    asked = parser.parse_args()
    with server() as (url, redis):
        event = write_content(redis, url, asked.records, asked.dead)
        consoles = Consoles(url)
        with worker(url, *QUEUES[:2]), consoles.open() as browser, all_pages(browser, event) as pages:
            measured = [measure(consoles, page, asked.requests) for page in pages]
            sent = first_visit(consoles)
        title = f"{asked.records:,} events on record, {asked.dead:,} dead letters, load {os.getloadavg()[0]:.1f}"
        show(title, measured, sent)


def measure(consoles: Consoles, page: Page, requests: int) -> Measured:
    """Ask for a page; it tells what it found, since all of them take minutes."""
    with consoles.open(signed_in=page.signed_in) as browser:
        first, *following = [browser.get(page.address) for _ in range(1 + _FIRST_VISITS)]
        if page.is_counted:
            browser.when_counted(page.address)
        found = Measured(page, first, following, [browser.get(page.address) for _ in range(requests)])
    sys.stderr.write(f"{' | '.join(found.cells)} | load {os.getloadavg()[0]:.1f}\n")
    return found


def first_visit(consoles: Consoles) -> dict[str, int]:
    """Bytes of the first page, and of the files that a browser takes with it and keeps."""
    with consoles.open() as browser:
        page = browser.get("/")
        sent = {"the page": page.sent}
        for address in assets(page.answer.text):
            asked = browser.get(address)
            assert "immutable" in asked.answer.headers["Cache-Control"], address
            sent[Path(address.partition("?")[0]).name] = asked.sent
    return sent


def show(title: str, measured: list[Measured], sent: dict[str, int]) -> None:
    """Print it."""
    console = Console()
    columns = ("page", "first of a process", "next seven, most", "median", "most", "CPU", "kB", "kB sent")
    table = Table(*columns, title=f"{title}; milliseconds")
    for each in measured:
        table.add_row(*each.cells)
    console.print(table)
    visit = Table("a first visit", "bytes sent")
    for name, count in sent.items():
        visit.add_row(name, f"{count:,}")
    console.print(visit)
    targets: list[Target] = [at_most(f"ms, {each.page.name}", _MOST_MS, each.most_ms) for each in measured]
    print_targets(console, [*targets, at_most("bytes of a first visit", 50_000, sum(sent.values()))])


if __name__ == "__main__":
    main()

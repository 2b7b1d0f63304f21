"""Every page of the console: its address, found as an operator finds it, by the links of other pages."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from bench.console.content import PAUSED
from bench.console.serving import Browser

_RATE = "1/s"  # at which a group takes longer than the benchmark, and the letter that is looked at stays


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        address: its path and query.
        is_counted: whether dead letters are counted for it, beside it.
        signed_in: whether one has to be.
    """

    name: str
    address: str
    is_counted: bool = False
    signed_in: bool = True


@contextmanager
def all_pages(browser: Browser, event: str) -> Iterator[list[Page]]:
    """All of them; while they are looked at, a group of dead letters is replayed.

    Args:
        browser: of a console that does the replay.
        event: the id of an event on record, of a session with several.
    """
    group = _link("/dead/group", browser.when_counted("/dead").text)
    of_group = browser.when_counted(group).text
    letter, plan = _link("/dead/letter", of_group), _link("/dead/plan", of_group)
    of_plan = browser.when_counted(plan).text
    run = browser.post("/dead/runs", _fields("/dead/runs", of_plan) | {"rate": _RATE})
    session = _link("/session", browser.get(_address("/call", id=event)).answer.text)
    try:
        yield [
            Page("Now", "/"),
            Page("Calls: the newest", "/calls"),
            Page("Calls: of a user", _address("/calls", user="user517")),
            Page("Calls: of a session", _address("/calls", session="s-1000")),
            Page("Calls: of a node", _address("/calls", node="parcel")),
            Page("Calls: outcome of one in a thousand", _address("/calls", outcome="fallback")),
            Page("Calls: a node that there is not", _address("/calls", node="never")),
            Page("Call", _address("/call", id=event)),
            Page("Session", session),
            Page("Dead letters", "/dead", is_counted=True),
            Page("Dead letters: a cause", group, is_counted=True),
            Page("Dead letters: one", letter),
            Page("Dead letters: dry run of a cause", plan, is_counted=True),
            Page("Dead letters: a replay under way", run),
            Page("Queues", "/queues"),
            Page("Queue", _address("/queues", name=PAUSED)),
            Page("Nodes", "/nodes"),
            Page("Node", _address("/nodes", name="order_status")),
            Page("Audit", "/audit"),
            Page("Sign in", "/sign-in", signed_in=False),
        ]
    finally:
        browser.post("/dead/stop", {"id": run.partition("id=")[2]})


def _address(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


def _link(path: str, page: str) -> str:
    """The first link to a path with a query."""
    found = re.search(rf'href="({re.escape(path)}\?[^"]+)"', page)
    assert found, f"no link to {path}"
    return html.unescape(found[1])


def _fields(path: str, page: str) -> dict[str, str]:
    """What the form that is posted to a path sends."""
    found = re.search(rf'action="{re.escape(path)}".*?</form>', page, re.DOTALL)
    assert found, f"no form of {path}"
    pairs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', found[0])
    return {html.unescape(name): html.unescape(value) for name, value in pairs}

"""What is shown: pages of a quiet evening and of a bad night, and what is done before they look like that."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tools.screenshots.shop import PASSWORD

Prepare = Callable[[Page], object]


@dataclass(frozen=True, slots=True)
class Shot:
    """A page.

    Attributes:
        name: of its picture's file.
        path: its address.
        by: who has signed in; "" nobody.
        prepare: what is done on it before.
        is_kept: whether the documents show it.
    """

    name: str
    path: str
    by: str = "ana"
    prepare: Prepare = lambda _: None
    is_kept: bool = False


def sign_in(tab: Page, name: str) -> None:
    """Sign in with the form."""
    tab.goto("/sign-in")
    tab.locator("[name=name]").fill(name)
    tab.locator("[name=password]").fill(PASSWORD)
    tab.locator("main .first").click()
    expect(tab.locator("#menu")).to_be_visible()


def quiet() -> Iterator[Shot]:
    """While nothing is wrong."""
    yield Shot("now-quiet", "/", "li")
    yield Shot("sign-in", "/sign-in", "", is_kept=True)
    yield Shot("menu", "/nodes", prepare=lambda tab: tab.locator("#menu summary").click())
    yield Shot("dead-none", "/dead")


def bad_night(tab: Page) -> Iterator[Shot]:
    """While the CRM refuses what it is sent; `tab` is an operator's, in which is found and done what is shown."""
    pause(tab, "partners")
    yield Shot("now", "/", is_kept=True)
    yield Shot("now-viewer", "/", "li")
    yield from calls(tab)
    yield Shot("queues", "/queues", is_kept=True)
    yield Shot("queue", "/queues?name=crm", is_kept=True)
    yield Shot("nodes", "/nodes", is_kept=True)
    yield Shot("node", "/nodes?name=order_status", is_kept=True)
    yield Shot("node-unknown", "/nodes?name=refund_status")
    yield from dead(tab)
    yield Shot("audit", "/audit", is_kept=True)
    yield Shot("not-found", "/queues?name=none")
    yield Shot("forbidden", "/", "li", post_as_viewer)


def pause(tab: Page, queue: str) -> None:
    """Pause a queue, as an operator does."""
    tab.goto("/queues")
    tab.get_by_role("row", name=queue).get_by_role("button").click()
    tab.locator("#confirm .first").click()
    expect(tab.locator(".notice")).to_be_visible()


def calls(tab: Page) -> Iterator[Shot]:
    """Calls, one that a job failed for, and its session."""
    yield Shot("calls", "/calls", is_kept=True)
    yield Shot("calls-filter", "/calls?node=order_status&outcome=refused")
    yield Shot("calls-wrong", "/calls?since=yesterday")
    tab.goto("/dead")
    expect(tab.locator("#groups tbody tr").first).to_be_visible()
    event = event_of_a_letter(tab, "order_status")
    yield Shot("call", f"/call?id={event}", is_kept=True)
    yield Shot("call-admin", f"/call?id={event}", "wang")
    yield Shot("call-revealed", f"/call?id={event}", "wang", reveal)
    tab.goto(f"/call?id={event}")
    yield Shot("session", tab.locator("a[href*='/session?']").first.get_attribute("href") or "", is_kept=True)


def event_of_a_letter(tab: Page, node: str) -> str:
    """The event of a dead letter of the first cause, of a node."""
    tab.locator("#groups th a").first.click()
    letters = [link.get_attribute("href") or "" for link in tab.locator("#group tbody th a").all()]
    for letter in letters:
        event = letter.partition("id=")[2][:32]
        tab.goto(f"/call?id={event}")
        if tab.locator("#values").get_by_text(node, exact=True).count():
            return event
    raise LookupError(f"expected a dead letter of {node}")


def reveal(tab: Page) -> None:
    """Reveal the personal values of the call that is shown."""
    tab.locator("#reveal").click()
    expect(tab.locator("#values [role=status]")).to_be_visible()


def dead(tab: Page) -> Iterator[Shot]:
    """Dead letters, a group, a letter, the dry run of a replay, a run that is under way."""
    tab.goto("/dead")
    yield Shot("dead", "/dead", is_kept=True)
    yield Shot("dead-filter", "/dead?job=crm&since=1h")
    group = tab.locator("#groups th a").first.get_attribute("href") or ""
    yield Shot("group", group, is_kept=True)
    yield Shot("letter", tab.locator("#groups a.mono").first.get_attribute("href") or "", "wang", is_kept=True)
    tab.goto(group)
    for action in ("replay", "discard"):
        yield Shot(f"plan-{action}", tab.locator(f"#{action}-group").get_attribute("href") or "")
    tab.locator("#replay-group").click()
    tab.locator("#rate").select_option("1/s")
    tab.locator("#start").click()
    yield Shot("confirm", tab.url, prepare=ask, is_kept=True)
    tab.locator("#confirm .first").click()
    tab.wait_for_url(re.compile("/dead/run"))
    yield Shot("run", tab.url, is_kept=True)
    tab.locator("#stop").click()
    expect(tab.locator("#again")).to_be_visible()
    yield Shot("run-ended", tab.url)


def ask(tab: Page) -> None:
    """Press the button of a dry run, and answer nothing yet."""
    tab.locator("#start").click()
    expect(tab.locator("#confirm")).to_be_visible()


def post_as_viewer(tab: Page) -> None:
    """Send an operator's form without being one."""
    tab.evaluate(
        """() => {
            const form = document.createElement("form");
            Object.assign(form, { method: "post", action: "/queues/pause" });
            document.body.append(form);
            form.submit();
        }"""
    )
    expect(tab.locator("[role=alert]")).to_be_visible()

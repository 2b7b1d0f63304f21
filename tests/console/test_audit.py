"""The page of the audit log."""

import html
import re

from redis import Redis

from tests.console.conftest import ConsoleFactory
from workers.audit import AuditLog

HOSTILE = "<script>alert(1)</script>\u202e\x1b" * 20


def write(redis: Redis, count: int) -> None:
    """Write entries, with a page's worth of them by others."""
    log = AuditLog(redis)
    for number in range(count):
        log.note("pause" if number % 2 else "resume", f"queue{number}", "ana" if number % 3 else "li", "done")


def test_the_newest_come_first_and_older_ones_by_pages(open_console: ConsoleFactory, redis: Redis) -> None:
    """What is shown, and among how many, it says."""
    write(redis, 130)
    browser = open_console()

    first = browser.get("/audit")
    older = browser.get(html.unescape(re.findall(r'id="older" href="([^"]*)"', first.text)[0]))

    assert re.findall(r"<bdi>queue(\d+)<", first.text) == [str(number) for number in range(129, 29, -1)]
    assert re.findall(r"<bdi>queue(\d+)<", older.text) == [str(number) for number in range(29, -1, -1)]
    assert "100 of 130 that fit, among 130 entries since" in first.text
    assert 'id="newest"' in older.text


def test_a_command_that_runs_in_a_terminal_is_not_taken_for_one_that_failed(
    open_console: ConsoleFactory, redis: Redis
) -> None:
    """It notes its end alone; that it was killed is not known."""
    AuditLog(redis).begin("forget", "--user 1a2de1d820816842", "ana")

    page = open_console().get("/audit").text

    assert ">no end noted<" in page
    assert "Where no end is noted, a command in a terminal is still under way, or was killed." in page


def test_a_filter_by_who_what_and_which(open_console: ConsoleFactory, redis: Redis) -> None:
    """A part of the name and of what was meant; the whole action."""
    write(redis, 30)

    page = open_console().get("/audit?by=an&action=pause&which=queue2").text

    assert re.findall(r"<bdi>queue(\d+)<", page) == ["29", "25", "23"]
    assert "3 of 3 that fit, among 30 entries" in page


def test_hostile_values_are_text_and_addresses_are_bounded(open_console: ConsoleFactory, redis: Redis) -> None:
    """Whoever signs in names himself; a time that is none is one sentence."""
    AuditLog(redis).note(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    browser = open_console()

    page, filtered = browser.get("/audit"), browser.get("/audit", params={"by": HOSTILE * 20, "action": HOSTILE})
    wrong = [browser.get(f"/audit?before={text}") for text in ("nan", "x", "1e999", "-inf")]

    for each in (page, filtered, *wrong):
        assert "<script>alert" not in each.text
        assert "\x1b" not in each.text
        assert len(each.text) < 60_000
    assert [each.status_code for each in wrong] == [400, 400, 200, 200]
    assert "before: expected Unix seconds" in wrong[0].text

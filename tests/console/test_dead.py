"""Dead letters by cause, one letter, and what is done to them in the background."""

import html
import re
from typing import Any

import pytest
from redis import Redis

from shared.redis.queues import RUNS_KEY
from tests.conftest import SettingsFactory
from tests.console.browsing import Browser, browsing
from tests.console.conftest import ConsoleFactory
from tests.console.dead_pages import counted, ended, fields, figures, link, meta, queued
from tests.waiting import until
from tests.workers.failed_jobs import write_dead_letters
from workers.audit import AuditLog

HOSTILE = "<script>alert(1)</script>\u202e\x1b'\" onload=x"


def test_they_are_grouped_by_cause_with_what_the_numbers_cover(open_console: ConsoleFactory, redis: Redis) -> None:
    """The largest group first, as `deskbell dead list` has it, and nothing of what a customer wrote."""
    ids = write_dead_letters(redis, 30)

    page = counted(open_console(), "/dead").text

    assert page.index("OSError") < page.index("Discard at acme/jobs.py:9 in record")
    assert "all 30 dead letters, of every age; at this moment there are 30. 2 of 2 groups" in page
    assert f"/dead/letter?id={ids[29]}" in page
    assert page.count('<svg class="chart spark"') == 1  # of the other it is not known when they failed
    assert "user517" not in page


def test_a_filter_lets_some_through_and_their_action_means_these(open_console: ConsoleFactory, redis: Redis) -> None:
    """By job type, a part of the cause, and time."""
    write_dead_letters(redis, 30)
    write_dead_letters(redis, 3, queue="erp", name="erp-push")
    browser = open_console()

    by_job = counted(browser, "/dead?job=erp.push&cause=OSE&since=1h")
    none = browser.get("/dead?job=erp")
    plan = counted(browser, link(by_job, "replay-all"))

    assert "All 2 that the filter lets through" in by_job.text
    assert "The filter lets none through." in none.text
    assert figures(plan)["would be replayed"] == "2"
    assert "cause &#39;OSE&#39; --since" in plan.text


def test_a_dry_run_says_how_many_and_how_many_not_and_does_nothing(open_console: ConsoleFactory, redis: Redis) -> None:
    """Of those that are meant: a job that is gone, one that runs again, one that only RQ itself may put back."""
    ids = write_dead_letters(redis, 30)
    redis.delete(f"rq:job:{ids[1]}")
    redis.hset(f"rq:job:{ids[2]}", "status", "started")
    redis.hset(f"rq:job:{ids[4]}", "rate_limit_key", "k")
    browser = open_console()

    plan = counted(browser, "/dead/plan?action=replay&job=crm.contact")

    assert figures(plan) == {
        "would be replayed": "27",
        "not: the job is not there any more": "1",
        "not: queued or running already": "1",
        "not: under a rate limit of RQ&#39;s own": "1",
        "jobs behind": "0",
    }
    assert (queued(redis), redis.zcard("rq:failed:crm"), AuditLog(redis).latest(9)) == (0, 30, [])


@pytest.mark.parametrize(("action", "left"), [("replay", 20), ("discard", 0)])
def test_a_group_is_done_in_the_background_and_recorded(
    sign_in: ConsoleFactory, redis: Redis, action: str, left: int
) -> None:
    """Exactly the group: a cause that begins alike is another one."""
    ids = write_dead_letters(redis, 30)
    meta(redis, ids[0], cause="OSError at acme/jobs.py:9 in record")
    browser = sign_in("operator")

    group = counted(
        browser,
        html.unescape(re.findall(r'href="(/dead/group[^"]*)"><bdi>OSError<', counted(browser, "/dead").text)[0]),
    )
    plan = counted(browser, link(group, f"{action}-group"))
    run = ended(browser, browser.post("/dead/runs", data=fields(plan, "start")))

    entry = AuditLog(redis).latest(1)[0]
    done = "replayed" if action == "replay" else "discarded"
    assert (figures(run)[done], figures(run)["looked at"], figures(run)["of the dry run"]) == ("20", "20", "20")
    assert (entry.by, entry.action, entry.done, entry.end) == ("operator (console)", action, 20, "done")
    assert entry.selection == "--job 'crm.contact' --cause 'OSError', this cause alone, on crm"
    assert (queued(redis), redis.zcard("rq:failed:crm")) == (left, 10)
    until(lambda: "all 10 dead letters" in browser.get("/dead").text)


def test_what_has_failed_again_since_it_was_shown_is_not_touched(open_console: ConsoleFactory, redis: Redis) -> None:
    """So a second operator with an old page replays nothing that the first has replayed."""
    ids = write_dead_letters(redis, 2)
    for each in ids:
        redis.hset(f"rq:job:{each}", "ended_at", "2026-11-24T10:00:00.000000Z")
        meta(redis, each, cause="OSError")
    browser = open_console()
    form = fields(counted(browser, "/dead/plan?action=replay&job=crm.contact"), "start")
    redis.hset(f"rq:job:{ids[0]}", "ended_at", "2026-11-24T10:00:01.000000Z")

    run = ended(browser, browser.post("/dead/runs", data=form))

    assert figures(run)["replayed"] == "1"
    assert redis.lrange("rq:queue:crm", 0, -1) == [ids[1].encode()]


def test_two_operators_who_press_the_same_button_do_it_once(sign_in: ConsoleFactory, redis: Redis) -> None:
    """Also at two consoles: the second is shown what the first does, and may end it."""
    write_dead_letters(redis, 30)
    one, other = sign_in("operator"), sign_in("admin")
    plan = counted(one, "/dead/plan?action=replay&job=crm.contact")
    form = fields(plan, "start") | {"rate": "1/h"}
    same = fields(counted(other, "/dead/plan?action=replay&job=crm.contact"), "start") | {"rate": ""}

    first = one.post("/dead/runs", data=form)
    second = other.post("/dead/runs", data=same)
    path = second.headers["location"]
    until(lambda: queued(redis))
    under_way = other.get(path)
    other.post("/dead/stop", data=fields(under_way, "stop"))
    until(lambda: ">running<" not in one.get(path).text)
    page = one.get(path)

    assert ">1/s, for 30 s<" in plan.text
    assert "You may leave this page: it goes on." in under_way.text
    assert "time left" in figures(under_way)
    assert "it goes on." not in page.text
    assert first.headers["location"] == path
    assert "Somebody does this already: nothing more was begun." in under_way.text
    assert (figures(under_way)["replayed"], figures(under_way)["at most"]) == ("1", "1/h")
    assert "interrupted" in page.text
    assert "ended by admin (console)" in page.text
    assert [(each.done, each.end) for each in AuditLog(redis).latest(9)] == [(1, "interrupted")]
    assert (queued(redis), redis.zcard("rq:failed:crm")) == (1, 29)
    assert redis.keys("deskbell:dead:lock:*") == []
    assert link(page, "again").startswith("/dead/plan?action=replay&job=crm.contact")


def test_a_console_that_dies_leaves_the_rest_and_says_that_it_has_not_finished(
    open_console: ConsoleFactory, redis: Redis
) -> None:
    """Its lock and its sign of life end by themselves; what is left is replayed by another run."""
    write_dead_letters(redis, 3)
    browser = open_console()
    form = fields(counted(browser, "/dead/plan?action=replay&job=crm.contact"), "start") | {"rate": "1/h"}
    path = browser.post("/dead/runs", data=form).headers["location"]
    until(lambda: queued(redis))
    assert 0 < redis.pttl(next(redis.scan_iter("deskbell:dead:lock:*"))) <= 15_000
    # what a run that was killed 15 s ago leaves on Redis
    record = f"{RUNS_KEY}:{path.partition('=')[2]}"
    left: Any = dict(redis.hgetall(record).items())
    browser.post("/dead/stop", data={"id": path.partition("=")[2]})
    until(lambda: ">running<" not in browser.get(path).text)
    redis.delete(record)
    redis.hset(record, mapping=left | {b"alive_until": b"1.0"})

    page, audit = browser.get(path), browser.get("/audit")
    again = fields(counted(browser, link(page, "again")), "start")
    run = ended(browser, browser.post("/dead/runs", data=again | {"rate": ""}))

    assert "Not finished: the console that did it has ended. What is left is still a dead letter." in page.text
    assert figures(page)["replayed"] == "1"
    assert ">not finished<" in audit.text
    assert figures(run)["replayed"] == "2"
    assert (queued(redis), redis.zcard("rq:failed:crm")) == (3, 0)


def test_a_console_that_is_told_to_end_interrupts_what_it_does(make_settings: SettingsFactory, redis: Redis) -> None:
    """Another may go on at once with what is left."""
    write_dead_letters(redis, 3)
    with browsing(make_settings()) as url, Browser(url) as browser:
        form = fields(counted(browser, "/dead/plan?action=replay&job=crm.contact"), "start") | {"rate": "1/h"}
        browser.post("/dead/runs", data=form)
        until(lambda: queued(redis))

    assert [(each.done, each.end) for each in AuditLog(redis).latest(9)] == [(1, "interrupted")]
    assert redis.keys("deskbell:dead:lock:*") == []


def test_one_letter_is_shown_masked_and_revealed_to_an_admin_who_is_recorded(
    sign_in: ConsoleFactory, redis: Redis
) -> None:
    """To see it is an action: a form's, and the audit log has it before the value is shown."""
    (letter,) = write_dead_letters(redis, 1)
    path = f"/dead/letter?id={letter}"
    operator, admin = sign_in("operator"), sign_in("admin")

    masked, shown = operator.get(path), admin.post("/dead/reveal", data=fields(admin.get(path), "reveal"))
    refused = operator.post("/dead/reveal", data={"id": letter})

    assert "user517" not in masked.text
    assert 'id="reveal"' not in masked.text
    assert "user517" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert (refused.status_code, "user517" in refused.text) == (403, False)
    entries = [(each.action, each.by, each.selection, each.end) for each in AuditLog(redis).latest(9)]
    assert entries == [
        ("dead.reveal", "operator (console)", "", "refused"),
        ("reveal", "admin (console)", f"dead letter {letter}", "done"),
    ]


def test_a_letter_leads_into_rq_dashboard(make_settings: SettingsFactory, redis: Redis) -> None:
    """As a job of a call does."""
    (letter,) = write_dead_letters(redis, 1)
    with browsing(make_settings(), "https://rq.example.com/x/") as url, Browser(url) as browser:
        page = browser.get(f"/dead/letter?id={letter}").text

    assert f'href="https://rq.example.com/x/0/view/job/{letter}"' in page


def test_the_audit_log_says_what_was_done_not_what_a_made_up_form_says_was_counted(
    open_console: ConsoleFactory, redis: Redis
) -> None:
    """Of another choice than the dry run's its words are not taken."""
    write_dead_letters(redis, 30)
    browser = open_console()
    form = fields(counted(browser, "/dead/plan?action=discard&job=crm.contact&since=15m"), "start")
    del form["since"]

    ended(browser, browser.post("/dead/runs", data=form))

    assert AuditLog(redis).latest(1)[0].selection == "--job 'crm.contact'"


def test_one_letter_is_replayed(open_console: ConsoleFactory, redis: Redis) -> None:
    """It has no dry run of its own; a second press finds nothing."""
    letter, other = write_dead_letters(redis, 2)
    browser = open_console()
    form = fields(browser.get(f"/dead/letter?id={letter}"), "replay")

    first, second = (ended(browser, browser.post("/dead/runs", data=form)) for _ in range(2))

    assert (figures(first)["replayed"], figures(second)["replayed"]) == ("1", "0")
    assert redis.lrange("rq:queue:crm", 0, -1) == [letter.encode()]
    assert browser.get(f"/dead/letter?id={letter}").status_code == 404
    assert browser.get(f"/dead/letter?id={other}").status_code == 200


def test_hostile_values_are_text_everywhere(open_console: ConsoleFactory, redis: Redis) -> None:
    """In a cause, an id, a queue's name, an event and a failure; and a group of such a name is replayed."""
    (letter,) = write_dead_letters(redis, 1, queue=HOSTILE, name=HOSTILE)
    meta(redis, letter, cause=HOSTILE * 5000, where=[[HOSTILE, 1, HOSTILE]])
    browser = open_console()

    listed = counted(browser, "/dead")
    group_path = html.unescape(re.findall(r'href="(/dead/group[^"]*)"', listed.text)[0])
    pages = [listed, browser.get(group_path), browser.get("/dead/letter", params={"id": letter})]
    plan = counted(browser, link(pages[1], "replay-group"))
    run = ended(browser, browser.post("/dead/runs", data=fields(plan, "start")))
    pages += [plan, run, browser.post("/dead/reveal", data={"id": letter}), browser.get("/audit")]

    for page in pages:
        assert "<script>alert" not in page.text
        seen = re.sub(r'(data-copy|type="hidden" name="id" value|action)="[^"]*"', "", page.text)
        assert "\u202e" not in seen
        assert "\x1b" not in seen
        assert len(page.text) < 100_000
    assert figures(run)["replayed"] == "1"


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/dead?since=yesterday", 400, "since: expected a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date"),
        ("/dead?since=999999d", 400, "since: expected a time"),
        ("/dead?cause=" + "x" * 20_000, 200, "The filter lets none through."),
        ("/dead/plan?action=delete", 400, "action: expected replay or discard, got &#39;delete&#39;"),
        ("/dead/letter?id=" + "x" * 2000, 404, "There is no such page."),
        ("/dead/run?id=../../x", 404, "There is no such page."),
        ("/dead/group?group=x", 200, "there was none left of this cause"),
    ],
)
def test_an_address_that_cannot_be_is_one_sentence(
    open_console: ConsoleFactory, redis: Redis, path: str, status: int, sentence: str
) -> None:
    """And is bounded."""
    write_dead_letters(redis, 1)
    browser = open_console()
    if status == 200:
        counted(browser, path)

    page = browser.get(path)

    assert page.status_code == status
    assert sentence in page.text
    assert len(page.text) < 30_000


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"action": "replay"}, "until: expected the time up to which dead letters are meant, got none"),
        ({"action": "replay", "until": "1h", "rate": "fast"}, "rate: expected a number in a s, min or h"),
        ({"action": "replay", "until": "soon"}, "until: expected a time"),
    ],
)
def test_a_form_that_cannot_be_does_nothing(
    open_console: ConsoleFactory, redis: Redis, form: dict[str, str], sentence: str
) -> None:
    """Only the dry run's own form says which are meant."""
    write_dead_letters(redis, 1)

    answer = open_console().post("/dead/runs", data=form)

    assert answer.status_code == 400
    assert sentence in answer.text
    assert AuditLog(redis).latest(9) == []


def test_a_viewer_looks_and_does_nothing(sign_in: ConsoleFactory, redis: Redis) -> None:
    """Each form is refused by the server, and the refusal is recorded."""
    (letter,) = write_dead_letters(redis, 1)
    viewer = sign_in("viewer")

    page = counted(viewer, "/dead").text
    answers = [
        viewer.post(path, data={"id": letter, "action": "discard"})
        for path in ("/dead/runs", "/dead/stop", "/dead/reveal")
    ]

    assert "OSError" in page or "Discard at" in page
    assert "action=discard" not in page
    assert [each.status_code for each in answers] == [403] * 3
    assert viewer.get("/dead/plan?action=replay").status_code == 403
    assert [each.action for each in AuditLog(redis).latest(9)] == [
        "dead.plan",
        "dead.reveal",
        "dead.stop",
        "dead.runs",
    ]
    assert redis.zcard("rq:failed:crm") == 1

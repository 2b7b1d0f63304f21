"""What a person does on the console, by clicks or by keyboard alone."""

import re

import pytest
from playwright.sync_api import Page, expect
from redis import Redis

from deskbell.testing import api_call
from shared.records.packing import Packing
from shared.redis.pauses import queues_paused_by_hand
from shared.redis.queues import queue
from shared.settings.config import Settings
from shared.wire.events import Reply
from tests.conftest import SettingsFactory
from tests.console.browser.conftest import TabFactory
from tests.console.browser.signed_in import answer, sign_in
from tests.console.browsing import KEY, USERS, browsing
from tests.records import put_on_record, record_of
from tests.workers.failed_jobs import write_dead_letters
from workers.audit import AuditLog

pytestmark = pytest.mark.timeout(300)  # dozens of clicks, on a machine that may be busy


def press(tab: Page, *names: str) -> None:
    """Press keys."""
    for name in names:
        tab.keyboard.press(name)


def run_is_over(tab: Page, how: str = "done") -> None:
    """The page of a run is shown, and then how it ended."""
    tab.wait_for_url(re.compile("/dead/run"))
    expect(tab.locator("#run [role=status]")).to_contain_text(how)


def test_a_queue_is_paused_and_resumed_and_the_menu_used_by_keyboard_alone(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory
) -> None:
    """From signing in to signing out; what the dialog asks is done after a yes, and not after Escape."""
    queue("crm", redis).enqueue("workers.perform.perform")
    with browsing(make_settings(console_users=USERS, console_key=KEY)) as url:
        tab = open_tab(url)
        sign_in(tab, "operator", to="/queues")
        button = tab.locator("tr", has=tab.get_by_role("link", name="crm", exact=True)).get_by_role("button")
        button.focus()
        press(tab, "Enter")
        expect(tab.locator("#confirm")).to_be_visible()
        press(tab, "Escape")
        expect(tab.locator("#confirm")).to_be_hidden()
        assert queues_paused_by_hand(redis) == []

        button.focus()
        press(tab, "Enter", "Enter")  # the yes has the focus
        expect(tab.locator(".notice")).to_have_text("The queue crm is paused.")
        assert [each.queue for each in queues_paused_by_hand(redis)] == ["crm"]
        button.focus()
        press(tab, "Space")
        expect(tab.locator(".notice")).to_have_text("The queue crm goes on.")
        assert queues_paused_by_hand(redis) == []

        tab.locator("#menu summary").focus()
        press(tab, "Enter", "Tab", "ArrowDown", "Tab", "Tab", "ArrowDown", "Tab", "Enter")
        expect(tab.locator("h1")).to_have_text("队列")
        expect(tab.locator("body")).to_have_attribute("data-interval", "5")
        tab.locator("#menu summary").focus()
        press(tab, "Enter")
        tab.get_by_role("button", name="退出登录").focus()
        press(tab, "Enter")
        tab.wait_for_url(re.compile("/sign-in"))
        tab.go_back()
        tab.wait_for_url(re.compile("/sign-in"))


def test_dead_letters_of_a_filter_and_one_by_one_are_replayed_and_discarded(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory
) -> None:
    """Of two operators who begin the same, the second is led to what the first has begun, and may end it."""
    write_dead_letters(redis, 300)  # so many that a replay of one a second goes on for as long as is needed
    write_dead_letters(redis, 3, queue="erp", name="erp-push")
    with browsing(make_settings(console_users=USERS, console_key=KEY)) as url:
        tab, other = open_tab(url), open_tab(url)
        sign_in(tab, "operator", to="/dead")
        tab.locator("[name=job]").fill("erp.push")
        press(tab, "Enter")
        tab.locator("#discard-all").click()
        expect(tab.locator("#start")).to_have_text("Discard 3")
        tab.locator("#start").click()
        answer(tab, "Yes")
        run_is_over(tab)
        assert redis.zcard("rq:failed:erp") == 0

        for button, question, left in (("#replay", "", "200"), ("#discard", "Yes", "199")):
            tab.goto("/dead?job=crm.contact")
            expect(tab.locator("#groups td.n").first).to_have_text(left)  # the letter of an older count may be gone
            tab.locator("#groups tbody a.mono").first.click()
            tab.locator(button).click()
            if question:
                answer(tab, question)
            run_is_over(tab)
        assert (redis.llen("rq:queue:crm"), redis.zcard("rq:failed:crm")) == (1, 298)

        sign_in(other, "admin", to="/dead/plan?action=replay&job=crm.contact")
        tab.goto("/dead/plan?action=replay&job=crm.contact")
        for each in (tab, other):
            each.locator("#rate").select_option("1/s")
            each.locator("#start").click()
        answer(tab, "Yes")
        run_is_over(tab, "running")
        answer(other, "Yes")
        other.wait_for_url(tab.url)
        expect(other.locator(".notice")).to_contain_text("Somebody does this already")
        other.locator("#stop").click()
        run_is_over(other, "ended by admin (console)")

    assert [(each.by, each.action) for each in AuditLog(redis).latest(2)] == [
        ("operator (console)", "replay"),
        ("operator (console)", "discard"),
    ]


def test_calls_are_followed_paused_looked_back_at_copied_and_revealed(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory
) -> None:
    """A call that comes is shown without a reload, none while the page is paused; who reveals one stays on its page."""
    put_on_record(redis, *(record_of(api_call("order", OrderID=str(number))) for number in range(60)))
    with browsing(make_settings(console_users=USERS, console_key=KEY)) as url:
        tab = open_tab(url, permissions=["clipboard-read", "clipboard-write"])
        sign_in(tab, "admin", to="/calls")
        rows = tab.locator("[data-rows] tr")
        expect(rows).to_have_count(50)
        other = tab.context.new_page()
        other.goto("/calls")
        put_on_record(redis, record_of(first := api_call("order")))
        for each in (tab, other):
            expect(each.locator(f"#call-{first.id}")).to_be_visible()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.locator("#pause").click()
        second = api_call("order", SystemClientUserID="user517")
        put_on_record(redis, Packing(Settings(record_values=True)).callback(second, Reply()))
        expect(other.locator(f"#call-{second.id}")).to_be_visible()
        assert tab.locator(f"#call-{second.id}").count() == 0
        assert [each for each in asked if "stream" in each] == []
        tab.locator("#pause").click()
        expect(tab.locator(f"#call-{second.id}")).to_be_visible()

        other.get_by_role("link", name="Look further back").click()
        expect(other.locator("[data-rows] tr")).to_have_count(10)  # the two that came are rows 51 and 52
        tab.locator(f"#call-{second.id} a").first.click()
        tab.get_by_role("button", name="Copy").click()
        expect(tab.get_by_role("button", name="Copied")).to_be_visible()
        assert tab.evaluate("navigator.clipboard.readText()") == second.id
        expect(tab.locator("#values")).not_to_contain_text("user517")
        address = tab.url
        tab.locator("#reveal").click()
        expect(tab.locator("#values")).to_contain_text("user517")
        assert tab.url == address

    [entry] = AuditLog(redis).latest(9)
    assert (entry.action, entry.by, entry.selection) == ("reveal", "admin (console)", f"event {second.id}")

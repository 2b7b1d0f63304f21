"""Callbacks on record: found, followed, told in full."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from console.pages.calls.routes import MOST_SHOWN
from console.server import serve_in_thread
from console.streams import MOST_STREAMS
from deskbell import Event
from deskbell.cli.processes.listening import listen
from deskbell.testing import api_call
from shared.records.packing import Packing, digest
from shared.settings.config import Settings
from shared.wire.events import Reply
from tests.conftest import ApiFactory, SettingsFactory, WorkplaceFactory
from tests.console.browsing import Browser, browsing
from tests.console.conftest import ConsoleFactory
from tests.records import put_event_with_jobs, put_on_record, record_of
from tests.redis_outages import Server
from tests.waiting import DEADLINE_SECONDS, until
from workers.audit import AuditLog

HOSTILE = "\"'><script>alert(1)</script>\u202e\x1b[2J\x00"


def put(redis: Redis, node: str = "order", user: str = "user517", outcome: Any = "answered", **more: Any) -> Event:
    """Put a callback on record; no variable of it is declared."""
    event = api_call(node, OrderID="1002", SystemClientUserID=user, **{"SystemSessionID": "s-1"} | more)
    put_on_record(redis, record_of(event, Reply(variables={"Status": "sent"}, outcome=outcome)))
    return event


def ids_on(page: str) -> list[str]:
    """The callbacks that a page lists, in its order."""
    return [part[:32] for part in page.split('<tr id="call-')[1:]]


@contextmanager
def following(browser: Browser, address: str, **headers: str) -> Iterator[Iterator[tuple[str, str, str]]]:
    """A stream's events: name, data, id."""

    def events(lines: Iterator[str]) -> Iterator[tuple[str, str, str]]:
        event = {"event": "", "data": "", "id": ""}
        for line in lines:
            if not line:
                yield event["event"], event["data"], event["id"]
                event = {"event": "", "data": "", "id": ""}
            name, _, value = line.partition(": ")
            if name in event:
                event[name] += value

    with browser.stream("GET", address, headers=headers) as answer:
        assert answer.status_code == 200, answer.status_code
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.iter_lines())


def stream_of(page: str) -> str:
    """The address of a page's stream."""
    return page.partition('data-stream="')[2].partition('"')[0].replace("&amp;", "&")


def status_of_long_address(browser: Browser) -> int:
    """Of an address of 200 kB, which httpx would not ask for."""
    connection = HTTPConnection(browser.base_url.host, browser.base_url.port, timeout=30)
    connection.request("GET", f"/calls?user={'%E7%95%8C' * 22_000}")
    with closing(connection):
        return connection.getresponse().status


def test_callbacks_are_found_by_each_filter_of_the_address(open_console: ConsoleFactory, redis: Redis) -> None:
    """Alone and together; the form shows what was asked, and the page how far it looked."""
    ours = put(redis)
    other = put(redis, "parcel", outcome="fallback", SystemSessionID="s-2")
    foreign = put(redis, user="user1", SystemSessionID="s-3")
    browser = open_console()

    for query, found in (
        ({}, [foreign.id, other.id, ours.id]),
        ({"user": "user517"}, [other.id, ours.id]),
        ({"user": digest("user", "user517").hex()}, [other.id, ours.id]),
        ({"session": "s-2"}, [other.id]),
        ({"node": "order", "user": "user517"}, [ours.id]),
        ({"outcome": "fallback"}, [other.id]),
        ({"command": ours.command, "app": ours.app_id, "since": "5m"}, [foreign.id, other.id, ours.id]),
        ({"app": "1"}, []),
        ({"at": f"{ours.received_at:%H:%M}", "node": "parcel"}, [other.id]),
        ({"until": "5m"}, []),
    ):
        page = browser.get("/calls", params=query).text
        assert ids_on(page) == found, query
        assert all(f'name="{name}" value="{value}"' in page for name, value in query.items() if name != "outcome")
    assert "user517" not in browser.get("/calls").text
    assert "3 shown: looked at 3 records, all that there are for this" in browser.get("/calls").text
    leads = browser.get("/calls", params={"event": f" {ours.id.upper()} "})
    assert (leads.status_code, leads.headers["location"]) == (303, f"/call?id={ours.id}")


def test_a_list_is_bounded_and_leads_further_back(open_console: ConsoleFactory, redis: Redis) -> None:
    """None twice and none left out, though a script's records have one time."""
    events = [api_call("order", OrderID=str(number)) for number in range(MOST_SHOWN * 2 + 5)]
    put_on_record(redis, *map(record_of, events))
    browser = open_console()

    address, seen, pages = "/calls", list[str](), 0
    while address:
        page = browser.get(address).text
        seen += ids_on(page)
        pages += 1
        *_, more = page.rpartition("</table>")
        address = (
            more.partition('<p class="actions"><a class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
        )

    assert pages == 3
    assert seen == [event.id for event in reversed(events)]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"node": "x" * 20_000}, "Node: expected 500 characters or less, got 20,000 characters."),
        ({"since": "9" * 300}, "Since (UTC): expected a time such as 90s"),
        ({"at": "14:02", "until": "1h"}, "At (UTC), ± 2 min: expected this moment alone"),
        ({"outcome": "<b>"}, "Outcome: expected one of the list, got “&lt;b&gt;”."),
        ({"event": "9" * 5000}, "Event&#39;s id: expected 32 hex digits."),
    ],
)
def test_a_filter_that_means_nothing_is_told_in_a_sentence(
    open_console: ConsoleFactory, query: dict[str, str], sentence: str
) -> None:
    """In a page that stays small, with the form as it was; the stream refuses it, too."""
    browser = open_console()
    page = browser.get("/calls", params=query)
    chinese = browser.get("/calls", params=query, headers={"Accept-Language": "zh-CN"})

    assert (page.status_code, chinese.status_code) == (400, 400)
    assert sentence in page.text
    assert "应为" in chinese.text or "最多" in chinese.text or "只能" in chinese.text
    assert len(page.text) < 30_000
    if "event" not in query:
        assert browser.get("/calls/stream", params=query).status_code == 400


def test_a_filter_of_200_kb_ends_nothing(open_console: ConsoleFactory, redis: Redis) -> None:
    """Nor one of many parameters, nor a place that is none."""
    put(redis)
    browser = open_console()

    statuses = [
        status_of_long_address(browser),
        browser.get("/calls?" + "&".join(f"x{number}=1" for number in range(3000))).status_code,
        browser.get("/calls", params={"from": "1-2"}).status_code,
        browser.get("/session", params={"id": "s" * 60_000}).status_code,
        browser.get("/session").status_code,
        browser.get("/call", params={"id": "../" * 99}).status_code,
        browser.get("/calls").status_code,
    ]

    assert statuses == [400, 200, 400, 400, 400, 400, 200]


def test_hostile_values_are_text_wherever_they_stand(open_console: ConsoleFactory, redis: Redis) -> None:
    """In a node, a user, a session, a variable's name and value; in elements, attributes, addresses and the stream."""
    event = api_call(
        "order", SystemClientUserID=HOSTILE, SystemSessionID=HOSTILE, N=10**4000, **{HOSTILE: "x", "V": "y" * 200_000}
    )
    every = Packing(Settings(record_values=True))
    put_on_record(redis, every.callback(event, Reply(variables={HOSTILE: HOSTILE}, info=HOSTILE, outcome="refused")))
    browser = open_console()
    listed = browser.get("/calls").text
    with following(browser, "/calls/stream?after=0/0-0") as events:
        streamed = next(data for name, data, _ in events if name == "calls")

    pages = [
        listed,
        streamed,
        browser.get("/calls", params=dict.fromkeys(("node", "user", "session", "command", "app"), HOSTILE)).text,
        browser.get("/session", params={"id": HOSTILE}).text,
        browser.get("/call", params={"id": event.id}).text,
        browser.post("/call/reveal", data={"id": event.id}).text,
    ]

    assert event.id in pages[3]
    for page in pages:
        assert "<script>alert" not in page
        assert len(page) < 40_000
    for page in (*pages[:2], *pages[3:]):  # a form gives back what was typed
        assert not [each for each in page if not each.isprintable() and each != "\n"]


def test_new_callbacks_are_streamed_and_none_is_left_out(open_console: ConsoleFactory, redis: Redis) -> None:
    """From the moment of the page on, those that fit; a browser that asks again goes on from the last that it has."""
    put(redis)
    browser = open_console()
    page = browser.get("/calls", params={"node": "order"}).text
    before_it_asks = put(redis)

    with following(browser, stream_of(page)) as events:
        first = next((data, place) for name, data, place in events if name == "calls")
        put(redis, "parcel")
        later = put(redis)
        second = next(data for name, data, _ in events if name == "calls")
    with following(browser, stream_of(page), **{"Last-Event-ID": first[1]}) as events:
        again = next(data for name, data, _ in events if name == "calls")

    assert ids_on(first[0]) == [before_it_asks.id]
    assert ids_on(second) == ids_on(again) == [later.id]
    assert stream_of(browser.get("/calls", params={"until": "1h"}).text) == ""


def test_streams_are_bounded_and_whoever_hangs_up_makes_room(open_console: ConsoleFactory, redis: Redis) -> None:
    """The page says so, and renews itself instead."""
    put(redis)
    browser = open_console()
    with ExitStack() as stack:
        lines = [stack.enter_context(browser.stream("GET", "/calls/stream")).iter_lines() for _ in range(MOST_STREAMS)]
        assert {next(each) for each in lines} == {"retry: 3000"}
        refused = browser.get("/calls/stream")
        page = browser.get("/calls").text

    assert refused.status_code == 429
    assert "Too many pages follow at once" in page
    until(lambda: "Too many pages follow at once" not in browser.get("/calls").text)


def test_a_stream_ends_with_the_process(make_settings: SettingsFactory, redis: Redis) -> None:
    """It does not hold the process up until it is cut off."""
    assert redis.ping()
    listener = listen("127.0.0.1", 0)
    server, thread = serve_in_thread(listener, make_settings(grace_seconds=300))
    until(lambda: server.started)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with Browser(url) as browser, browser.stream("GET", "/calls/stream") as answer:
        lines = answer.iter_lines()
        assert "event: beat" in lines
        server.should_exit = True
        list(lines)  # it ends

    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()
    listener.close()


def test_while_redis_is_away_a_stream_ends_and_the_page_says_so(server: Server, make_settings: SettingsFactory) -> None:
    """An update is a sentence, so what is shown stays; afterwards the page is there again."""
    with browsing(make_settings(redis_url=SecretStr(server.url))) as url, Browser(url) as browser:
        with following(browser, "/calls/stream") as events:
            next(events)
            server.kill()
            list(events)
        away, asked = browser.update("/calls"), browser.get("/calls/stream?after=1/1-0")
        server.start()
        after = browser.get("/calls")

    assert (away.status_code, asked.status_code, after.status_code) == (503, 503, 200)
    assert away.text.startswith("Redis does not answer.")


def test_an_event_is_told_in_full(
    start_api: ApiFactory, make_settings: SettingsFactory, redis: Redis, open_workplace: WorkplaceFactory
) -> None:
    """What was asked and told, each job with its attempts, causes and next try; and the way into rq-dashboard."""
    event_id = put_event_with_jobs(redis, start_api, open_workplace)
    with browsing(make_settings(), "https://rq.example.com/x/") as url, Browser(url) as browser:
        page = browser.get("/call", params={"id": event_id}).text
        chinese = browser.get("/call", params={"id": event_id}, headers={"Accept-Language": "zh-CN"}).text
        unknown = browser.get("/call", params={"id": "0" * 32})

    assert "1002" in page
    assert "(length 9)" in page  # of Status, which is not declared
    assert "user517" not in page
    assert "crm.contact" in page
    assert "attempt 1" in page
    assert ">retry</span>" in page
    assert "Retry at " in page
    assert "Next try" in page
    assert f'href="https://rq.example.com/x/0/view/job/{event_id}-crm-contact"' in page
    assert 'href="/session?id=s-1"' in page
    assert "时间线" in chinese
    assert unknown.status_code == 404
    assert "No record of the callback" in unknown.text


def test_personal_values_are_revealed_to_admins_alone_one_by_one_and_recorded(
    sign_in: ConsoleFactory, redis: Redis
) -> None:
    """Where they are on record at all; lists and streams never show them."""
    event = api_call("order", OrderID="1002", Phone="555-0199", SystemClientUserID="user517")
    every = Packing(Settings(record_values=True), public={"OrderID"})
    reply = Reply(variables={"Address": "Old Road 7"}, info="no, Mr. Li", outcome="refused", code=7)
    put_on_record(redis, every.callback(event, reply))
    secrets = ("555-0199", "user517", "Old Road 7", "Mr. Li")
    viewer, operator, admin = (sign_in(role) for role in ("viewer", "operator", "admin"))

    for browser in (viewer, operator, admin):
        page = browser.get("/call", params={"id": event.id}).text
        listed = browser.get("/calls").text
        assert "1002" in page
        assert "(length 8)" in page
        assert not [each for each in secrets if each in page or each in listed]
        assert ("hx-post" in page) == (browser is admin)
    with following(admin, "/calls/stream?after=0/0-0") as events:
        streamed = next(data for name, data, _ in events if name == "calls")
    assert event.id in streamed
    assert not [each for each in secrets if each in streamed]
    refused = [browser.post("/call/reveal", data={"id": event.id}) for browser in (viewer, operator)]
    revealed = admin.post("/call/reveal", data={"id": event.id})

    assert [answer.status_code for answer in refused] == [403, 403]
    assert not [each for each in secrets if any(each in answer.text for answer in refused)]
    assert [each for each in secrets if each not in revealed.text] == []
    assert "data-live" not in revealed.text
    entries = [(each.action, each.selection, each.by, each.end) for each in AuditLog(redis).latest(10)]
    assert entries == [
        ("reveal", f"event {event.id}", "admin (console)", "done"),
        ("call.reveal", "", "operator (console)", "refused"),
        ("call.reveal", "", "viewer (console)", "refused"),
    ]


def test_a_session_is_told_in_its_order(open_console: ConsoleFactory, redis: Redis) -> None:
    """The first callback first; with the way to earlier ones where there are more than a page shows."""
    events = [api_call("order", OrderID=str(number), SystemSessionID="s-9") for number in range(120)]
    put_on_record(redis, *map(record_of, events))
    put(redis, SystemSessionID="s-8")
    browser = open_console()

    page = browser.get("/session", params={"id": "s-9"}).text
    earlier = page.partition('<p class="actions"><a class="button" href="')[2].partition('"')[0].replace("&amp;", "&")

    assert ids_on(page) == [event.id for event in events[20:]]
    assert ids_on(browser.get(earlier).text) == [event.id for event in events[:20]]
    assert "100 callbacks, in their order; there are earlier ones." in page

"""A Chinese page has no English on it but names: of products and settings, and what is typed into commands and filters.

Every page is looked at with data that are Chinese, so that an English word on it is one that we wrote.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_args

import httpx
import pytest
from pydantic import Field, SecretStr
from redis import Redis
from rq.job import JobStatus

import console
from api.metrics import CallbackOutcome
from console.pages.audit.routes import ACTIONS
from console.texts.table import SENTENCES, table
from deskbell import Callbacks, Jobs, SessionEvent
from shared.wire.commands import COMMANDS
from tests.console.conftest import ConsoleFactory
from tests.console.everything import UNKNOWN, fill
from tests.waiting import until
from workers.attempt import LEVELS
from workers.causes import UNKNOWN as UNKNOWN_CAUSE
from workers.dead_letters.registry import FOREIGN_NAME

FOLDER = Path(console.__file__).parent
CHINESE = {"Accept-Language": "zh-CN"}
DATA = "数据"
NAMES = """
    Deskbell deskbell Desk Chat Redis Valkey RQ rq-dashboard AOF RDB SLOWLOG NTP English
    API ID ISO JSON MB P50 P99 URL UTC UTF-8 Unix Webhook Origin application/x-www-form-urlencoded
    Event ErrorInfo FAIL LateState LateTicket not_yet RequestTime RspData SdkAppid Seq Sign
    async await def jobs package.module:callbacks deskbell.jobs deskbell.testing TypedDict pydantic
    always appendfsync appendonly yes maxmemory maxmemory-policy noeviction redis redis+cluster shards=16 ssl_ca_certs
    dev docs/how-to/operate.md Failover loop_blocked redis_away redis_refuses env concurrency your.host
    SIGHUP not_replaced action since as before from id rate until s min h crm crm.contact
"""
OF_THE_DATA = """
    order order_status Tier N V x OrderID OrderStatus SystemClientUserID SystemSessionID events foreign viewer admin
    console ConnectionError SessionBegin w
"""
KNOWN = {*NAMES.split(), *OF_THE_DATA.split(), *get_args(CallbackOutcome), *ACTIONS, *COMMANDS, UNKNOWN}
NOT_OURS = re.compile(
    r"`[^`]*`|\{[^{}]*\}|DESKBELL_[A-Z_]+|--[a-z]+|https:\S+|\b[0-9a-f-]{8,}\b|\w+ at [\w/]+\.py:\d+ in \w+"
)
"""A command, what is filled in, a setting, an option, an address, an id, and the cause of a dead letter."""
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
REFUSED = (
    "/audit?before=x",
    "/call?id=1",
    "/calls?event=1",
    "/calls?from=1",
    "/calls?outcome=1",
    "/calls?since=1",
    "/calls?at=1h&since=1h",
    f"/calls?node={'1' * 600}",
    "/dead?since=1",
    "/dead/plan?action=1",
    "/dead/plan?action=replay&as=1",
    "/dead/run?id=1",
    "/session",
)
REFUSED_FORMS = ({"action": "replay", "rate": "1"}, {"action": "replay"})
WORD = re.compile(r"(?<![\w.:/])[A-Za-z][\w.:/=+-]*")


def english(text: str) -> set[str]:
    """The words in Latin letters that are no names."""
    return {word.rstrip(".:/-") for word in WORD.findall(NOT_OURS.sub(" ", text))} - KNOWN


class Reader(HTMLParser):
    """What a person is shown of a page, or told by a screen reader or the page's program; no code, no hidden field."""

    SHOWN = frozenset(("title", "aria-label", "placeholder", "alt"))
    OF_PROGRAMS = frozenset(("data-copy", "data-stream", "data-theme"))
    CODE = frozenset(("code", "pre", "script", "style"))

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self._code += tag in self.CODE
        self.texts += [value for name, value in attrs if value and self._is_shown(name)]

    def _is_shown(self, name: str) -> bool:
        return name in self.SHOWN or (name.startswith("data-") and name not in self.OF_PROGRAMS)

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        self._code -= tag in self.CODE

    def handle_data(self, data: str) -> None:
        """A text."""
        if not self._code:
            self.texts.append(data)


def words_of(html: str) -> set[str]:
    """The English words of what is shown."""
    reader = Reader()
    reader.feed(html)
    return english("\n".join(reader.texts))


def left(page: httpx.Response) -> set[str]:
    """The English words of a page, or of what is shown in a banner; it must be Chinese."""
    assert re.search("[\u4e00-\u9fff]", page.text.partition("<main")[2] or page.text), page.url
    return words_of(page.text)


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings that name a module with a handler and a job type, described in Chinese."""
    callbacks, jobs = Callbacks(), Jobs()

    @callbacks.api_call(fallback={"OrderStatus": DATA})
    def order_status(OrderID: Annotated[int, Field(ge=1, description=DATA)]) -> dict[str, str]:
        """数据."""
        return {"OrderStatus": str(OrderID)}

    @jobs.on(SessionEvent, name="order")
    def keep(event: SessionEvent) -> None: ...

    module = ModuleType("chinese_of_a_test")
    module.__dict__.update(callbacks=callbacks, jobs=jobs)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {"callbacks": "chinese_of_a_test:callbacks", "jobs": "chinese_of_a_test:jobs"}


def test_every_text_has_no_english_words_but_names() -> None:
    """Also those of pages and states that are seldom seen."""
    chinese = [*(row[1] for row in table().values()), *SENTENCES.values()]

    assert {text: words for text in chinese if (words := english(text))} == {}


def test_no_template_and_no_program_of_a_page_has_a_text_of_its_own() -> None:
    """Each stands in the tables, also those of pages and states that are seldom seen."""
    texts = {path.name: path.read_text() for path in FOLDER.rglob("*.html")}
    program = (FOLDER / "static/console.js").read_text()

    found = {name: words_of(JINJA.sub("", text)) for name, text in texts.items()}

    assert {name: words for name, words in found.items() if words} == {}
    assert re.findall(r"""["'`][A-Za-z]+(?: [A-Za-z]+)+[.:]?["'`]""", program) == ['"use strict"']


def test_every_outcome_state_and_action_has_a_name() -> None:
    """Those that logs, metrics, RQ and the audit log have, and no others."""
    words = {
        "call": get_args(CallbackOutcome),
        "attempt": LEVELS,
        "job": [each.value for each in JobStatus],
        "letter": (FOREIGN_NAME, UNKNOWN_CAUSE),
        "action": ACTIONS,
    }

    named = {key for key in table() if key.startswith("name.")}

    assert named == {f"name.{kind}.{word}" for kind, those in words.items() for word in those}


def test_every_page_has_no_english_words_but_names(
    sign_in: ConsoleFactory, redis: Redis, declared: dict[str, str]
) -> None:
    """With data on it, when it is renewed, after an action, and when it refuses what was asked or does not find it."""
    paths = fill(redis, DATA)
    admin, viewer = sign_in("admin", **declared), sign_in("viewer", **declared)
    for browser in (admin, viewer):
        browser.headers.update(CHINESE)
    until(lambda: "正在统计" not in admin.get("/dead").text + admin.get("/dead/plan?action=replay").text)
    group = re.findall(r'href="(/dead/group\?[^"]*)"', admin.get("/dead").text)[0]
    event, letter = (path.partition("id=")[2] for path in paths if path.startswith(("/call?", "/dead/letter?")))
    forms = {"/call/reveal": {"id": event}, "/dead/reveal": {"id": httpx.QueryParams(f"id={letter}")["id"]}}

    pages = [admin.get(path) for path in (*paths, group)]
    pages += [admin.post(path, data=form) for path, form in forms.items()]
    assert {page.status_code for page in pages} == {200, 404}
    refused = [viewer.post(path, data=form) for path, form in forms.items()] + [admin.get(path) for path in REFUSED]
    refused += [admin.post("/dead/runs", data=form) for form in REFUSED_FORMS] + [admin.post("/dead/stop", json={})]
    assert {page.status_code for page in refused} == {400, 403, 404, 415}
    pages += refused

    assert {str(page.url)[-60:]: words for page in pages if (words := left(page))} == {}


def test_signing_in_and_an_outage_have_no_english_words_but_names(
    sign_in: ConsoleFactory, open_console: ConsoleFactory
) -> None:
    """A page, and what its banner says; so has what another site's page is told."""
    away = open_console(redis_url=SecretStr("redis://127.0.0.1:1/0"))
    signed_in = sign_in("viewer")
    signed_in.headers.update(CHINESE)
    away.headers.update(CHINESE)
    pages = [away.get("/"), away.update("/"), away.post("/queues/pause", data={"queue": "crm"})]
    assert {page.status_code for page in pages} == {503}
    pages += [away.post("/queues/pause", headers={"Sec-Fetch-Site": "cross-site"})]
    pages += [signed_in.post("/sign-in", data={"name": "viewer", "password": "x"})]
    signed_in.cookies.clear()
    pages += [signed_in.get("/sign-in"), signed_in.update("/")]

    assert {str(page.url)[-60:]: words for page in pages if (words := left(page))} == {}

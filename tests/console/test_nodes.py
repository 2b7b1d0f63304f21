"""The pages of nodes: what handlers declare, what was counted of them, and how calls depart from it."""

import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypedDict

import pytest
from pydantic import Field, SecretStr
from redis import Redis

from deskbell import Callbacks, Event, Jobs, Kind, SessionEvent
from deskbell.simulator.packets import packet_of
from deskbell.testing import api_call
from shared.redis.history import COARSE_KEY
from shared.wire.commands import received
from shared.wire.events import Reply
from shared.wire.protocol import fingerprint
from tests.console.conftest import ConsoleFactory
from tests.desk import APP, TOKEN
from tests.records import put_on_record, record_of

HOSTILE = "<script>\u202ealert(1)</script>"


class Status(TypedDict):
    OrderStatus: Annotated[str, Field(description="Where it <b>is</b>.")]


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings that name a module with two handlers and a job type."""
    callbacks, jobs = Callbacks(), Jobs()

    @callbacks.api_call(fallback={"OrderStatus": "unknown"}, late=True)
    def order_status(OrderID: Annotated[int, Kind.COLLECTED, Field(ge=1)]) -> Status:
        """Tell the state of an order."""
        return {"OrderStatus": str(OrderID)}

    @callbacks.assign_agent
    def assign() -> None: ...

    @jobs.on(SessionEvent, when={"Event": "SessionBegin"})
    def keep(event: Event) -> None: ...

    module = ModuleType("nodes_of_a_test")
    module.__dict__.update(callbacks=callbacks, jobs=jobs)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {"callbacks": "nodes_of_a_test:callbacks", "jobs": "nodes_of_a_test:jobs"}


def record(redis: Redis, node: str, outcome: str = "answered", **variables: str) -> None:
    """Put a call on record."""
    call = api_call(node, **variables)
    put_on_record(redis, record_of(call, Reply(outcome=outcome)))  # type: ignore[arg-type]  # one of them


def count(redis: Redis, *counts: tuple[str, str, str, int]) -> None:
    """Write what an api has counted of nodes in the last ten minutes."""
    minute = int(time.time() // 60)
    key = f"{COARSE_KEY}{minute - minute % 10}"
    for node, what, which, times in counts:
        redis.hset(key, f"callback\t{node}\t{what}\t{which}", times)


def test_a_node_is_shown_as_it_is_described(
    open_console: ConsoleFactory, declared: dict[str, str], redis: Redis
) -> None:
    """What to enter, what follows FAIL, the late node; the secret of the path and the token are not told."""
    count(redis, ("order_status", "outcome", "answered", 40), ("order_status", "outcome", "fallback", 2))
    count(redis, ("order_status", "ms", "4", 41), ("order_status", "ms", "11", 1))
    browser = open_console(path_secret=SecretStr("0123456789abcdef"), **declared)

    page = browser.get("/nodes?name=order_status").text
    overview = browser.get("/nodes").text
    chinese = [
        browser.get(path, headers={"Accept-Language": "zh"}).text for path in ("/nodes?name=order_status", "/nodes")
    ]

    for told in (
        "Desk Management Console: the API-call node of the task flow",
        "https://your.host/&lt;DESKBELL_PATH_SECRET&gt;/callback/order_status",
        "Tell the state of an order.",
        "collected",
        "integer, at least 1",
        "{&#34;OrderStatus&#34;: &#34;unknown&#34;}",
        "Where it &lt;b&gt;is&lt;/b&gt;.",
        "a variable is missing or does not fit, or the handler refuses",
        "the flow takes the node&#39;s exception branch",
        "calls the node order_status.late with LateTicket",
        "answered 40",
        "fallback 2",
        "<dd>7 ms</dd>",
        "No call of it is on record.",
    ):
        assert told in page, told
    for told in (
        "Desk 管理端：任务流的接口调用节点",
        "整数、不小于 1",
        "收集变量",
        "缺少变量或变量不符合要求，或处理函数拒绝时",
    ):
        assert told in chinese[0], told
    assert "有任务类型订阅了它们" in chinese[1]
    assert "keep (Event=SessionBegin)" in overview
    assert fingerprint(TOKEN) in overview
    assert "ChatBot.OnAssignAgent, ChatBot.OnAssignHuman" in overview
    assert "0123456789abcdef" not in page + overview
    assert TOKEN not in overview
    assert browser.get("/nodes?name=nowhere").status_code == 404


def test_how_calls_depart_from_what_is_declared_is_counted(
    open_console: ConsoleFactory, declared: dict[str, str], redis: Redis
) -> None:
    """By variable: those that a call lacked, and those that nobody declares; system variables are no drift."""
    record(redis, "order_status", OrderID="1", SystemTaskFlowName="planted")
    record(redis, "order_status", "misfit", **{HOSTILE: "planted"})
    record(redis, "order_status", "misfit", Tier="planted")
    browser = open_console(**declared)

    page = browser.get("/nodes?name=order_status").text
    rows = page.partition('id="drift-1"')[2].partition("</section>")[0].split("<tr>")

    assert [row for row in rows if "<bdi>OrderID</bdi>" in row and 'class="n">2</td>' in row]
    assert [row for row in rows if "<bdi>Tier</bdi>" in row and 'class="n">1</td>' in row]
    assert "&lt;script&gt;\\u202ealert(1)&lt;/script&gt;" in page
    assert "SystemTaskFlowName" not in page
    assert "Of 3 calls" in page
    assert "planted" not in page
    assert "variables: 3" in browser.get("/nodes").text


def test_a_call_that_no_handler_takes_is_shown_with_the_handler_to_paste(
    open_console: ConsoleFactory, declared: dict[str, str], redis: Redis
) -> None:
    """A variable that did not always come with a value has a default; a node that has a handler now is left out."""
    record(redis, "refund", "no_handler", OrderID="1", Reason="planted")
    record(redis, "refund", "no_handler", OrderID="2", Reason="")
    record(redis, "order_status", "no_handler", OrderID="2")
    record(redis, '"+evil(', "no_handler")
    browser = open_console(**declared)

    pages = [browser.get("/nodes").text, browser.get("/nodes?name=refund").text]

    for page in pages:
        shown = page.partition('id="unanswered"')[2]
        assert (
            "<pre>@callbacks.api_call(&#34;refund&#34;)\n"
            "async def refund(OrderID: str, Reason: str = &#34;&#34;) -&gt; dict[str, str]:\n    return {}</pre>"
        ) in shown
        assert "Calls: 2, the last at" in shown
        assert "order_status" not in shown.partition("</section>")[0]
        assert "evil" not in page
        assert "planted" not in page


def test_names_that_no_page_lists_are_shown(open_console: ConsoleFactory, redis: Redis) -> None:
    """Commands, events, fields and system variables, as the records have them."""
    packets = (packet_of("session_event", {"Event": "SessionClosed"}), {"CallbackCommand": "Desk.New", "Detail": 1})
    put_on_record(redis, *(record_of(received(packet, app_id=APP)) for packet in packets))
    record(redis, "order_status", SystemTenantID="planted")

    page = open_console().get("/nodes").text.partition('id="unknown"')[2]

    assert all(f"<bdi>{name}</bdi>" in page for name in ("SessionClosed", "Desk.New", "Detail", "SystemTenantID"))
    assert "planted" not in page


@pytest.mark.parametrize(
    ("setting", "sentence", "chinese"),
    [
        ("", "got nothing: set it, in .env for example", "实际为空：请设置，例如在 .env 中"),
        (
            "no_such_module:callbacks",
            "DESKBELL_CALLBACKS: there is no module no_such_module",
            "已安装的包中都没有模块 no_such_module",
        ),
        (
            "nodes_that_fail:callbacks",
            "nodes_that_fail.py:2 with RuntimeError: &lt;b&gt;",
            "nodes_that_fail.py:2 出错：RuntimeError: &lt;b&gt;",
        ),
    ],
)
def test_without_handlers_the_page_says_why_and_shows_what_redis_tells(
    open_console: ConsoleFactory, redis: Redis, tmp_path: Path, setting: str, sentence: str, chinese: str
) -> None:
    """In the sentence of the command, or its Chinese; what was counted and what nobody answered needs no handlers."""
    imports = tmp_path / "imports"
    if "fail" in setting:
        (tmp_path / "nodes_that_fail.py").write_text(
            f"with open({str(imports)!r}, 'a') as file: file.write('once ')\nraise RuntimeError('<b>')\n"
        )
    record(redis, "refund", "no_handler", OrderID="1")
    count(redis, ("old_node", "outcome", "answered", 7))
    browser = open_console(callbacks=setting, app_dir=tmp_path)
    assert browser.get("/").status_code == 200
    before = imports.exists()

    page = browser.get("/nodes").text
    again = browser.get("/nodes", headers={"Accept-Language": "zh-CN"}).text
    one = browser.get("/nodes?name=old_node").text

    assert all(sentence in each for each in (page, one))
    assert chinese in again
    assert "控制台没有处理函数的信息" in again
    assert "@callbacks.api_call(&#34;refund&#34;)" in page
    assert "answered 7" in page
    assert "answered 7" in one
    assert not before
    if "fail" in setting:
        assert imports.read_text() == "once "

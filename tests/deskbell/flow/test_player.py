"""Cases played against a real api, a real worker, a real Redis and the stand-in of Desk's REST interface."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell.flow.kept import session_events
from deskbell.flow.loader import Flow, load_flow
from deskbell.flow.player import NotPlayedError, Played, Player
from deskbell.simulator.client import Desk
from deskbell.simulator.rest.reading import Inbox
from deskbell.simulator.rest.server import DeskRest
from tests.conftest import patient_settings
from tests.desk import APP, TOKEN, serving
from tests.workers.running import running_worker

KEY = "a-secret-key"
ACME = """
import asyncio

from deskbell import ApiCall, AssignAgent, Assignment, BeforeContactUser, Callbacks, Discard, Jobs, Refuse, Retry
from deskbell.desk import Desks, custom, msg_random, text

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("find")
def find(OrderID: int) -> dict[str, str]:
    if OrderID > 2000:
        raise Refuse("no such order", code=44)
    return {"OrderStatus": "shipped", "Count": str(OrderID)}

@callbacks.api_call("tell")
def tell(call: ApiCall) -> dict[str, str]:
    names = sorted(call.variables)
    return {"Told": ",".join(names), **{f"Got{name}": call.variables[name] for name in names}}

@callbacks.api_call("slow")
async def slow() -> None:
    await asyncio.sleep(0.05)

@callbacks.assign_agent()
def route(event: AssignAgent) -> Assignment:
    if event.user_id == "nobody":
        raise Refuse("nobody routes this")
    return Assignment(group_id=2, agents=["a@acme.test"])

desks = Desks()
jobs.lifespan(desks.lifespan)

@jobs.on(ApiCall, when={"Say": "two"})
async def say(event: ApiCall) -> None:
    desk = desks.of(event)
    for part in ("one", "two", "two"):
        await desk.send_msg(event.session_id, [text(part)], random=msg_random(event, "say", part))
    await desk.send_msg(event.session_id, [custom({"src": "22", "content": {"header": "Hi"}})], random=7)
    await desk.transfer_to_human(event.session_id, agent_group_id=2)

@jobs.on(ApiCall, node="find")
async def note(event: ApiCall) -> None: ...

@jobs.on(ApiCall, node="find", when={"OrderID": "7"})
async def give_up(event: ApiCall) -> None:
    raise Discard("no")

@jobs.on(ApiCall, node="find", when={"OrderID": "7"})
async def again(event: ApiCall) -> None:
    if event.variables.get("Never"):
        raise Retry(after=600)
    raise Discard("no")
"""


@pytest.fixture(scope="module")
def player(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    """One for all cases of this file: each has a session of its own."""
    folder = tmp_path_factory.mktemp("flow")
    module: dict[str, Any] = {}
    exec(ACME, module)  # noqa: S102 - a test's own text
    with (
        Redis.from_url(valkey_url) as redis,
        serving(patient_settings(valkey_url, folder), module["callbacks"]) as api,
        DeskRest({APP: KEY}) as rest,
        running_worker(folder, ACME, valkey_url, DESK_URL=rest.url, DESK_KEYS=json.dumps({APP: KEY})),
        closing(Desk(api.url, APP, TOKEN)) as desk,
        closing(Inbox(rest.url)) as inbox,
    ):
        redis.flushall()
        yield Player(desk, redis, inbox)


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Redis]:
    """A connection; what is there stays, as the worker is at work."""
    with Redis.from_url(valkey_url) as connection:
        yield connection


def flow(folder: Path, steps: str, head: str = "") -> Flow:
    """A file with one case, `a`; its steps begin on line 3, or later by the lines of the head."""
    path = folder / "flow_x.yaml"
    lines = [f"    {line}" for line in steps.strip("\n").splitlines()]
    path.write_text("\n".join([*head.splitlines(), "cases:", "  a:", *lines]))
    return load_flow(path)


def found(steps: list[Played]) -> list[str]:
    """All differences, as they are shown."""
    return [str(difference) for step in steps for difference in step.differences]


def test_what_an_answer_sets_feeds_later_calls(player: Player, tmp_path: Path) -> None:
    """The session's variables are the memory: collected, set by an answer, or never set, which is an empty text."""
    played = flow(
        tmp_path,
        """
- call: {node: find, variables: {OrderID: "1002", Level: gold}}
- expect: {outcome: answered, variables: {OrderStatus: shipped, Count: "1002"}, others: none, within_ms: 60000}
- jobs: {note: done, others: none}
- duplicate: 2
- call: {node: tell, variables: {Fixed: "1"}, session: {OrderStatus: OrderStatus, Given: Level, Never: Unset}}
- expect:
    variables:
      Told: Fixed,Given,Never,OrderStatus,SystemChannelType,SystemClientUserID,SystemCustomerServiceID,SystemSessionID
      GotOrderStatus: shipped
      GotGiven: gold
      GotNever: ""
      GotSystemClientUserID: user517
""",
        "session: {SystemClientUserID: user517}",
    )

    steps = list(player.play(played, "a"))

    assert found(steps) == []
    assert [step.title for step in steps[2:6]] == ["call find", "expect", "jobs", "duplicate 2"]
    assert [job.name for job in steps[4].jobs] == ["note"]


def test_a_call_that_fails_takes_the_exception_branch(player: Player, tmp_path: Path) -> None:
    """Its variables are collected all the same; the case goes on behind the branch."""
    played = flow(
        tmp_path,
        """
- call: {node: find, variables: {OrderID: "9999"}}
- expect: {outcome: refused, code: 44, info: no such order}
- exception:
    - assign:
    - expect: {fields: {AgentGroupId: 2, AgentIdList: [a@acme.test]}}
- call: {node: tell, session: [OrderID]}
- expect: {variables: {GotOrderID: "9999"}}
""",
    )

    assert found(list(player.play(played, "a"))) == []


def test_session_and_flow_begin_before_the_case(player: Player, tmp_path: Path, redis: Redis) -> None:
    """As PROTOCOL has them; once, too, where the case writes them itself."""
    around = flow(tmp_path, "- call: tell", "session: {SystemSessionID: s-1, SystemClientUserID: u-1}")
    assert found(list(player.play(around, "a"))) == []
    written = flow(
        tmp_path,
        "- event: {command: session_event, fields: {Event: SessionBegin}}\n- event: task_flow_event\n- call: tell",
        "session: {SystemSessionID: s-2}",
    )
    assert found(list(player.play(written, "a"))) == []
    no_call = flow(tmp_path, "- event: member_event", "session: {SystemSessionID: s-3}")
    assert found(list(player.play(no_call, "a"))) == []

    events = {session: session_events(redis, session) for session in ("s-1", "s-2", "s-3")}

    names = {session: [event.raw.get("Event", event.node) for event in found] for session, found in events.items()}
    assert names == {
        "s-1": ["SessionBegin", "TaskBegin", "tell"],
        "s-2": ["SessionBegin", "TaskBegin", "tell"],
        "s-3": ["SessionBegin"],
    }
    begin, task, _ = events["s-1"]
    assert set(begin.raw) == {
        *("CallbackCommand", "SessionId", "Event", "EventTime", "ChannelType", "ClientUserId", "CustomerServiceId")
    }
    assert (task.raw["Seq"], task.raw["TaskName"], task.user_id, task.session_id) == (1, "a", "u-1", "s-1")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            (
                '- call: {node: find, variables: {OrderID: "5"}}\n'
                "- expect: {variables: {OrderStatus: paid, Carrier: YTO}, others: none}"
            ),
            [
                'line 4: differs: OrderStatus: expected "paid", got "shipped"',
                'line 4: missing: Carrier: expected "YTO", got OrderStatus, Count',
                'line 4: extra: Count: expected no others, got "5"',
            ],
        ),
        (
            '- call: {node: find, variables: {OrderID: "5"}}\n- expect: {outcome: fallback, code: 1, info: x}',
            [
                "line 4: outcome: expected fallback, got answered",
                "line 4: outcome: ErrorCode: expected 1, got ErrorCode 0",
                'line 4: outcome: ErrorInfo: expected "x", got ""',
            ],
        ),
        (
            '- call: {node: find, variables: {OrderID: "9999"}}\n- call: tell',
            [
                (
                    "line 3: branch: exception: expected a call that succeeds, "
                    "got FAIL, ErrorCode 44 (no such order), and no exception branch"
                )
            ],
        ),
        (
            "- call: nowhere",
            [
                (
                    "line 3: branch: exception: expected a call that succeeds, "
                    "got FAIL, ErrorCode 1006 (no handler for this node), and no exception branch"
                )
            ],
        ),
        (
            "- call: tell\n- exception:\n    - expect: {code: 9}",
            ["line 4: branch: exception: expected a call that fails, got success, ErrorCode 0"],
        ),
        (
            (
                '- call: {node: find, variables: {OrderID: "7"}}\n'
                "- jobs: {note: dead, give_up: {ends: dead, attempts: 2}, lost: done, others: none}"
            ),
            [
                "line 4: job: note: expected dead, got note done on default",
                "line 4: job: give_up: expected dead after 2 attempts, got give_up dead on default, ",
                "line 4: job: lost: expected done, got no such job: ",
                "line 4: extra: again: expected no other job, got again ",
            ],
        ),
        (
            '- call: {node: find, variables: {OrderID: "7", Never: x}}\n- jobs: {again: {ends: dead, within_ms: 1}}',
            ["line 4: job: again: expected dead, got "],
        ),
        ("- call: tell\n- jobs: {note: done}", ["line 4: job: note: expected done, got no such job: no job at all"]),
        (
            "- call: slow\n- expect: {within_ms: 20}",
            ["line 4: late: within_ms: expected 20 ms at most, got "],
        ),
        (
            "- assign: {fields: {ClientUserId: nobody}}",
            ["line 3: outcome: ErrorCode: expected success, got ErrorCode 1 (nobody routes this)"],
        ),
    ],
)
def test_a_difference_says_of_what_kind_it_is(player: Player, tmp_path: Path, steps: str, expected: list[str]) -> None:
    """With the line, what was expected, and what was there instead."""
    differences = found(list(player.play(flow(tmp_path, steps), "a")))

    assert len(differences) == len(expected), differences
    for difference, start in zip(differences, expected, strict=True):
        assert difference.startswith(start)


SAID = """
- call: {node: tell, variables: {Say: two}}
- desk:
    send_msg: [two, one, {MsgBody: [{MsgContent: {Data: {src: "22", content: {header: Hi}}}}]}]
    transfer_to_human: {AgentGroupId: 2}
    others: none
- desk: {others: none}
"""
WRONG = """
- call: {node: tell, variables: {Say: two}}
- desk:
    send_msg: [two, three, {MsgBody: [{MsgType: TIMFaceElem}]}]
    end_session:
    others: none
"""


def test_what_jobs_say_to_desk_is_compared(player: Player, tmp_path: Path) -> None:
    """Each command once, in any order, and none that came before; JSON in a text may be written as an object."""
    assert found(list(player.play(flow(tmp_path, SAID), "a"))) == []

    differences = found(list(player.play(flow(tmp_path, WRONG), "a")))

    assert differences == [
        'line 4: differs: send_msg.MsgBody[0].MsgContent.Text: expected "three", got "one"',
        'line 4: differs: send_msg.MsgBody[0].MsgType: expected "TIMFaceElem", got "TIMCustomElem"',
        "line 4: missing: end_session: expected {}, got " + differences[2].partition(", got ")[2],
        "line 4: extra: transfer_to_human: expected no other command, got transfer_to_human",
    ]
    assert differences[2].partition(", got ")[2].startswith("send_msg: one; send_msg: two; send_msg: {")


def test_a_refusal_that_is_expected_is_none(player: Player, tmp_path: Path) -> None:
    """Only API calls have a branch; elsewhere an `expect` is enough."""
    steps = "- assign: {fields: {ClientUserId: nobody}}\n- expect: {code: 1}\n- wait: {ms: 1}"

    assert found(list(player.play(flow(tmp_path, steps), "a"))) == []


def test_what_does_not_answer_ends_a_case_in_a_sentence(tmp_path: Path, redis: Redis) -> None:
    """The api; and one that does not know us is a difference."""
    with closing(Desk("http://127.0.0.1:1", APP, TOKEN)) as desk, closing(Inbox("china")) as inbox:
        player = Player(desk, redis, inbox)
        with pytest.raises(NotPlayedError, match="no answer from"):
            list(player.play(flow(tmp_path, "- call: tell"), "a"))
        with pytest.raises(NotPlayedError, match="is Tencent's, which tells nobody"):
            list(player.play(flow(tmp_path, "- call: tell\n- desk: {end_session: }"), "a"))


class Forgetful(BaseHTTPRequestHandler):
    """An api that takes each delivery for a new one."""

    answers = 0

    def do_POST(self) -> None:
        """Answer with another text each time."""
        self.rfile.read(int(self.headers["Content-Length"]))
        Forgetful.answers += 1
        body = json.dumps({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "Body": {"N": str(self.answers)}})
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def test_a_duplicate_that_is_answered_otherwise_differs(tmp_path: Path, redis: Redis) -> None:
    """So is a job for an event that nobody kept."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with closing(Desk(url, APP, TOKEN)) as desk, closing(Inbox(url)) as inbox:
            steps = "- call: tell\n- duplicate: 1\n- jobs: {note: done}"
            differences = found(list(Player(desk, redis, inbox).play(flow(tmp_path, steps), "a")))
        server.shutdown()
        thread.join()

    duplicate, jobs = differences
    assert duplicate.startswith('line 4: differs: the answer: expected {"ActionStatus": "OK"')
    assert jobs == "line 5: job: jobs: expected an event that was kept, got no event, ErrorCode 0"

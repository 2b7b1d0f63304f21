"""`deskbell record`: what happened becomes a file that plays back green and holds nothing of the customer's."""

import asyncio
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell import Callbacks, SessionEvent
from deskbell.calls.following import ended_jobs
from deskbell.cli.flow.placeholders import Placeholders, looks_personal
from deskbell.cli.flow.recording import Recording
from deskbell.flow.kept import session_events
from deskbell.flow.loader import Flow, load_flow
from deskbell.flow.player import Player
from deskbell.simulator.client import Desk
from deskbell.simulator.rest.reading import Inbox
from deskbell.simulator.rest.server import DeskRest
from deskbell.testing import event_of
from tests import forked
from tests.conftest import patient_settings
from tests.desk import APP, TOKEN, serving
from tests.processes import environment
from tests.workers.running import running_worker

ACME = """
import asyncio
from deskbell import ApiCall, AssignAgent, Assignment, C2CSignal, Callbacks, Jobs, Late, Refuse, SessionEvent
from deskbell.desk import Desks, msg_random, text
from deskbell.jobs import late

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("find")
def find(OrderID: int, SystemClientUserID: str) -> dict[str, str]:
    if OrderID > 2000:
        raise Refuse("no such order")
    return {"Carrier": "YTO", "Greeting": f"Dear {SystemClientUserID}"}

@callbacks.api_call("known")
def known(Phone: str, Carrier: str = "none") -> dict[str, str]:
    return {"Known": "yes" if Phone == "+86 138 1234 5678" else "no", "By": Carrier}

@callbacks.api_call("quote", fallback={"Quote": ""}, late=Late(after_ms=1))
async def quote(call: ApiCall, SystemClientUserID: str) -> dict[str, str]:
    await asyncio.sleep(0 if call.reply else 60)
    return {"Quote": f"for {SystemClientUserID}"}

jobs.include(late.jobs(callbacks))

@callbacks.assign_agent()
def route(event: AssignAgent) -> Assignment:
    return Assignment(group_id=2, agents=["real.agent@acme.test"])

@jobs.on(ApiCall, node="find")
async def note(event: ApiCall) -> None: ...

desks = Desks()
jobs.lifespan(desks.lifespan)

@jobs.on(ApiCall, node="known")
async def tell(event: ApiCall) -> None:
    for part in "ab":
        words = text(event.variables.get("Name", "") + part)
        await desks.of(event).send_msg(event.session_id, [words], random=msg_random(event, "tell", part))
"""

HAPPENED = """
session: {SystemClientUserID: wang.wei517, SystemSessionID: SESSION}
cases:
  a:
    - event: {command: session_event, fields: {Event: ChatBot.UserSendMsg, MsgKey: k-1, CloudCustomData: "", MsgBody: [
        {MsgType: TIMTextElem, MsgContent: {Text: 我叫王伟}}], AgentId: li@acme.test}}
    - call: {node: find, variables: {OrderID: "1002", Type: refund}}
    - call: {node: known, variables: {Phone: "+86 138 1234 5678", Name: 王伟}, session: [Carrier]}
    - expect: {variables: {Known: "yes"}}
    - call: {node: find, variables: {OrderID: "4711", Note: wang.wei517 again}}
    - exception:
        - assign:
"""

PERSONAL = ("wang.wei517", "王伟", "138", "5678", "li@acme.test", "SESSION")


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[tuple[Path, Player]]:
    """The folder of the integrator's module, and a player against its api, its worker and Desk's stand-in."""
    folder = tmp_path_factory.mktemp("record")
    module: dict[str, Any] = {}
    exec(ACME, module)  # noqa: S102 - a test's own text
    with (
        Redis.from_url(valkey_url) as redis,
        serving(patient_settings(valkey_url, folder), module["callbacks"]) as api,
        DeskRest({APP: "a-key"}) as rest,
        running_worker(folder, ACME, valkey_url, DESK_URL=rest.url, DESK_KEYS=f'{{"{APP}": "a-key"}}'),
        closing(Desk(api.url, APP, TOKEN)) as desk,
        closing(Inbox(rest.url)) as inbox,
    ):
        redis.flushall()
        (folder / "rest").write_text(rest.url)
        yield folder, Player(desk, redis, inbox)


@pytest.fixture
def run(acme: tuple[Path, Player], valkey_url: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `deskbell record` with the integrator's handlers."""
    given = {
        "DESKBELL_REDIS_URL": valkey_url,
        "DESKBELL_CALLBACKS": "acme_jobs:callbacks",
        "DESKBELL_APP_DIR": str(acme[0]),
        "DESKBELL_DESK_URL": (acme[0] / "rest").read_text(),
    }

    def record(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return forked.run("record", *words, env=environment(**given | settings), cwd=tmp_path)

    return record


def written(folder: Path, text: str) -> Flow:
    """A flow file with a text."""
    path = folder / "flow_x.yaml"
    path.write_text(text)
    return load_flow(path)


def found(player: Player, flow: Flow) -> list[str]:
    """What differs when a file's only case is played."""
    (case,) = flow.content.cases
    return [str(difference) for step in player.play(flow, case) for difference in step.differences]


def test_a_session_is_recorded_without_personal_values_and_plays_back_green(
    acme: tuple[Path, Player], run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, valkey_url: str
) -> None:
    """One placeholder for one value; what an answer has set is taken from the session; what handlers answer is kept."""
    _, player = acme
    assert found(player, written(tmp_path, HAPPENED)) == []
    with Redis.from_url(valkey_url) as redis:
        events = session_events(redis, "SESSION")
        for event in events:
            ended_jobs(redis, event.id)

    recorded = run("SESSION", "flow_recorded.yaml")

    assert (recorded.returncode, recorded.stderr) == (0, "")
    text = (tmp_path / "flow_recorded.yaml").read_text()
    assert [personal for personal in PERSONAL if personal in text] == []
    assert "# As they came: OrderID, Type." in text
    assert 'call: {node: find, variables: {OrderID: "1002", Type: refund}}' in text
    assert "session: [Carrier]}" in text
    assert "fields: {AgentGroupId: 2, AgentIdList: [real.agent@acme.test]}" in text
    assert "jobs: {note: done}" in text
    assert "desk: {send_msg: [{}, {}]}" in text
    user = re.search(r"SystemClientUserID: (.*)", text)
    assert user
    assert f"Greeting: Dear {user[1]}" in text
    assert found(player, load_flow(tmp_path / "flow_recorded.yaml")) == []


def test_late_values_are_recorded_as_the_call_that_got_them(
    acme: tuple[Path, Player], run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Neither a ticket, which each session has anew, nor the values, which a worker computed."""
    _, player = acme
    happened = """
session: {SystemClientUserID: wang.wei517, SystemSessionID: LATE}
cases:
  a:
    - call: {node: quote}
    - jobs: {late.quote: done}
    - call: {node: quote.late, session: [LateTicket]}
    - expect: {variables: {Quote: for wang.wei517}}
    - call: {node: quote.late, session: [LateTicket]}
"""
    assert found(player, written(tmp_path, happened)) == []

    recorded = run("LATE")

    assert recorded.returncode == 0, recorded.stderr
    assert "- call: {node: quote.late, session: [LateTicket]}" in recorded.stdout
    assert "# A call of quote.late is left out" in recorded.stdout
    assert "wang" not in recorded.stdout
    assert found(player, written(tmp_path, recorded.stdout)) == []


def test_one_event_is_recorded_with_the_values_that_are_to_be_kept(
    acme: tuple[Path, Player], run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """To standard output, unless a file is named."""
    _, player = acme
    happened = written(
        tmp_path, 'cases: {a: [{call: {node: known, variables: {Phone: "+86 138 1234 5678", Tel: "1"}}}]}'
    )
    (*_, step) = player.play(happened, "a")
    assert step.answer

    recorded = run(step.answer.event_id, "--keep", "Phone", "--replace", "Tel")
    misspelt = run(step.answer.event_id, "--keep", "Phne")

    assert misspelt.returncode == 2
    assert "no variable and no field Phne in what was recorded; did you mean Phone?" in misspelt.stderr
    assert recorded.returncode == 0, recorded.stderr
    assert 'variables: {Phone: "+86 138 1234 5678", Tel: "3"}' in recorded.stdout
    assert 'expect: {outcome: answered, variables: {Known: "yes", By: none}}' in recorded.stdout
    assert found(player, written(tmp_path, recorded.stdout)) == []


def test_a_text_that_holds_json_still_does(
    acme: tuple[Path, Player], run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A handler reads the placeholders as it read what came."""
    _, player = acme
    signal = """{command: c2c_signal, fields: {Data: '{"name": "王伟", "n": 1}'}}"""
    (*_, step) = player.play(written(tmp_path, f"cases: {{a: [{{event: {signal}}}]}}"), "a")
    assert step.answer

    recorded = run(step.answer.event_id)

    (event,) = written(tmp_path, recorded.stdout).content.cases["recorded"]
    assert event.event
    assert event.event.fields["Data"] == '{"name": "丙丙", "n": 1}'
    assert found(player, written(tmp_path, recorded.stdout)) == []


def test_fields_that_no_page_lists_hold_nobodys_values(tmp_path: Path) -> None:
    """They may hold anything, in texts, numbers and deeper; what characters they have is written as YAML reads it."""
    extra = {"Phone": 13812345678, "of": ["Li.Wei@acme.test", "new", 3, True, None, "a\x85\x9b31m\u2028\x7f\ufeff王"]}
    begins = event_of(SessionEvent, Event="SessionBegin", NickName="王伟", Extra=extra, CustomerServiceId="@service")

    text = asyncio.run(Recording(Callbacks()).text([begins], {}))

    assert not [personal for personal in ("王", "138", "Wei") if personal in text]
    assert all(each == "\n" or each.isprintable() for each in text)
    (event,) = written(tmp_path, text).content.cases["recorded"]
    assert event.event
    fields: dict[str, Any] = dict(event.event.fields)
    assert fields["NickName"] == "乙乙"
    assert fields["Extra"]["Phone"] == 22222222222
    assert fields["Extra"]["of"][:5] == ["user3@example.com", "new", 3, True, None]
    assert fields["Extra"]["of"][5] == "e\x85\x9b44e\u2028\x7f\ufeff戊"


def test_a_recording_follows_no_link_and_replaces_nothing(
    acme: tuple[Path, Player], run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Not even a link to a file that is not there."""
    (*_, step) = acme[1].play(written(tmp_path, "cases: {a: [{call: {node: find, variables: {OrderID: '1'}}}]}"), "a")
    assert step.answer
    (tmp_path / "flow_link.yaml").symlink_to(tmp_path / "made")

    refused = run(step.answer.event_id, "flow_link.yaml")

    assert (refused.returncode, refused.stderr) == (2, "deskbell: flow_link.yaml is there already; name a new file\n")
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_recorded_ends_in_one_sentence(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """An id that Redis has not; a file that is there; no handlers."""
    (tmp_path / "flow_old.yaml").touch()

    nothing = run("nowhere")
    file = run("SESSION", "flow_old.yaml")
    handlers = run("SESSION", DESKBELL_CALLBACKS="")

    assert (nothing.returncode, nothing.stderr) == (
        1,
        (
            "deskbell: Redis has no event and no session 'nowhere'; finished events are kept there for 500 s: "
            "write an id that `deskbell send` printed\n"
        ),
    )
    assert (file.returncode, file.stderr) == (2, "deskbell: flow_old.yaml is there already; name a new file\n")
    assert handlers.returncode == 2
    assert "set DESKBELL_CALLBACKS" in handlers.stderr


def test_a_placeholder_has_the_shape_of_its_value_and_is_its_only_one() -> None:
    """Letters for letters, digits for digits; an e-mail address and a UUID stay such; no two values share one."""
    placeholders = Placeholders()

    assert placeholders.of("Wang-517") == "Bbbb-111"
    assert placeholders.of("+86 138") == "+22 222"
    assert placeholders.of("王伟") == "丁丁"
    assert placeholders.of("li@acme.test") == "user4@example.com"
    assert placeholders.of("207cac25-f49e-4ada-9c9f-301cea31dcf2") == "00000000-0000-0000-0000-000000000005"
    assert placeholders.of("Wang-517") == "Bbbb-111"
    assert placeholders.of("") == ""
    assert placeholders.within({"a": ["王伟", "for Wang-517", 3]}) == {"a": ["丁丁", "for Bbbb-111", 3]}
    many = {placeholders.of(str(number)) for number in range(10, 40)}
    assert len(many) == 30


@pytest.mark.parametrize(
    ("value", "is_personal"),
    [
        *((value, False) for value in ("", "1002", "refund", "en", "staticValue")),
        *((value, True) for value in ("13812345678", "Wang", "wang wei", "王伟", "li@acme.test", "1002-A")),
    ],
)
def test_short_numbers_and_small_words_are_taken_for_nobodys(value: str, is_personal: bool) -> None:
    """All else has a placeholder, unless it is to be kept."""
    assert looks_personal(value) is is_personal

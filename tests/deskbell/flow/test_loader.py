"""What a flow file may hold, and the sentence for what it may not; the schema for editors says the same."""

import json
from pathlib import Path
from typing import get_args

import jsonschema_rs
import pytest

import deskbell.flow
from deskbell.flow.differences import DifferenceKind
from deskbell.flow.document import Document
from deskbell.flow.loader import Flow, load_flow
from deskbell.flow.model import Step, json_schema
from shared.errors import FlowFileError

DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "flows.md"

SCHEMA = Path(deskbell.flow.__file__).parent / "flow.schema.json"

GOOD = """
# yaml-language-server: $schema=flow.schema.json
app: "1400000001"
session: {SystemClientUserID: user517, Level: "3"}
cases:
  an order:
    - call: order_status
    - call: {node: order_status, variables: {OrderID: "1002", Note: "", Answer: yes}, session: [Level]}
    - call: {variables: {a: b}, session: {Other: Level}}
    - expect: {outcome: answered, variables: {OrderStatus: shipped}, others: none, within_ms: 1500}
    - jobs: {crm.contact: done, note: {ends: dead, attempts: 2, within_ms: 5000}, others: none}
    - duplicate: 2
    - wait: {ms: 5}
  no order:
    - call: {node: order_status}
    - expect: {code: 1, info: no such order}
    - exception:
        - event: session_event
        - event: {command: Desk.SessionEventNotify, fields: {Event: ChatBot.UserSendMsg, SatisfactionSelected: 5}}
  the branch is empty:
    - call: order_status
    - exception:
  talked back:
    - call: invoice
    - desk: {send_msg: one, others: none}
    - desk: {send_msg: [one, {MsgBody: []}], send_stream_msg: a, end_session: , transfer_to_human: {}, within_ms: 5}
  routed:
    - assign:
    - expect: {fields: {AgentGroupId: 2, AgentIdList: [a@b.c]}}
    - assign: {fields: {CustomerServiceId: x}}
"""

STEP = "cases:\n  a:\n    - call: x\n    - "

BAD = [  # the file; the line and the sentence; whether the schema cannot say it
    ("", ": expected cases, got an empty file; write cases: and a case below it", False),
    ("cases: [", ":1: expected YAML; the parser says: ", True),
    ("- a", ":1: the file: expected an object, name: value, got a list", False),
    ("case:\n  a: []\ncases: {a: [{call: x}]}", ":1: unknown key case; did you mean cases?", False),
    ("app: x\ncases: {a: [{call: x}]}", ":1: app: expected text of the form ^[0-9]{1,20}$, got 'x'", False),
    ("session: {A: b}", ":1: cases: missing; write cases: and its value", False),
    ("cases: {}", ":1: cases: expected at least one case, got none", False),
    ("cases:\n  a: []", ":2: a: expected at least one step, got none", False),
    ("cases:\n  a: {call: x}", ":2: a: expected a list of steps, each begun with a dash, got an object", False),
    ("cases:\n  a:\n    - x", ":3: step 1: expected an object, name: value, got 'x'", False),
    (
        "cases:\n  a:\n    - {}",
        ":3: expected one key for each step: begin a line of its own with a dash, got none",
        False,
    ),
    (
        "cases:\n  a:\n    - call: x\n      expect: {code: 0}",
        ":3: expected one key for each step: begin a line of its own with a dash, got call and expect",
        False,
    ),
    ("cases:\n  a:\n    - cal: x", ":3: unknown key cal; did you mean call?", False),
    (STEP + "expect: {varables: {A: b}}", ":4: unknown key varables; did you mean variables?", False),
    (STEP + "jobs: {call: {ends: done, attempt: 1}}", ":4: unknown key attempt; did you mean attempts?", False),
    (STEP + "exception:\n        - even: x", ":5: unknown key even; did you mean event?", False),
    (STEP + "desk: {send_mesg: hello}", ":4: unknown key send_mesg; did you mean send_msg?", False),
    (STEP + "desk: {within_ms: 5}", ":4: desk checks nothing; write for example desk: {send_msg: the text}", True),
    (STEP + "desk: {send_msg: [5]}", ":4: step 1: expected an object, name: value, got 5", False),
    (STEP + "desk: {end_session: now}", ":4: step 1: expected an object, name: value, got 'now'", False),
    (
        STEP + "call:\n        variables:\n          OrderID: 007",
        ':6: OrderID: expected text, got the number 007 without quotes; write "007": it is a string on the wire',
        False,
    ),
    (
        STEP + "expect: {variables: {Count: 1e3}}",
        ':4: Count: expected text, got the number 1e3 without quotes; write "1e3": it is a string on the wire',
        False,
    ),
    (STEP + "expect: {variables: {Paid: true}}", ":4: Paid: expected text, got true without quotes; write", False),
    (
        STEP + "call: {variables: {A: }}",
        ':4: A: expected text, got nothing; write "" for a variable without a value',
        False,
    ),
    (STEP + "call: {variables: {A: [b]}}", ":4: A: expected text, got a list", False),
    (STEP + "call: {node: a/b}", ":4: node: expected text of the form", False),
    (STEP + "call: a b", ":4: node: expected text of the form", False),
    (STEP + "call:", ":4: call: expected a value, got nothing", False),
    (STEP + "expect: {outcome: answerd}", ":4: outcome: expected answered or fallback or", False),
    (STEP + "expect: {code: 'x'}", ":4: code: expected a valid integer, got 'x'", False),
    (STEP + "expect: {within_ms: 0}", ":4: within_ms: expected greater than 0, got 0", False),
    (STEP + "expect: {}", ":4: expect checks nothing; write for example expect: {outcome: answered}", False),
    (STEP + "jobs: {}", ":4: jobs checks nothing; write for example jobs: {crm.contact: done}", False),
    (STEP + "jobs: {x: none}", ":4: ends: expected done or dead, got 'none'", False),
    (STEP + "jobs: {x: dne}", ":4: ends: expected done or dead, got 'dne'; did you mean done?", False),
    (STEP + "duplicate: true", ":4: duplicate: expected a valid integer, got true", False),
    (STEP + "wait: {}", ":4: ms: missing; write ms: and its value", False),
    (STEP + "event: sesion_event", ":4: no command 'sesion_event'; did you mean session_event?", True),
    (STEP + "event: {command: member_event, fields: {Evnt: x}}", ":4: member_event: a field names 'Evnt'; write", True),
    (STEP + "event: api_call", ":4: an API call is a step of its own; write call: NODE", True),
    (STEP + "event: Chatbot.interfaceInvocation", ":4: an API call is a step of its own; write call: NODE", True),
    (STEP + "call: {variables: {SystemSesionID: x}}", ":4: a variable names 'SystemSesionID'; write", True),
    (STEP + "call: {variables: {A: x}, session: [A]}", ":4: A is given twice, under variables and under session", True),
    ("cases: {a: [{expect: {code: 0}}]}", ":1: expect is about the callback before it, and there is none", True),
    ("cases: {a: [{assign: }, {exception: }]}", ":1: only an API call has an exception branch, and the last", True),
    ("cases:\n  a: [{call: x}]\n  a: [{call: y}]", ":3: a is here twice, first on line 2; keep one", True),
    ("cases:\n  1002: [{call: x}]", ':2: expected a name, got the number 1002; write it in quotes, "1002"', True),
    ("cases: &a\n  b: *a", ":1: expected at most 50 levels, got more, or an alias of itself", True),
    ("cases: !!python/name:os.system x", ":1: expected plain YAML, got the tag", True),
    ("cases: {a: [{assign: {fields: {A: .nan}}}]}", ":1: expected a number as JSON has it, got .nan", True),
]


def flow(folder: Path, text: str) -> Flow:
    """Load a file with a text."""
    path = folder / "flow_x.yaml"
    path.write_text(text)
    return load_flow(path)


def test_a_file_may_hold_every_step(tmp_path: Path) -> None:
    """Texts stand for objects where one key is enough, and plain words are text as YAML 1.2 has it."""
    cases = flow(tmp_path, GOOD).content.cases

    first, second, third, *_ = cases["an order"]
    assert first.call
    assert first.call.node == "order_status"
    assert second.call
    assert second.call.variables == {"OrderID": "1002", "Note": "", "Answer": "yes"}
    assert second.call.session == {"Level": "Level"}
    assert third.call
    assert third.call.session == {"Other": "Level"}
    assert cases["the branch is empty"][1].exception == []


@pytest.mark.parametrize(("text", "sentence", "_"), BAD)
def test_what_cannot_be_played_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str, _: bool) -> None:
    """One sentence: the file, the line, what was expected, what came, what to write."""
    with pytest.raises(FlowFileError) as refused:
        flow(tmp_path, text)

    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'flow_x.yaml'}{sentence}"), message
    assert "\n" not in message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, nothing at all, bytes that are no text."""
    tmp_path.joinpath("bytes").write_bytes(b"\xff")

    for name, sentence in (
        ("", "Is a directory"),
        ("none", "No such file or directory"),
        ("bytes", "expected text in"),
    ):
        with pytest.raises(FlowFileError, match=sentence):
            load_flow(tmp_path / name)


def test_the_schema_takes_what_the_loader_takes(tmp_path: Path) -> None:
    """And refuses what it refuses, but for what no schema can say: editors show a mistake before it is played."""
    validator = jsonschema_rs.validator_for(json_schema())

    assert list(validator.iter_errors(flow(tmp_path, GOOD).document.value)) == []
    for text, _, is_beyond in BAD:
        if not is_beyond:
            assert not validator.is_valid(value(text)), text
    for text in [text for text, _, is_beyond in BAD if is_beyond and "event" in text]:
        assert validator.is_valid(value(text)), text  # else it would have to stand among the others


def test_the_schema_ships() -> None:
    """For editors; `deskbell flow --schema > deskbell/flow/flow.schema.json` writes it anew."""
    assert json.loads(SCHEMA.read_text()) == json_schema()


def value(text: str) -> object:
    """What a file holds; nothing if it is empty."""
    return Document(Path("flow_x.yaml"), text).value if text else None


def test_the_documents_flows_can_be_played(tmp_path: Path) -> None:
    """Every block of YAML in docs/how-to/flows.md."""
    blocks = DOCUMENT.read_text().split("```yaml\n")[1:]

    assert [len(flow(tmp_path, block.partition("```")[0]).content.cases) for block in blocks] == [2]


@pytest.mark.parametrize(("head", "names"), [("step", set(Step.model_fields)), ("kind", set(get_args(DifferenceKind)))])
def test_the_document_lists_every_step_and_every_kind_of_difference(head: str, names: set[str]) -> None:
    """And no other."""
    rows = DOCUMENT.read_text().partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]

    assert {row.split("`")[1] for row in rows} == names

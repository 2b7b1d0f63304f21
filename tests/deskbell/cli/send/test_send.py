"""`deskbell send`: one callback, as Desk sends it, or as the api must refuse it."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.job import Job

from deskbell import ApiCall, Callbacks, Discard, Jobs
from shared.redis.queues import EVENTS, queue
from tests import forked
from tests.conftest import PACKETS, ApiFactory, WorkplaceFactory
from tests.desk import APP, TOKEN
from tests.processes import environment
from tests.waiting import until

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def send(tmp_path: Path) -> Run:
    """Run `deskbell send` with arguments, in a folder of its own, with nothing but the settings given."""

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        given = {f"DESKBELL_{name}": value for name, value in settings.items()}
        return forked.run("send", *words, env=environment(**given), cwd=tmp_path)

    return run


def order_status() -> Callbacks:
    """A handler for orders."""
    callbacks = Callbacks()

    @callbacks.api_call("order_status")
    def order_status(OrderID: int) -> dict[str, str]:
        return {"OrderStatus": f"{OrderID} shipped"}

    return callbacks


def packets(redis: Redis) -> list[dict[str, Any]]:
    """The packets that were kept, in order."""
    return [job.args[0]["packet"] for job in queue(EVENTS, redis).jobs]


def test_send_posts_what_tencent_does(send: Run, start_api: ApiFactory, redis: Redis) -> None:
    """Status, milliseconds, event and envelope are printed; what came in has every field of the query."""
    desk = start_api(order_status())

    sent = send("order_status", "OrderID=7", "Note=a=b", "--url", desk.url, "--token", TOKEN)

    assert sent.returncode == 0, sent.stderr
    target, first, second = sent.stdout.splitlines()
    (job,) = queue(EVENTS, redis).jobs
    assert target == f"POST {desk.url}/callback/order_status"
    assert first.startswith("HTTP 200 in ")
    assert first.endswith(f" ms, event {job.id}")
    assert json.loads(second)["Body"] == {"OrderStatus": "7 shipped"}
    event = job.args[0]
    assert event["packet"]["Body"] == {"OrderID": "7", "Note": "a=b"}
    assert abs(event["packet"]["EventTime"] - time.time() * 1000) < 60_000
    assert (len(event["request_id"]), event["client_ip"], event["platform"]) == (36, "127.0.0.1", "Web")


def test_send_exits_1_unless_the_error_code_is_0(send: Run, start_api: ApiFactory) -> None:
    """A FAIL, a refusal and an api that is not there; a sentence says why."""
    desk = start_api(order_status())
    to = ("--url", desk.url, "--token", TOKEN)

    failed = send("order_status", "OrderID=x", *to)
    refused = send("order_status", "OrderID=7", "--url", desk.url, "--token", "wrong")
    elsewhere = send("--url", f"{desk.url}/nowhere", "--token", TOKEN)
    unreachable = send("--url", "http://127.0.0.1:1")

    assert (failed.returncode, '"ErrorCode":1007' in failed.stdout) == (1, True)
    assert failed.stderr.startswith("deskbell: ErrorCode 1007: a variable is missing or does not fit ")
    assert (refused.returncode, '"ErrorCode":1003' in refused.stdout) == (1, True)
    assert refused.stderr.startswith("deskbell: ErrorCode 1003: Sign is missing, ")
    assert (elsewhere.returncode, elsewhere.stderr.startswith("deskbell: ErrorCode 404: ")) == (1, True)
    assert (unreachable.returncode, "no answer from http://127.0.0.1:1/callback" in unreachable.stderr) == (1, True)
    assert unreachable.stderr.endswith("; run `deskbell dev` here, or write the api's --url\n")


def test_every_command_is_the_documented_packet_with_other_fields(
    send: Run, start_api: ApiFactory, redis: Redis
) -> None:
    """By its fixture's name or as `CallbackCommand`; a file is sent as it is; an unlisted command is sent, too."""
    to = ("--url", start_api().url, "--token", TOKEN)

    sent = [
        send("session_event", "Event=SessionBegin", "IsContactUser=true", *to),
        send("--command", "DESK.SessionEventNotify", "SessionId=s-1", *to),
        send("--body-file", str(PACKETS / "task_flow_event.json"), *to),
        send("--command", "Desk.SomethingNew", "Field=1", *to),
    ]

    documented = json.loads((PACKETS / "session_event.json").read_bytes())
    begin, named, file, new = packets(redis)
    assert [each.returncode for each in sent] == [0, 0, 0, 0]
    assert begin == {**documented, "Event": "SessionBegin", "IsContactUser": True, "EventTime": begin["EventTime"]}
    assert named == {**documented, "SessionId": "s-1", "EventTime": named["EventTime"]}
    assert file == json.loads((PACKETS / "task_flow_event.json").read_bytes())
    assert (new["CallbackCommand"], new["Field"]) == ("Desk.SomethingNew", "1")
    assert sent[3].stderr == "deskbell: no page lists the command Desk.SomethingNew\n"


SOURCE = """
from datetime import date
from typing import Annotated, Literal
from pydantic import Field
from deskbell import Callbacks
callbacks = Callbacks()
@callbacks.api_call("book", when={"type": "1"})
def book(
    RoomID: str, Nights: Annotated[int, Field(ge=2)], Day: date, Class: Literal["first", "second"], Guests: list[str],
    SystemClientUserID: str, Name: str,
    Code: Annotated[str, Field(pattern="[A-Z]{3}", examples=["ABC"])], Wish: str = "",
) -> None: ...
@callbacks.api_call
def hard(Code: Annotated[str, Field(pattern="[A-Z]{3}")]) -> None: ...
"""


def test_inputs_that_are_left_out_are_made_up_from_the_handlers_signature(
    send: Run, start_api: ApiFactory, redis: Redis, tmp_path: Path
) -> None:
    """They fit their annotations; what has a default is sent empty, as Desk does; the conditions of `when=` hold."""
    (tmp_path / "acme.py").write_text(SOURCE)
    to = ("--url", start_api().url, "--token", TOKEN)

    made_up = send("book", "Name=Li", *to, CALLBACKS="acme:callbacks")
    hard = send("hard", *to, CALLBACKS="acme:callbacks")
    unknown = send("bok", *to, CALLBACKS="acme:callbacks")
    broken = send("book", *to, CALLBACKS="acme:nothing")

    body = packets(redis)[0]["Body"]
    assert body.items() >= {"type": "1", "Nights": "2", "RoomID": "1", "Day": "2026-01-31", "Class": "first"}.items()
    assert (
        body.items()
        >= {"Guests": "[]", "Name": "Li", "Code": "ABC", "Wish": "", "SystemClientUserID": "user517"}.items()
    )
    assert made_up.stdout.startswith("made up from the handler's signature: type=1 RoomID=1 Nights=2 ")
    assert (hard.returncode, hard.stderr.startswith("deskbell: Code: no sample fits ")) == (2, True)
    assert unknown.stderr.startswith("deskbell: acme:callbacks has no handler for bok; did you mean book?\n")
    assert broken.stderr.startswith("deskbell: inputs are not filled in: DESKBELL_CALLBACKS: ")


def test_what_the_api_must_refuse_is_refused_and_says_why(send: Run, start_api: ApiFactory, redis: Redis) -> None:
    """Exit status 0 is the refusal that is due; no event is kept."""
    to = ("--url", start_api(budget_ms=1000, redis_timeout_ms=250, long_budget=False).url, "--token", TOKEN)

    refused = {kind: send(f"--{kind}", *to) for kind in ("stale", "wrong-token", "foreign-app", "slow")}

    assert {kind: each.returncode for kind, each in refused.items()} == dict.fromkeys(refused, 0)
    assert [each.stdout.splitlines()[-1] for each in refused.values()] == [
        "refused, as is due: ErrorCode 1003, since RequestTime was 120 s old, and 60 s are allowed",
        "refused, as is due: ErrorCode 1003, since Sign was made with another token than the app's",
        "refused, as is due: ErrorCode 1002, since SdkAppid was another one, and must be one of DESKBELL_APPS",
        "refused, as is due: ErrorCode 1001, since half of the body was held back for longer than the api's budget",
    ]
    assert packets(redis) == []


def test_a_kind_that_is_accepted_or_refused_for_another_reason_is_a_failure(send: Run, start_api: ApiFactory) -> None:
    """As of an app that is locked by the secret path alone, and without that secret."""
    secret = "0123456789abcdef"
    desk = start_api(apps={APP: []}, path_secret=secret)

    accepted = send("--stale", "--url", f"{desk.url}/{secret}", "--token", TOKEN)
    otherwise = send("--stale", "--url", desk.url, "--token", TOKEN)

    expected = "deskbell: expected the api to refuse with ErrorCode 1003, since RequestTime was 120 s old"
    assert (accepted.returncode, otherwise.returncode) == (1, 1)
    assert accepted.stderr.startswith(expected)
    assert accepted.stderr.endswith("; it accepted the callback\n")
    assert "; ErrorCode 404: the api has no such path; write --url" in otherwise.stderr


def test_a_duplicate_gets_the_first_ones_answer(send: Run, start_api: ApiFactory, redis: Redis) -> None:
    """And one event is kept; as JSON too."""
    to = ("--url", start_api(order_status()).url, "--token", TOKEN)

    sent = send("order_status", "OrderID=7", "--duplicate", "--json", *to)

    told = json.loads(sent.stdout)
    first, second = told["answers"]
    assert (sent.returncode, told["is_due"], told["kind"]) == (0, True, "duplicate")
    assert first["event"] == second["event"] == queue(EVENTS, redis).job_ids[0]
    assert first["envelope"]["Body"] == second["envelope"]["Body"] == {"OrderStatus": "7 shipped"}
    assert queue(EVENTS, redis).count == 1


def test_wait_follows_the_events_jobs_to_their_end(
    start_api: ApiFactory, open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """A line for each; exit status 1 if one is a dead letter."""
    jobs = Jobs()

    @jobs.on(ApiCall, name="crm.note")
    def note(event: ApiCall) -> None: ...

    @jobs.on(ApiCall)
    def give_up(event: ApiCall) -> None:  # noqa: ARG001 - as integrators write it
        raise Discard("a customer's text")

    to = ("--url", start_api().url, "--token", TOKEN)
    with (tmp_path / "output").open("wb") as output:
        process = forked.Forked(
            ("send", "--wait", *to), environment(DESKBELL_REDIS_URL=valkey_url), tmp_path, stdout=output
        )
    until(lambda: queue(EVENTS, redis).count)
    open_workplace(jobs).work(EVENTS, "default")

    assert process.wait(60) == 1
    first, second = (tmp_path / "output").read_text().splitlines()[3:]
    assert first.split() == ["crm.note", "default", "done", "attempt", "1"]
    assert second.split()[:6] == ["give_up", "default", "dead", "attempt", "1", "Discard"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("order_status OrderID", "expected NAME=VALUE, got 'OrderID'"),
        ("OrderID=1 order_status", "expected NAME=VALUE, got 'order_status'"),
        ("=1", "expected NAME=VALUE, got '=1'"),
        ("OrderID=1 OrderID=2", "OrderID is given twice: write it once"),
        ("OrderID=1 --body-file {packet}", "--body-file and OrderID=… exclude each other"),
        ("node/1", "expected a node of up to 64 letters, digits, dots, dashes and underscores, got 'node/1'"),
        ("session_event node", "Desk.SessionEventNotify has no node: expected NAME=VALUE, got 'node'"),
        ("session_event Evnt=1", "send: a field names 'Evnt'; write 'Event', as the packet does"),
        ("task_flow_event Seq=x", "Seq: expected a whole number such as 1, as in the documented packet, got 'x'"),
        ("SystemSesionID=1", "send: a variable names 'SystemSesionID'; write 'SystemSessionID', as Desk does"),
        ("--command 1", "--command: expected a name of letters, digits, dots and underscores, got '1'"),
        ("--stale --slow", "--stale and --slow exclude each other: write one, and send again for the other"),
        ("--stale --wait", "--wait and --stale exclude each other: what is refused has no jobs"),
        ("--wait --rate 1/s", "--wait and --rate exclude each other: --wait is about one callback"),
        ("--rate 5", "--rate: expected a rate such as 200/s, 600/min or 1000/h, at most 1000/s, got '5'"),
        ("--rate 5000/s", "--rate: expected a rate such as 200/s, 600/min or 1000/h, at most 1000/s, got '5000/s'"),
        ("--rate 5/s --for soon", "--for: expected a time such as 30s or 2m, got 'soon'"),
        (
            "--rate 900/s --for 1h",
            "--for: expected at most 60,000 callbacks in all, got 3,240,000: write a shorter time",
        ),
        ("--url htp://host", "--url: expected http://… or https://…, got 'htp://host'"),
        ("--for 9s", "--for needs --rate, and no --repeat: write --rate 200/s --for 10s"),
    ],
)
def test_a_wrong_word_or_option_is_one_sentence(send: Run, words: str, sentence: str) -> None:
    """It says what was expected, what came and what to write; nothing is sent."""
    ended = send(
        "--url", "http://127.0.0.1:1", *(word.format(packet=PACKETS / "api_call.json") for word in words.split())
    )

    assert (ended.returncode, ended.stderr) == (2, f"deskbell: {sentence}\n")


def test_a_word_that_is_nearly_a_command_is_a_node_and_says_so(send: Run, start_api: ApiFactory, redis: Redis) -> None:
    """An integrator's node may have any name."""
    sent = send("sesion_event", "--url", start_api().url, "--token", TOKEN)

    (job,) = queue(EVENTS, redis).jobs
    assert Job.fetch(job.id, redis, queue(EVENTS, redis).serializer).args[0]["node"] == "sesion_event"
    assert sent.stderr.startswith(
        "deskbell: sesion_event is no command, and so was taken for a node; did you mean session"
    )


def test_a_name_that_is_misspelt_is_sent_and_said(send: Run, start_api: ApiFactory, tmp_path: Path) -> None:
    """Desk may send a variable that no handler reads, and an event that no page lists; a person has mistyped it."""
    (tmp_path / "acme.py").write_text(SOURCE)
    to = ("--url", start_api(order_status()).url, "--token", TOKEN)

    near = send("book", "type=1", "Roomid=1", "SystemChannelType=SDK", *to, CALLBACKS="acme:callbacks")
    far = send("hard", "Code=ABC", "Q=1", *to, CALLBACKS="acme:callbacks")
    event = send("session_event", "Event=SessionBegn", *to)
    unlisted = send("task_flow_event", "Event=Q", *to)

    assert near.stderr.startswith("deskbell: the handler of book does not read Roomid; did you mean RoomID?\n")
    assert far.stderr.startswith("deskbell: the handler of hard does not read Q; it reads Code\n")
    assert event.stderr == "deskbell: no page lists Event=SessionBegn; did you mean SessionBegin?\n"
    assert unlisted.stderr == "deskbell: no page lists Event=Q; they list TaskBegin\n"
    assert (event.returncode, unlisted.returncode) == (0, 0)

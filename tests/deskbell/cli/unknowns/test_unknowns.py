"""`deskbell unknowns`, on a real server with events that were accepted and fanned out."""

import json
import re
from pathlib import Path
from typing import Any

from redis import Redis

from deskbell import Event, Jobs
from deskbell.simulator.client import Desk
from deskbell.simulator.packets import packet_of
from deskbell.unknowns.documented import EVENTS, VARIABLES, fields_of
from shared.redis.queues import EVENTS as EVENTS_QUEUE
from shared.wire.commands import COMMANDS
from shared.wire.protocol import API_CALL
from tests import forked
from tests.conftest import ApiFactory, WorkplaceFactory
from tests.desk import APP, TOKEN
from tests.processes import environment

PROTOCOL = (Path(__file__).parents[4] / "docs" / "reference" / "protocol.md").read_text()


def unknowns(url: str, folder: Path, *words: str) -> str:
    """What the command prints."""
    ended = forked.run("unknowns", *words, env=environment(DESKBELL_REDIS_URL=url), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_names_that_no_page_lists_are_counted_and_values_are_not_shown(
    start_api: ApiFactory, open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """Commands, events, fields, system variables; an event counts once, whether it waits, is done, or both."""
    jobs = Jobs()

    @jobs.on(Event)
    def keep(event: Event) -> None: ...

    packets: list[dict[str, Any]] = [
        packet_of("session_event", {"Event": "SessionClosed", "Reason": "planted", "Free text": "planted"}),
        packet_of("session_event", {"Event": "SessionClosed"}),
        packet_of("session_event", {"Event": "planted text"}),
        packet_of("api_call", {"Body": {"SystemTenantID": "planted", "OrderID": "planted", "SystemSessionID": "s"}}),
        {"CallbackCommand": "Desk.SomethingNew", "EventTime": 1, "Detail": {"planted": 1}},
    ]
    with Desk(start_api().url, APP, TOKEN) as desk:
        answers = [desk.post(packet) for packet in packets]
    open_workplace(jobs).work(EVENTS_QUEUE)
    with redis.pipeline() as pipeline:  # so many keys that the jobs of an event are found far apart
        for number in range(2000):
            pipeline.hset(f"rq:job:another-{number}", "data", "no event's")
        pipeline.execute()

    told = json.loads(unknowns(valkey_url, tmp_path, "--json"))
    text = unknowns(valkey_url, tmp_path)

    assert [answer.code for answer in answers] == [0] * 5
    assert (told["logged"], told["packets"]) == (5, 5)
    assert {kind: [(each["name"], each["count"]) for each in told[kind]] for kind in list(told)[3:]} == {
        "commands": [("Desk.SomethingNew", 1)],
        "events": [("SessionClosed", 2)],
        "fields": [("Reason", 1), ("Detail", 1)],
        "variables": [("SystemTenantID", 1)],
    }
    assert "  Desk.SessionEventNotify  SessionClosed  2\n" in text
    assert "planted" not in text + json.dumps(told)


def test_documented_packets_hold_nothing_unknown(start_api: ApiFactory, valkey_url: str, tmp_path: Path) -> None:
    """Each of them, also on an empty server."""
    empty = unknowns(valkey_url, tmp_path)
    with Desk(start_api().url, APP, TOKEN) as desk:
        for command in COMMANDS:
            desk.post(packet_of(command))

    text = unknowns(valkey_url, tmp_path)

    assert empty == text.replace("8 callbacks", "0 callbacks").replace("8 packets", "0 packets")
    assert text.endswith("Every name in them is in docs/reference/protocol.md.\n")


def test_what_counts_as_documented_is_what_protocol_md_says() -> None:
    """Every name stands there in backquotes, and every field that it lists of the notifications is known."""
    listed = set(re.findall(r"`([A-Za-z_.]+)`", PROTOCOL))
    notifications = PROTOCOL[PROTOCOL.index("### 3.3") : PROTOCOL.index("### 3.4")]
    names = {name for names in EVENTS.values() for name in names}
    fields = {name for command in COMMANDS for name in fields_of(command)}

    assert names | VARIABLES | fields <= listed
    assert set(re.findall(r"`([A-Z][A-Za-z]+)`", notifications)) - names - {"SDK", "Web"} <= fields
    assert fields_of(API_CALL) == {"CallbackCommand", "Body", "EventTime"}
    assert fields_of("Desk.SomethingNew") == {"CallbackCommand", "EventTime"}

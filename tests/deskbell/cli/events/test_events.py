"""`deskbell events`: what a customer was told, what became of it, and what is said when nothing can be."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell import Event
from deskbell.testing import api_call
from shared.records.packing import digest
from shared.wire.events import Reply
from tests import forked
from tests.conftest import ApiFactory, WorkplaceFactory
from tests.processes import environment
from tests.records import put_event_with_jobs, put_on_record, record_of
from tests.waiting import until

Events = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def events(valkey_url: str, tmp_path: Path) -> Events:
    """Run it."""

    def run(*words: str, url: str = valkey_url) -> subprocess.CompletedProcess[str]:
        return forked.run("events", *words, env=environment(DESKBELL_REDIS_URL=url), cwd=tmp_path)

    return run


def put(redis: Redis, node: str, user: str, outcome: Any = "answered") -> Event:
    """Put a callback on record."""
    event = api_call(node, OrderID="1002", SystemClientUserID=user, SystemSessionID=f"s-{user}")
    put_on_record(redis, record_of(event, Reply(variables={"Status": "sent"}, outcome=outcome)))
    return event


def test_what_a_user_was_told_is_found_by_user_session_node_outcome_and_time(events: Events, redis: Redis) -> None:
    """Alone and together; as text and as JSON, and always with how far it looked."""
    ours = put(redis, "order", "user517")
    other = put(redis, "parcel", "user517", "fallback")
    put(redis, "order", "user1")

    listed = events("--user", "user517")
    for words, found in (
        (["--user", "user517"], {ours.id, other.id}),
        (["--session", "s-user517", "--node", "order"], {ours.id}),
        (["--outcome", "fallback", "--since", "5m"], {other.id}),
        (["--user", digest("user", "user517").hex(), "--app", ours.app_id], {ours.id, other.id}),
        (["--user", "user517", "--command", "Desk.Nothing"], set()),
        (["--user", "user517", "--until", "5m"], set()),
        (["--at", f"{ours.received_at:%Y-%m-%dT%H:%M}+00:00", "--user", "user517"], {ours.id, other.id}),
    ):
        data = json.loads(events(*words, "--json").stdout)
        assert {call["id"] for call in data["calls"]} == found, words
        assert data["back_to"] is None

    assert "order  answered  user " in listed.stdout
    assert "told   Status=(4 characters)" in listed.stdout
    assert "user517" not in listed.stdout.replace("s-user517", "")
    assert listed.stdout.endswith("2 shown: looked at 2 records, all that there are; they are kept for 72 hours.\n")
    limited = events("--limit", "1").stdout.splitlines()[-1]
    assert limited.startswith("1 shown: looked at 1 records (--limit 1). For older ones: --until 20")


def test_the_story_of_an_event_has_its_answer_its_jobs_and_their_attempts(
    events: Events, start_api: ApiFactory, redis: Redis, open_workplace: WorkplaceFactory
) -> None:
    """From the callback through the api and a worker: what was asked, told and tried, and when it is tried again."""
    event_id = put_event_with_jobs(redis, start_api, open_workplace)

    shown = events(event_id).stdout
    data = json.loads(events(event_id, "--json").stdout)

    assert "asked     OrderID=1002" in shown
    assert "asked     SystemClientUserID=(7 characters)" in shown
    assert "told      Status=(9 characters)" in shown
    assert "job       its own job on events: finished" in shown
    assert "job       crm.contact on crm: scheduled, next try " in shown
    assert "job       note on crm: finished" in shown
    assert {(each["job"], each["number"], each["outcome"]) for each in data["attempts"]} == {
        ("crm.contact", 1, "retry"),
        ("note", 1, "done"),
    }
    assert [each["cause"].split(" at ")[0] for each in data["attempts"] if each["outcome"] == "retry"] == ["Retry"]


def test_an_event_that_nobody_knows_is_told_so(events: Events, redis: Redis) -> None:
    """With status 1; nothing passes for an event without jobs."""
    assert redis.ping()

    unknown = events("0" * 32)

    assert unknown.returncode == 1
    assert "none of the callback: it was never kept, or more than 72 hours ago, or made room" in unknown.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["not-an-id"], "expected the id of an event, 32 hex digits, got 'not-an-id'"),
        (["0" * 32, "--user", "u"], "write either an id, or options that say which"),
        (["--outcome", "good"], "--outcome: expected answered, fallback, late, refused, misfit, no_handler, "),
        (["--at", "14:02", "--since", "2h"], "--at: expected a moment alone, or `since` and `until`, got '14:02'"),
        (["--at", "25:00"], "--at: expected a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date, got '25:00'"),
        (["--follow", "--since", "2h"], "--follow shows what comes from now on"),
        (["--limit", "0"], "'--limit': "),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(events: Events, words: list[str], sentence: str) -> None:
    """Before Redis is asked."""
    refused = events(*words, url="redis://127.0.0.1:1/0")

    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_new_callbacks_are_followed(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """Those that fit, as they come, and none from before; until whoever reads them has enough, without a word."""
    put(redis, "order", "before")
    command = [sys.executable, "-m", "deskbell", "events", "--follow", "--node", "order", "--json"]
    env = environment(DESKBELL_REDIS_URL=valkey_url)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, cwd=tmp_path, **pipes) as process:
        assert process.stdout
        assert process.stderr
        until(lambda: any("xrange" in str(each.get("cmd")) for each in redis.client_list()))
        put(redis, "other", "after")
        event = put(redis, "order", "after")
        followed = json.loads(process.stdout.readline())
        process.stdout.close()
        put(redis, "order", "later")
        said = process.stderr.read()

    assert followed["id"] == event.id
    assert (process.returncode, said) == (1, "")

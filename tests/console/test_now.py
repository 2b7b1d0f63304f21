"""The first page."""

import json
import re
import time

from pydantic import SecretStr
from redis import Redis

from console.rendering import shown
from console.state import State
from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost
from shared.redis.history import MINUTE_KEY
from shared.redis.queues import EVENTS, queue
from shared.redis.workers import WORKER_KEY, DeclaredJobType, WorkerRecord
from shared.runtime.blocks import LAST_BLOCKS_KEY
from tests.conftest import SettingsFactory
from tests.console.browsing import Browser, browsing
from tests.console.conftest import ConsoleFactory
from tests.deskbell.cli.doctor.looking import worker
from tests.redis_outages import Server
from tests.waiting import until
from tests.workers.failed_jobs import write_dead_letters


def test_what_is_wrong_comes_first(open_console: ConsoleFactory, redis: Redis) -> None:
    """A queue that nobody reads, in the sentence of `deskbell doctor`."""
    queue("crm", redis).enqueue("workers.perform.perform", job_id="a" * 32 + "-crm-contact")

    page = open_console().get("/").text

    assert "no living worker reads the queue crm" in page
    assert page.index("no living worker reads the queue crm") < page.index('id="answers"')


def silent(name: str, *queues: str) -> bytes:
    """The record of a worker that has given no sign of life for a while."""
    record = WorkerRecord(
        name=name, host="vm", pid=1, version="1", queues=queues, job_types={}, slots=1, noted=time.time() - 31
    )
    return record.to_json()


def test_a_sentence_that_holds_for_several_queues_is_said_once(open_console: ConsoleFactory, redis: Redis) -> None:
    """Beside each queue stands whether it moves, and below, which minute the rates are of."""
    for name in ("crm", "erp"):
        queue(name, redis).enqueue("workers.perform.perform", job_id="a" * 32 + f"-{name}")
    with worker(redis, "crm", "erp") as here:
        redis.set(WORKER_KEY + here.name, silent(here.name, "crm", "erp"))
        page = open_console().get("/").text

    assert page.count("the worker vm:1 has given no sign of life") == 1
    assert page.partition('id="queues"')[2].count(">stands still<") == 2
    assert re.search(r"the last full minute, which began at \d\d:\d\d:00 UTC", page)


def test_that_nothing_answers_and_nobody_works_is_told_first(open_console: ConsoleFactory, redis: Redis) -> None:
    """In the next look of the page, not after doctor's slower checks; also while events wait, and no queue is new."""
    host = ApiHost(host="vm", folder="/spool", events=3, oldest=None, noted=time.time() - 90, has_ended=False)
    redis.hset(API_HOSTS_KEY, host.field, host.to_json())
    redis.hset(f"{MINUTE_KEY}{int(time.time() // 60)}", "refused\tcannot_keep\toutcome\t", 1200)
    queue(EVENTS, redis).enqueue("workers.fan_out.fan_out")

    page = open_console().get("/").text
    found, _, rest = page.partition('id="answers"')

    nobody = found.index("no worker runs: events are accepted, and nothing is done for them; start")
    lost = found.index("1,200 callbacks were refused within the last ten minutes, the last at ")
    assert found.index("no api has been heard of since ") < lost
    assert max(nobody, lost) < found.index("no living worker reads the queue")
    assert '<dt>APIs</dt><dd class="bad">0</dd>' in rest
    assert '<dt>last heard of</dt><dd class="bad">' in rest


def test_from_answers_that_are_none_it_is_one_step_to_the_calls(open_console: ConsoleFactory, redis: Redis) -> None:
    """An outcome that somebody may have to see to stands out, and leads to its calls."""
    last_full = int(time.time() // 60) - 1
    for minute in (last_full, last_full + 1):  # it may be over before the page is asked for
        redis.hset(f"{MINUTE_KEY}{minute}", "callback\torder_status\toutcome\tfailed", 3)
        redis.hset(f"{MINUTE_KEY}{minute}", "callback\torder_status\toutcome\tanswered", 4)

    page = open_console().get("/").text

    assert '<dt>failed</dt><dd><a class="bad" href="/calls?outcome=failed">3</a></dd>' in page
    assert "<dt>answered</dt><dd>4</dd>" in page


def test_a_loop_that_is_blocked_is_told_at_once(open_console: ConsoleFactory, redis: Redis) -> None:
    """With the line of code that blocks it; the slower checks of doctor come half a minute later."""
    block = {"at": "acme/jobs.py:12 in enquire", "seconds": 3.1, "noted": time.time(), "is_over": False}
    redis.hset(LAST_BLOCKS_KEY, "job enquire", json.dumps(block))

    page = open_console().get("/").text.partition('id="answers"')[0]

    assert "job enquire blocked an event loop and has not been seen to end" in page
    assert "at acme/jobs.py:12 in enquire" in page


def test_dead_letters_and_a_queue_that_nobody_reads_are_told_while_nothing_waits(
    open_console: ConsoleFactory, redis: Redis
) -> None:
    """What a worker declares, somebody must perform; what is about queues comes before all else that is no problem."""
    write_dead_letters(redis, 3)
    with worker(redis, EVENTS, "crm") as here:
        record = WorkerRecord(
            name=here.name,
            host="vm",
            pid=1,
            version="1",
            queues=(EVENTS, "crm"),
            job_types={"push": DeclaredJobType(queue="erp")},
            slots=1,
            noted=time.time(),
        )
        redis.set(WORKER_KEY + here.name, record.to_json())
        page = open_console().get("/").text.partition('id="answers"')[0]

    unread = page.index("no living worker reads the queue erp; start <code>deskbell worker erp</code>")
    dead = page.index("dead letters, which nothing tries again: 3 on the queue crm")
    assert unread < dead < page.index('href="/dead" id="wrong-2"')


def test_a_hostile_name_of_a_queue_is_text(open_console: ConsoleFactory, redis: Redis) -> None:
    """Whoever can write to Redis can name a queue."""
    name = "<script>alert(1)</script>\u202e\x1b"
    queue(name, redis).enqueue("workers.perform.perform")

    page = open_console().get("/").text

    assert "<script>alert" not in page
    assert shown(name).replace("<", "&lt;").replace(">", "&gt;") in page


def test_while_redis_is_away_the_page_says_so_and_comes_back(server: Server, make_settings: SettingsFactory) -> None:
    """A page tries again by itself; an update leaves what was shown, and is one sentence."""
    with browsing(make_settings(redis_url=SecretStr(server.url))) as url, Browser(url) as browser:
        before = browser.get("/")
        server.kill()
        away, update = browser.get("/"), browser.update("/")
        server.start()
        after = browser.update("/")

    assert (before.status_code, after.status_code) == (200, 200)
    assert (away.status_code, away.headers["refresh"]) == (503, "3")
    assert "Redis does not answer. This page renews itself when it does." in away.text
    assert (update.status_code, update.headers["content-type"]) == (503, "text/plain; charset=utf-8")


def test_a_redis_that_refuses_is_not_said_to_be_away(server: Server, make_settings: SettingsFactory) -> None:
    """What it refuses, and what to do, stands in the banner: the password was changed, or its memory is full."""
    with (
        browsing(make_settings(redis_url=SecretStr(server.url))) as url,
        Browser(url) as browser,
        server.connect() as redis,
    ):
        redis.config_set("maxmemory", 1000)
        until(lambda: "Redis takes no events: OutOfMemoryError" in browser.update("/").text)
        full = browser.update("/").text
        done = browser.post("/queues/pause", data={"queue": EVENTS})
        redis.config_set("requirepass", "another")
        redis.client_kill_filter(_type="normal", skipme=True)
        page, update = browser.get("/"), browser.update("/")
        redis.config_set("requirepass", "")

    assert "no worker runs" not in full
    assert (done.status_code, page.status_code, update.status_code) == (503, 503, 503)
    assert "Redis answers, and refuses this: its memory is full: raise maxmemory, or see what fills it." in done.text
    refused = "Redis answers, and refuses what the console asks: Redis refuses the user or the password in "
    assert refused in page.text
    assert update.text.startswith(refused)


def test_a_console_that_has_prepared_itself_has_read_all_hours(redis: Redis, make_settings: SettingsFactory) -> None:
    """So that whoever opens it first waits for nothing; an hour that nobody has asked for yet is there, too."""
    hours_ago = int(time.time() // 60) - 7 * 60
    redis.hset(f"{MINUTE_KEY}{hours_ago}", "callback\torder_status\toutcome\tanswered", 42)
    state = State(make_settings())

    state.prepare()
    redis.delete(f"{MINUTE_KEY}{hours_ago}")
    steps, _ = state.history.steps()
    state.close()

    assert sum(step.callbacks.count for step in steps) == 42


def test_a_chart_begins_with_five_whole_minutes(redis: Redis, make_settings: SettingsFactory) -> None:
    """What is left of a step whose first minutes are no longer kept would look like an outage."""
    this = int(time.time() // 60)
    with redis.pipeline() as pipeline:
        for minute in range(this - 480, this + 3):
            pipeline.hset(f"{MINUTE_KEY}{minute}", "callback\torder_status\toutcome\tanswered", 10)
        pipeline.execute()
    state = State(make_settings())

    state.prepare()
    steps, since = state.history.steps()
    state.close()

    assert {step.callbacks.count for step in steps[:-1]} == {50}
    assert since == steps[0].began


def test_a_console_that_finds_no_redis_at_its_start_is_prepared_all_the_same(make_settings: SettingsFactory) -> None:
    """Handlers are imported; what Redis has, requests read when it is back."""
    state = State(make_settings(redis_url=SecretStr("redis://127.0.0.1:1/0")))

    state.prepare()
    state.close()

    assert "expected package.module:callbacks" in state.described.loaded().wrong

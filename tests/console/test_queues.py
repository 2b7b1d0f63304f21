"""The pages of queues: how each stands, and who may pause it."""

import json
import time
from datetime import UTC, datetime, timedelta

from redis import Redis
from rq.suspension import suspend

from deskbell import ApiCall, Breaker, Jobs
from deskbell.testing import api_call
from shared.redis.breakers import PAUSED_KEY
from shared.redis.history import MINUTE_KEY
from shared.redis.pauses import queues_paused_by_hand
from shared.redis.queues import EVENTS, queue
from shared.redis.workers import WORKER_KEY, DeclaredJobType, WorkerRecord
from tests.conftest import WorkplaceFactory
from tests.console.browsing import Browser
from tests.console.conftest import ConsoleFactory
from tests.deskbell.cli.doctor.looking import worker
from tests.waiting import until
from workers.audit import AuditLog

JOBS = Jobs()


@JOBS.on(ApiCall, queue="erp", breaker=Breaker(failures=1, pause=60))
async def push(event: ApiCall) -> None:
    """Do nothing."""


HELD = Jobs()


@HELD.on(ApiCall, queue="ledger", attempts=1, ordered_by="session", on_dead="hold")
async def book(event: ApiCall) -> None:
    """Fail."""
    raise OSError(event.id)


def entries(redis: Redis) -> list[tuple[str, str, str, str]]:
    """The audit log, the last entry first."""
    return [(each.by, each.action, each.selection, each.end) for each in AuditLog(redis).latest(20)]


def notice(browser: Browser, path: str) -> str:
    """What a page says of the last action; what was there before the first."""
    return browser.get(path).text.partition('<p class="notice" role="status">')[2].partition("</p>")[0]


def test_an_operator_pauses_a_queue_and_resumes_it(
    sign_in: ConsoleFactory, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Once, however often the button is pressed; the page says who did it, and so does the audit log."""
    open_workplace(JOBS).put_jobs(api_call("order"))
    browser = sign_in("operator")

    paused = browser.post("/queues/pause", data={"queue": "erp", "next": "/queues?name=erp"})
    said = [notice(browser, "/queues?name=erp"), notice(browser, "/queues?name=erp")]
    browser.post("/queues/pause", data={"queue": "erp"})
    said.append(notice(browser, "/queues"))
    page = browser.get("/queues?name=erp").text
    [pause] = queues_paused_by_hand(redis)
    browser.post("/queues/resume", data={"queue": "erp"})
    said.append(notice(browser, "/queues"))

    assert (paused.status_code, paused.headers["location"]) == (303, "/queues?name=erp")
    assert said == [
        "The queue erp is paused.",
        "",
        "The queue erp was paused already.",
        "The queue erp goes on.",
    ]
    assert "the queue erp is paused by operator (console) since " in page
    assert pause.by == "operator (console)"
    assert queues_paused_by_hand(redis) == []
    by = "operator (console)"
    assert entries(redis) == [(by, "resume", "erp", "done"), (by, "pause", "erp", "done")]


def test_nobody_pauses_a_queue_that_is_none(open_console: ConsoleFactory, redis: Redis) -> None:
    """A form that was made up writes nothing; the name is shown as text."""
    browser = open_console()

    browser.post("/queues/pause", data={"queue": "<b>" + "x" * 1000})

    assert "There is no queue &lt;b&gt;xxx" in browser.get("/queues").text
    assert queues_paused_by_hand(redis) == []
    assert browser.get("/queues?name=none").status_code == 404


def test_workers_that_were_suspended_go_on(open_console: ConsoleFactory, redis: Redis) -> None:
    """The sentence of doctor comes with the button that undoes it."""
    suspend(redis)
    browser = open_console()
    pages = [browser.get("/").text, browser.get("/queues").text]

    browser.post("/queues/resume-all", data={"next": "/"})

    assert all("all workers are suspended by <code>rq suspend</code>" in page for page in pages)
    assert all('action="/queues/resume-all"' in page for page in pages)
    assert notice(browser, "/") == "All workers go on."
    assert not redis.exists("rq:suspended")


def test_a_queue_says_why_it_does_not_move(
    open_console: ConsoleFactory, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """With every reason, the first one first, and how long its jobs wait."""
    open_workplace(JOBS).put_jobs(api_call("order"))
    now = time.time() * 1000
    pause = {"queue": "erp", "since": now, "until": now + 60_000, "cause": "<i>OSError</i>"}
    redis.hset(PAUSED_KEY, "push", json.dumps(pause))

    page = open_console().get("/queues?name=erp").text

    assert page.index("no living worker reads the queue erp") < page.index("because jobs of push keep failing")
    assert "(&lt;i&gt;OSError&lt;/i&gt;)" in page
    assert '<p class="covers">None.</p>' in page.partition('id="running"')[2]
    assert 'aria-label="Wait of this queue&#39;s jobs: 99 % within, of jobs that have begun -; the oldest' in page


def test_from_jobs_that_are_held_it_is_one_step_to_the_dead_letter(
    open_console: ConsoleFactory, open_workplace: WorkplaceFactory
) -> None:
    """On the first page and on the queue's: nobody copies an id."""
    workplace = open_workplace(HELD)
    dead = workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
    workplace.work("ledger")
    workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
    browser = open_console()

    pages = [browser.get(path).text for path in ("/", "/queues?name=ledger")]

    for page in pages:
        assert f"1 job is held behind the dead letter {dead.id}-book (OSError at " in page
        assert f'href="/dead/letter?id={dead.id}-book"' in page


def test_a_queue_that_is_empty_says_what_would_hold_its_jobs_back(open_console: ConsoleFactory, redis: Redis) -> None:
    """That nobody reads it, or that its jobs are not made, while their events wait."""
    redis.sadd("rq:queues", "rq:queue:erp")
    with worker(redis, EVENTS) as here:
        record = WorkerRecord(
            name=here.name,
            host="vm",
            pid=1,
            version="1",
            queues=(EVENTS,),
            job_types={"push": DeclaredJobType(queue="erp")},
            slots=1,
            noted=time.time(),
        )
        redis.set(WORKER_KEY + here.name, record.to_json())
        event = queue(EVENTS, redis).enqueue("workers.fan_out.fan_out")
        event.enqueued_at = datetime.now(UTC) - timedelta(seconds=60)
        event.save()
        page = open_console().get("/queues?name=erp").text.partition('id="why"')[2].partition('id="picture"')[0]

    assert "events wait on the queue events, 1 of them, the first for 6" in page
    assert 'href="/queues?name=events"' in page
    assert "no living worker reads the queue erp; start <code>deskbell worker erp</code>" in page


def test_the_last_hours_are_drawn_from_what_was_counted(open_console: ConsoleFactory, redis: Redis) -> None:
    """Callbacks a minute in steps of five; a minute that was written late is seen, too."""
    minute = int(time.time() // 60)
    began = minute - minute % 5 - 60  # a full step, an hour ago
    redis.hset(f"{MINUTE_KEY}{began}", "callback\torder_status\toutcome\tanswered", 40)
    browser = open_console()

    def highest() -> str:
        """As charted; a request of a busy machine may not have read all hours."""
        chart = browser.update("/").text.partition('aria-label="Callbacks a minute')[2].partition("</svg>")[0]
        return chart.split("</text>")[2].rpartition(">")[2]

    until(lambda: highest() == "10")
    redis.hset(f"{MINUTE_KEY}{began}", "callback\torder_status\toutcome\tfailed", 60)
    until(lambda: highest() == "20")


def test_a_queue_that_moves_says_when_it_will_have_drained(
    open_console: ConsoleFactory, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """From how many wait, and how many attempts there were in the last full minute; one that stands still does not."""
    open_workplace(JOBS).put_jobs(api_call("order"))
    minute = int(time.time() // 60)
    for each in (minute - 1, minute, minute + 1):  # whichever is the last full one when it is read
        redis.hset(f"{MINUTE_KEY}{each}", "job\tpush\toutcome\tdone", 6)
    browser = open_console()

    with worker(redis, "erp") as here:
        record = WorkerRecord(
            name=here.name,
            host="vm",
            pid=1,
            version="1",
            queues=("erp",),
            job_types={"push": DeclaredJobType(queue="erp")},
            slots=2,
            noted=time.time(),
        )
        redis.set(WORKER_KEY + here.name, record.to_json())
        moves = browser.get("/queues?name=erp").text
        redis.hset("deskbell:paused:queues", "erp", json.dumps({"by": "li", "since": 0}))
        stands = browser.get("/queues?name=erp").text

    assert "<dt>drained in</dt><dd>10 s</dd>" in moves
    assert "<dt>drained in</dt><dd>-</dd>" in stands


def test_a_paused_queue_that_nobody_knows_is_shown(open_console: ConsoleFactory, redis: Redis) -> None:
    """Nothing waits on it and no worker reads it: it would be forgotten."""
    redis.hset("deskbell:paused:queues", "old", json.dumps({"by": "li", "since": 0}))

    page = open_console().get("/").text

    assert "the queue old is paused by li since 1970-01-01" in page
    assert 'name="queue" value="old"' in page

"""Forgetting a user on a real server: what is removed, what stays, and what callbacks and jobs do meanwhile."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

from deskbell import ApiCall, Event, Jobs, Retry, SessionEvent, UserForgotten
from deskbell.cache import Cache
from deskbell.cache.store import caches_on
from deskbell.personal_data.forget import Forgotten, count, forget
from deskbell.testing import api_call
from shared.late.values import keep
from shared.records.query import all_calls
from shared.records.users import User
from shared.redis.job_data import unpack
from shared.redis.queues import EVENTS, REPLY_KEY
from shared.wire.events import Reply
from shared.wire.forgotten import USER_FORGOTTEN
from tests.conftest import ApiFactory, SettingsFactory, WorkplaceFactory
from tests.records import put_on_record, record_of
from tests.waiting import until
from tests.workers.running import Workplace, status_of
from workers.audit import AuditLog

USER, OTHER = "user517", "user1"

Forget = Callable[..., Forgotten]


@pytest.fixture
def forget_user(redis: Redis, make_settings: SettingsFactory) -> Forget:
    """Forget user517, or count what would be; with a budget that lets nothing be waited for."""

    def run(
        *, only_counts: bool = False, seconds: float = 0, progress: Callable[[str], object] = str, **given: Any
    ) -> Forgotten:
        settings = make_settings(**{"budget_ms": 100, "redis_timeout_ms": 10} | given)
        if only_counts:
            return count(redis, settings, User(USER))
        return forget(redis, settings, User(USER), by="li", seconds=seconds, progress=progress)

    return run


def call(user: str = USER, **variables: str) -> ApiCall:
    """A call of a user."""
    return api_call("order", SystemClientUserID=user, **variables)


def naming(redis: Redis, text: str) -> list[bytes]:
    """What Redis holds that names a text, but for the event by which job types are told; unpacked."""
    found: list[Any] = list(redis.scan_iter())
    for key in redis.scan_iter():
        kind = redis.type(key)
        if kind == b"hash":
            found += redis.hgetall(key).values()
        elif kind == b"string":
            found.append(redis.get(key))
        elif kind == b"stream":
            entries: Any = redis.xrange(key)
            found += [each for _, fields in entries for each in fields.values()]
    texts = [unpack(each) if each.startswith(b"x") else each for each in found]
    return [each for each in texts if text.encode() in each and UserForgotten.COMMANDS[0].encode() not in each]


class Places:
    """Job types by which a user's jobs come to be in each place."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.ran: list[str] = []

        @self.jobs.on(ApiCall, queue="done")
        def done(event: ApiCall) -> None:
            self.ran.append(event.id)

        @self.jobs.on(ApiCall, queue="dead", attempts=1)
        def dies(event: ApiCall) -> None:
            raise OSError(event.user_id)

        @self.jobs.on(ApiCall, queue="later")
        def later(_: ApiCall) -> None:
            raise Retry(after=600)

        @self.jobs.on(ApiCall, queue="waiting")
        def waits(event: ApiCall) -> None: ...

        @self.jobs.on(ApiCall, queue="ordered", ordered_by="OrderID")
        def ordered(event: ApiCall) -> None:
            self.ran.append(event.id)

    def fill(self, workplace: Workplace, *users: str) -> list[ApiCall]:
        """One event for each user, fanned out, with a job in each place; their ordered jobs are in one line."""
        events = [workplace.put_jobs(call(user, OrderID="1")) for user in users]
        for queue in ("done", "dead", "later"):
            workplace.work(queue)
        return events


def test_jobs_are_removed_from_every_place_and_those_of_others_stay(
    redis: Redis, open_workplace: WorkplaceFactory, forget_user: Forget
) -> None:
    """Waiting, to be tried again, behind others, dead, finished, and events that wait: counted first, then removed."""
    places = Places()
    workplace = open_workplace(places.jobs)
    ours, theirs = places.fill(workplace, USER, OTHER)
    workplace.put_jobs(call(OrderID="alone"))
    workplace.put_event(call())

    counted = forget_user(only_counts=True)
    before = redis.dbsize()
    done = forget_user()

    assert counted.removed == done.removed
    assert dict(done.removed) == {
        "jobs that wait": 8,
        "jobs that wait for their next try": 1,
        "dead letters": 1,
        "finished jobs": 3,
        "records": 3,
    }
    assert len(redis.keys("deskbell:order:*")) == redis.scard("deskbell:orders") == 1
    assert redis.dbsize() < before
    assert naming(redis, USER) == []
    names = ("done", "dies", "later", "waits", "ordered")
    statuses = {name: status_of(redis, f"{theirs.id}-{name}") for name in names}
    assert statuses == {
        "done": "finished",
        "dies": "failed",
        "later": "scheduled",
        "waits": "queued",
        "ordered": "queued",
    }
    workplace.work("ordered")
    assert places.ran == [ours.id, theirs.id, theirs.id]
    assert forget_user().removed.total() == 0


def test_the_job_of_another_goes_on_behind_all_that_were_removed_before_it(
    open_workplace: WorkplaceFactory, forget_user: Forget
) -> None:
    """In a line of one partition key the order of those that stay is what it was."""
    places = Places()
    workplace = open_workplace(places.jobs)
    first, _, second, _, third = places.fill(workplace, "user0", USER, "user1", USER, "user2")
    places.ran.clear()

    done = forget_user()
    while workplace.queue("ordered").count + workplace.queue("ordered").scheduled_job_registry.count:
        workplace.make_due("ordered")
        workplace.work("ordered")

    assert done.removed["jobs that wait behind others"] == 2
    assert places.ran == [first.id, second.id, third.id]


def test_records_answers_late_values_and_cached_values_are_removed(redis: Redis, forget_user: Forget) -> None:
    """Also of a user whose jobs are gone already; the counts of both runs of the command are right."""
    ours, theirs = call(OrderID="1"), call(OTHER)
    cache = Cache("orders", dict[str, str], ttl=60)
    put_on_record(redis, record_of(theirs), record_of(ours), record_of(call(OTHER)))
    for event in (ours, theirs):
        redis.set(f"{REPLY_KEY}{event.id}", event.id + '{"Body":{"Name":"Li"}}')
        keep(redis, event.id, Reply(variables={"Name": "Li"}), 60)
        with caches_on(redis):
            cache.put(event, event.user_id, {"user": event.user_id})

    counted, done = forget_user(only_counts=True), forget_user()

    assert dict(done.removed) == {"records": 1, "answers": 1, "late values": 1, "values of caches": 1}
    assert counted.removed == done.removed
    assert [each.user for each in all_calls(redis)] == [each.user for each in all_calls(redis) if each.id != ours.id]
    assert len(list(all_calls(redis))) == 2
    assert redis.exists(f"{REPLY_KEY}{theirs.id}", f"deskbell:late:{theirs.id}") == 2
    with caches_on(redis):
        assert cache.get(ours, USER) is None
        assert cache.get(theirs, OTHER) is not None
    (entry,) = AuditLog(redis).latest(1)
    assert (entry.action, entry.by, entry.done, entry.end) == ("forget", "li", 4, "done")
    assert USER not in entry.selection
    assert forget_user().removed.total() == 0


def test_a_user_is_forgotten_though_their_later_events_fill_caches_meanwhile(redis: Redis, forget_user: Forget) -> None:
    """What is cached anew is not what was to be forgotten, and is not waited for."""
    cache, said = Cache("orders", dict[str, str], ttl=60), list[str]()

    def fill(what: str) -> None:
        said.append(what)
        assert len(said) < 20
        with caches_on(redis):
            cache.put(call(), USER, {"user": USER})

    done = forget_user(progress=fill)

    assert done.removed["values of caches"] > 1


def test_a_job_under_way_ends_and_is_removed_afterwards(
    redis: Redis, open_workplace: WorkplaceFactory, forget_user: Forget
) -> None:
    """The command waits for it; what does not end in time is named, and the next run removes it."""
    jobs, done = Jobs(), list[Forgotten]()
    waiting = threading.Thread(target=lambda: done.append(forget_user(seconds=60)))

    @jobs.on(ApiCall, queue="slow")
    def slow(_: ApiCall) -> None:
        done.append(forget_user())
        waiting.start()
        until(lambda: len(AuditLog(redis).latest(5)) == 2)

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(call())
    workplace.work("slow")
    until(lambda: redis.llen("rq:queue:events") == 2)  # of both runs, to tell the job types
    workplace.work(EVENTS)
    waiting.join()

    early, late = done
    assert early.under_way == {f"{event.id}-slow"}
    assert late.under_way == set()
    assert late.removed["finished jobs"] == 1
    assert not redis.exists(f"rq:job:{event.id}-slow")


def test_events_that_come_meanwhile_are_left_whole_and_no_other_record_is_lost(
    redis: Redis, forget_user: Forget
) -> None:
    """While records are written all the time, the user's own among them."""
    old = [call() for _ in range(30)]
    for event in old:
        put_on_record(redis, record_of(call(OTHER)), record_of(event))
    stop, written = threading.Event(), [0, 0]

    def write() -> None:
        while not stop.is_set():
            time.sleep(0.001)
            put_on_record(redis, *(record_of(call(OTHER)) for _ in range(3)), record_of(call()))
            written[0] += 3
            written[1] += 1

    until(lambda: time.time() * 1000 > int(old[-1].id[:12], 16) + 1)
    writer = threading.Thread(target=write)
    writer.start()
    with suppress(KeyboardInterrupt):
        until(lambda: written[1] > 5)
    done = forget_user()
    stop.set()
    writer.join()

    left = list(all_calls(redis))
    ours = [each for each in left if each.user == str(User(USER))]
    assert done.removed["records"] >= 30
    assert len(left) - len(ours) == 30 + written[0]
    assert len(ours) == 30 + written[1] - done.removed["records"]
    assert all(each.received > done.until.timestamp() for each in ours)


def test_only_job_types_that_ask_for_it_are_told(
    redis: Redis, open_workplace: WorkplaceFactory, forget_user: Forget
) -> None:
    """One for all events is not; when they are done, nothing names the user; a dead letter waits for a person."""
    jobs, told, all_events = Jobs(), [], []

    @jobs.on(Event, name="everything")
    def record_everything(event: Event) -> None:
        all_events.append(event.command)

    @jobs.on(UserForgotten, name="crm.forget", attempts=1)
    def forget_contact(event: UserForgotten) -> None:
        told.append((event.app_id, event.user_id))
        if len(told) > 1:
            raise OSError

    @jobs.on(SessionEvent | UserForgotten, app="7", name="other.app")
    def other_app(_: SessionEvent | UserForgotten) -> None:
        raise AssertionError

    workplace = open_workplace(jobs)
    for expected in ("done", "dead"):
        done: list[Forgotten] = []
        command = threading.Thread(target=lambda found: found.append(forget_user(seconds=60)), args=(done,))
        command.start()
        until(lambda: redis.llen("rq:queue:events") == 1)
        workplace.work(EVENTS, "default")
        command.join()
        assert [(job.name, job.state) for job in done[0].jobs] == [("crm.forget", expected)]
        assert done[0].has_told
        assert len(redis.keys("rq:job:*")) == (1 if expected == "dead" else 0)

    assert told == [("1400000001", USER)] * 2
    assert all_events == []


def test_who_is_not_told_in_time_is_known(redis: Redis, open_workplace: WorkplaceFactory, forget_user: Forget) -> None:
    """Without a worker the event waits, and is taken when there is one."""
    assert redis.ping()
    jobs = Jobs()

    @jobs.on(UserForgotten)
    def told(event: UserForgotten) -> None: ...

    done = forget_user()

    assert not done.has_told
    assert open_workplace(jobs).queue(EVENTS).count == 1


def test_no_callback_can_say_that_a_user_was_forgotten(start_api: ApiFactory, redis: Redis) -> None:
    """It would delete contacts: the command has a form that is refused."""
    answer = start_api().post({"CallbackCommand": USER_FORGOTTEN, "ClientUserId": USER})

    assert (answer.status_code, answer.json()["ErrorCode"]) == (400, 1001)
    assert redis.llen("rq:queue:events") == 0

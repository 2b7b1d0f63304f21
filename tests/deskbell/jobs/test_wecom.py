"""`wecom.remark` against a stand-in of WeCom's API, over real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from deskbell import ApiCall, Discard, Jobs, Settings
from deskbell.adapters.once import close_all
from deskbell.jobs.wecom import Remark, remark_jobs
from deskbell.testing import Clock, MemoryQueue, Performed, perform_job
from shared.errors import DeclarationError
from tests.conftest import SettingsFactory, WorkplaceFactory
from tests.deskbell.jobs.stand_in import Reply, call, half, serving, texts_on
from tests.deskbell.jobs.wecom_server import CORP, CUSTOMER, MEMBER, SECRET, WeCom
from tests.logged import capture_logs
from tests.workers.running import traceback_of


def remark_of(event: ApiCall) -> Remark | None:
    """A description that says which order was asked about; users whose id begins with `guest` are no customers."""
    if event.user_id.startswith("guest"):
        return None
    return Remark(
        userid=MEMBER, external_userid=CUSTOMER + event.user_id, description=str(event.variables.get("OrderID"))
    )


JOBS = remark_jobs(remark_of)


def always(remark: Remark) -> Callable[[ApiCall], Remark]:
    """A function that says the same of every call."""
    return lambda _: remark


@pytest.fixture
def service(redis: Redis) -> Iterator[WeCom]:
    """WeCom; Redis is empty."""
    assert redis.ping()
    with serving(WeCom()) as service:
        yield service
    close_all()


@pytest.fixture
def settings(service: WeCom, make_settings: SettingsFactory) -> Settings:
    """Settings with WeCom."""
    return make_settings(wecom_url=service.url, wecom_corp_id=CORP, wecom_secret=SecretStr(SECRET))


Perform = Callable[..., Performed]


@pytest.fixture
def perform(settings: Settings) -> Perform:
    """Make one attempt at the job, for a call of a user about an order."""

    def one(event: ApiCall | None = None, *, jobs: Jobs = JOBS) -> Performed:
        return perform_job(jobs, "wecom.remark", event or call(), settings=settings)

    return one


def test_a_call_writes_the_remark_of_its_customer(service: WeCom, perform: Perform) -> None:
    """With a token that was asked for once; fields that are empty are left out, so that WeCom keeps them."""
    assert [perform(call("1002")).outcome, perform(call("1003")).outcome] == ["done", "done"]

    assert service.written == {CUSTOMER + "user517": ["1002", "1003"]}
    assert service.fetches == 1
    assert service.requests[-1].body == {
        "userid": MEMBER,
        "external_userid": CUSTOMER + "user517",
        "description": "1003",
    }


def test_a_user_who_is_no_customer_is_nothing_to_do(service: WeCom, perform: Perform) -> None:
    """The function says None; not even a token is asked for."""
    assert perform(call(user="guest-7")).outcome == "done"

    assert service.requests == []


@pytest.mark.parametrize("character", ["a", "备", "🛒", "é"])
def test_texts_are_cut_by_characters(service: WeCom, perform: Perform, character: str) -> None:
    """20 and 150 of them, however many bytes each has; the stand-in refuses more."""
    long = character * 500
    remark = Remark(userid=MEMBER, external_userid=CUSTOMER, remark=long, description=long, remark_company=long)

    assert perform(jobs=remark_jobs(always(remark))).outcome == "done"

    assert {name: len(text) for name, text in service.fields[CUSTOMER].items()} == {
        "remark": 20,
        "description": 150,
        "remark_company": 20,
    }


@pytest.mark.parametrize("end", [WeCom.expire, WeCom.end_token], ids=["expired, 42001", "ended, 40014"])
def test_a_token_that_is_refused_is_fetched_anew_once(
    service: WeCom, perform: Perform, end: Callable[[WeCom], None]
) -> None:
    """And the call is sent again within the same attempt."""
    perform()
    end(service)

    assert perform(call("1003")).outcome == "done"

    assert service.written[CUSTOMER + "user517"] == ["1002", "1003"]
    assert service.fetches == 2


def test_a_token_that_ends_while_many_jobs_run_is_fetched_once(service: WeCom, perform: Perform) -> None:
    """Five jobs at once are refused, and share one new token."""
    perform()
    service.end_token()
    gate = threading.Barrier(5)

    def one(number: int) -> str:
        gate.wait()
        return perform(call(user=str(number))).outcome

    with ThreadPoolExecutor(5) as threads:
        assert set(threads.map(one, range(5))) == {"done"}
    assert service.fetches == 2


def test_two_refusals_pause_the_queue(service: WeCom, perform: Perform) -> None:
    """Nobody is served then: no attempt is used up, and WeCom is not asked for tokens in a loop."""
    service.faults.extend([Reply(200, {"errcode": 40014, "errmsg": "invalid access_token"})] * 2)

    performed = perform()

    assert (performed.outcome, performed.counts) == ("retry", False)
    assert "40014" in str(performed.error)
    assert service.fetches == 2
    assert service.written == {}


@pytest.mark.parametrize(
    ("errcode", "outcome", "counts", "after"),
    [
        (45009, "retry", False, 60),  # the rate
        (45033, "retry", False, 2),  # too many at once
        (40001, "retry", False, None),  # the secret
        (48002, "retry", False, None),  # the app may not
        (60020, "retry", False, None),  # the address
        (-1, "retry", True, None),  # busy
        (6000, "retry", True, None),  # somebody else writes it
        (84061, "discarded", True, None),  # no customer of this member
        (40096, "discarded", True, None),
        (60111, "discarded", True, None),
        (999999, "discarded", True, None),
    ],
)
def test_each_errcode_has_its_end(
    service: WeCom, perform: Perform, errcode: int, outcome: str, counts: bool, after: int | None
) -> None:
    """All come with HTTP 200; the code is in the text, and `errmsg`, which holds addresses, is not."""
    service.faults.append(Reply(200, {"errcode": errcode, "errmsg": "planted, from ip: 10.0.0.1"}))

    performed = perform()

    assert (performed.outcome, performed.counts) == (outcome, counts)
    if after:
        assert performed.retry_after == after
    if errcode > 0:
        assert str(errcode) in str(performed.error) + performed.cause + str(getattr(performed.error, "code", ""))
    assert "planted" not in str(performed.error)


def test_what_does_not_fit_is_a_dead_letter_with_its_code(service: WeCom, perform: Perform) -> None:
    """The stand-in's own answers: a customer of another member, a member who is not there, an id that is none."""
    for remark, code in (
        (Remark(userid=MEMBER, external_userid="wmOTHER", remark="x"), "84061"),
        (Remark(userid="nobody", external_userid=CUSTOMER, remark="x"), "60111"),
        (Remark(userid=MEMBER, external_userid="user517", remark="x"), "40096"),
    ):
        performed = perform(jobs=remark_jobs(always(remark)))
        assert (performed.outcome, getattr(performed.error, "code", "")) == ("discarded", code)
    assert service.written == {}


def test_a_remark_that_says_nothing_is_discarded_with_a_sentence(service: WeCom, perform: Perform) -> None:
    """WeCom would refuse it; it is not asked."""
    performed = perform(jobs=remark_jobs(always(Remark(userid=MEMBER, external_userid=CUSTOMER))))

    assert performed.outcome == "discarded"
    assert "the remark says nothing" in str(performed.error)
    assert service.requests == []


@pytest.mark.parametrize(
    "fault",
    [Reply(500), Reply(502, "an error page"), half, Reply(200, "not an object"), Reply(200, {})],
    ids=["500", "502", "half an answer", "another body", "no errcode"],
)
def test_an_answer_that_is_none_is_tried_again(service: WeCom, perform: Perform, fault: Any) -> None:
    """With backoff; it may have been written, and is written again with the same words."""
    service.faults.append(fault)

    performed = perform()

    assert (performed.outcome, performed.counts) == ("retry", True)


def test_a_wrong_secret_pauses_the_queue(service: WeCom, perform: Perform) -> None:
    """Every job would get the same answer; the secret and the corp id are in no text."""
    service.secret = "rotated"

    performed = perform()

    assert (performed.outcome, performed.counts) == ("retry", False)
    assert str(performed.error) == "WeCom answered 200 40001"


def test_the_calls_of_a_user_are_written_in_order(service: WeCom, settings: Settings) -> None:
    """An older one that failed is not overtaken: what it alone says would be lost."""
    queue = MemoryQueue(JOBS, settings=settings)
    queue.put(call("older"))
    queue.put(call("newer"))
    service.faults.append(Reply(200, {"errcode": 45033, "errmsg": ""}))

    with Clock() as clock:
        while queue.enqueued:
            queue.perform()
            clock.advance(600)

    assert service.written[CUSTOMER + "user517"] == ["older", "newer"]


def test_an_older_event_never_overwrites_a_newer_one(service: WeCom, perform: Perform) -> None:
    """The newest that was written is known, though WeCom cannot tell."""
    older, newer = call("older"), call("newer")

    assert perform(newer).outcome == "done"
    assert perform(older).outcome == "done"

    assert service.written[CUSTOMER + "user517"] == ["newer"]


def test_no_line_and_no_dead_letter_holds_a_token_a_secret_or_a_value(
    service: WeCom, settings: Settings, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Done, refused and failed jobs of a worker; nor does a key on Redis, apart from the job's own data."""
    workplace = open_workplace(JOBS, **{name: getattr(settings, name) for name in settings.model_fields_set})
    events = [workplace.put_jobs(call(f"planted-{number}", user=f"u{number}")) for number in range(4)]
    service.faults.extend([Reply(200, {"errcode": 84061, "errmsg": "planted"}), half, Reply(500)])

    with capture_logs() as lines:
        workplace.work("wecom", concurrency=1)

    logged = json.dumps(lines, default=str)
    dead = [job for event in events if (job := workplace.job(event, "wecom.remark")).is_failed]
    assert len(dead) == 1
    hidden = ["planted", SECRET, "wecom-token", CUSTOMER, service.url]
    for text in [logged, *(traceback_of(job) for job in dead)]:
        assert not [word for word in hidden if word in text]
    kept = texts_on(redis)
    assert kept
    assert not [word for word in hidden if word.encode() in b" ".join(kept)]


def test_who_calls_too_often_waits_a_minute(service: WeCom, perform: Perform) -> None:
    """The stand-in blocks for 60 s, as WeCom does, and the job comes back after that."""
    service.most_a_minute = 1
    perform()

    performed = perform(call("1003"))
    assert (performed.outcome, performed.retry_after, performed.counts) == ("retry", 60, False)

    service.unblock()
    assert perform(call("1003")).outcome == "done"


async def _asynchronous(_: ApiCall) -> Remark | None: ...


@pytest.mark.parametrize("wrong", [_asynchronous, Remark, None, "remark_of"])
def test_what_is_no_plain_function_is_refused_where_it_is_given(wrong: Any) -> None:
    """In a sentence that says what to write."""
    with pytest.raises(DeclarationError, match=r"wecom.remark_jobs\(remark_of\): .*write"):
        remark_jobs(wrong)


def test_the_function_steers_as_a_job_does(perform: Perform) -> None:
    """What it raises is decided about as what a job raises."""

    def unknown(_: ApiCall) -> Remark | None:
        raise Discard("no member looks after this customer", code="no_member")

    performed = perform(jobs=remark_jobs(unknown))

    assert (performed.outcome, getattr(performed.error, "code", "")) == ("discarded", "no_member")


@pytest.mark.parametrize("missing", ["wecom_corp_id", "wecom_secret"])
def test_a_missing_setting_is_named(settings: Settings, missing: str) -> None:
    """The job says which one it needs."""
    empty: Any = SecretStr("") if missing == "wecom_secret" else ""
    performed = perform_job(JOBS, "wecom.remark", call(), settings=settings.model_copy(update={missing: empty}))

    assert f"needs DESKBELL_{missing.upper()}, which is empty" in str(performed.error)

"""One callback, delivered in one of several ways, and the answer that is due to each."""

import sys
import time
from enum import StrEnum

from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console

from deskbell.calls.following import FollowedJob, follow
from deskbell.cli.exit import stop
from deskbell.cli.send.answers import (
    answer_json,
    job_json,
    reason,
    show_answer,
    show_jobs,
    show_json,
    show_made_up,
)
from deskbell.cli.send.message import Message
from deskbell.cli.settings.running import load_settings_here, no_redis
from deskbell.http import NO_ANSWER, ConnectError
from deskbell.simulator.client import Answer, Desk
from shared.redis.connections import connect
from shared.redis.outages import unreachable
from shared.wire.codes import Code
from shared.wire.protocol import SIGN_WINDOW_SECONDS, Packet

_FAILED = 1
_WAIT_SECONDS = 60
_STALE_SECONDS = 2 * SIGN_WINDOW_SECONDS
_FOREIGN_APPS = ("1499999999", "1488888888")


class Kind(StrEnum):
    """How a callback is delivered."""

    PLAIN = "plain"
    DUPLICATE = "duplicate"
    STALE = "stale"
    WRONG_TOKEN = "wrong-token"  # noqa: S105 - the name of an option
    FOREIGN_APP = "foreign-app"
    SLOW = "slow"

    @property
    def is_refused(self) -> bool:
        """Whether the api must refuse it."""
        return self in _REFUSALS


_REFUSALS = {
    Kind.STALE: (Code.BAD_SIGN, f"RequestTime was {_STALE_SECONDS} s old, and {SIGN_WINDOW_SECONDS} s are allowed"),
    Kind.WRONG_TOKEN: (Code.BAD_SIGN, "Sign was made with another token than the app's"),
    Kind.FOREIGN_APP: (Code.NOT_OUR_APP, "SdkAppid was another one, and must be one of DESKBELL_APPS"),
    Kind.SLOW: (Code.NOT_A_PACKET, "half of the body was held back for longer than the api's budget"),
}
"""The code that the api must answer, and what was wrong."""


def deliver(desk: Desk, message: Message, kind: Kind, *, wait: bool, as_json: bool) -> None:
    """Deliver a callback and print what came of it; exit with status 0 only on what is due."""
    redis = _redis() if wait else None
    if message.note:
        print(f"deskbell: {message.note}", file=sys.stderr)  # noqa: T201 - what a command line is for
    packet = message.packet()
    try:
        answers = _post(desk, packet, message.node, kind)
    except NO_ANSWER as error:
        write = "; run `deskbell dev` here, or write the api's --url" if isinstance(error, ConnectError) else ""
        stop(f"no answer from {desk.target(message.node)}: {error}{write}", _FAILED)
    is_due, why = _judge(kind, answers)
    if not as_json:
        show_made_up(_made_up(message))
        for answer in answers:
            show_answer(desk.target(message.node), answer)
    jobs = _follow(redis, answers[-1].event_id) if redis and answers[-1].event_id else None
    are_done = all(job.state == "done" for job in jobs or ())
    if as_json:
        found = {"url": desk.target(message.node), "command": message.command, "kind": kind.value, "is_due": is_due}
        given = {"made_up": _made_up(message), **({"why": why} if why else {})}
        ended = {"jobs": [job_json(job) for job in jobs]} if jobs is not None else {}
        show_json({**found, **given, "answers": [answer_json(answer) for answer in answers], **ended})
    elif jobs is not None:
        show_jobs(jobs)
    if not is_due:
        stop(why, _FAILED)
    if why and not as_json:
        Console(soft_wrap=True, markup=False, highlight=False).print(why)
    sys.exit(0 if are_done else _FAILED)


def _made_up(message: Message) -> dict[str, str]:
    """The variables that nobody gave."""
    return {name: message.fields["Body"][name] for name in message.made_up} if message.fields else {}


def _post(desk: Desk, packet: Packet | bytes, node: str, kind: Kind) -> list[Answer]:
    if kind is Kind.DUPLICATE:
        request_id = f"duplicate-{time.time_ns()}"
        return [desk.post(packet, node, request_id=request_id) for _ in range(2)]
    if kind is Kind.SLOW:
        return [desk.post_half(packet, node)]
    if kind is Kind.STALE:
        return [desk.post(packet, node, now=time.time() - _STALE_SECONDS)]
    app_id = _foreign(desk.app_id) if kind is Kind.FOREIGN_APP else desk.app_id
    token = f"not-{desk.token}" if kind is Kind.WRONG_TOKEN else desk.token
    with Desk(desk.url, app_id, token) as sender:
        return [sender.post(packet, node)]


def _judge(kind: Kind, answers: list[Answer]) -> tuple[bool, str]:
    """Whether the answer is the one that is due; and why it is what it is."""
    answer = answers[-1]
    if kind is Kind.DUPLICATE and answers[0].event_id:
        is_same = (answers[0].event_id, answers[0].text) == (answer.event_id, answer.text)
        if is_same:
            return True, "one delivery: the second got the first one's answer and event, and starts no job"
        return False, "expected the first one's answer and event for the second delivery, got others"
    if kind in _REFUSALS:
        code, wrong = _REFUSALS[kind]
        if answer.code == code.number:
            return True, f"refused, as is due: ErrorCode {answer.code}, since {wrong}"
        got = reason(answer) if answer.code else "it accepted the callback"
        return False, f"expected the api to refuse with ErrorCode {code.number}, since {wrong}; {got}"
    return answer.code == 0, reason(answer) if answer.code != 0 else ""


def _foreign(app_id: str) -> str:
    return next(each for each in _FOREIGN_APPS if each != app_id)


def _redis() -> Redis:
    """Redis, once it has answered."""
    settings = load_settings_here(for_redis=True)
    redis = connect(settings)
    try:
        redis.ping()
    except (RedisError, OSError) as error:
        stop(no_redis(error, settings), _FAILED)
    return redis


def _follow(redis: Redis, event_id: str) -> list[FollowedJob]:
    """The event's jobs, once they have ended; on a terminal, meanwhile, how they stand."""
    jobs: list[FollowedJob] = []
    try:
        with Console(stderr=True).status("") as status:
            for jobs in follow(redis, event_id, seconds=_WAIT_SECONDS):
                status.update("; ".join(map(str, jobs)))
    except TimeoutError as error:
        stop(str(error), _FAILED)
    except (RedisError, OSError) as error:
        stop(unreachable(error), _FAILED)
    return jobs

"""Plays the cases of a flow file against an api, as Desk would.

1. Each case is a session. It begins with the event `SessionBegin`, and with `TaskBegin` before its first call, unless
   the case writes them itself: the only names of such events that the documents have (PROTOCOL §3.3).
2. A call sends variables; what its answer sets is in the session, for later calls.
3. A call that fails takes the exception branch, which the case must write; what is written must be taken.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from deskbell.calls.following import FollowedJob, follow
from deskbell.flow.desk import desk_differences, paired
from deskbell.flow.differences import Difference, differences, in_words
from deskbell.flow.kept import outcome_of
from deskbell.flow.loader import Flow, Location
from deskbell.flow.model import CALLBACKS, DeskCommands, JobEnd, JobEnds, Step
from deskbell.flow.session import Session
from deskbell.http import NO_ANSWER
from deskbell.simulator.client import Answer, Desk
from deskbell.simulator.rest.reading import Inbox, NoStandInError
from deskbell.simulator.rest.received import Received
from shared.wire.commands import SessionEvent, TaskFlowEvent, canonical, event_class
from shared.wire.events import Event
from shared.wire.protocol import Packet

_SECONDS_FOR_JOBS = 30.0
_PAUSE_SECONDS = 0.05
_FAN_OUT = "fan_out"


@dataclass(slots=True)
class Played:
    """One step, or an event around a case, as it was played.

    Attributes:
        line: in the flow file.
        title: the step in words.
        answer: of a callback.
        outcome: how the answer came about; "" where that is not known.
        jobs: those that the step waited for.
        said: what jobs said to Desk.
    """

    line: int
    title: str
    answer: Answer | None = None
    outcome: str = ""
    jobs: Sequence[FollowedJob] = ()
    said: Sequence[Received] = ()
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sent:
    """The last callback of a case."""

    packet: Packet
    node: str
    request_id: str
    answer: Answer
    answered_at: float
    line: int

    @property
    def has_failed(self) -> bool:
        """Whether Desk takes it for failed (PROTOCOL §1, §3.1)."""
        return self.answer.status != HTTPStatus.OK or self.answer.code != 0


class NotPlayedError(Exception):
    """Raised when a case cannot go on; a sentence."""


class Player:
    """Plays cases, one after the other."""

    def __init__(self, desk: Desk, redis: Redis, inbox: Inbox) -> None:
        self._desk = desk
        self._redis = redis
        self._inbox = inbox

    def play(self, flow: Flow, name: str) -> Iterator[Played]:
        """Play a case; each step is yielded when it has been played.

        Raises:
            NotPlayedError: the api, Redis or the stand-in of Desk's REST interface does not answer.
        """
        case = _Case(self._desk, self._redis, self._inbox, flow, name)
        try:
            yield from case.play()
        except NO_ANSWER as error:
            raise NotPlayedError(f"no answer from {self._desk.url}: {error}") from None
        except (RedisError, OSError) as error:
            raise NotPlayedError(f"Redis does not answer: {error}") from None
        except NoStandInError as error:
            raise NotPlayedError(str(error)) from None


class _Case:
    """A case under way."""

    def __init__(self, desk: Desk, redis: Redis, inbox: Inbox, flow: Flow, name: str) -> None:
        self._desk = desk
        self._redis = redis
        self._inbox = inbox
        self._flow = flow
        self._place: Location = ("cases", name)
        self._steps = flow.content.cases[name]
        self._session = Session(name, flow.content.session)
        self._sent: _Sent | None = None
        self._heard = 0  # the number of the last command of before the case, and what has been paired since
        self._paired: set[int] = set()
        self._is_open = False  # a call has failed, and its exception branch has not come
        self._is_over = False

    def play(self) -> Iterator[Played]:
        """Every step, and the events around."""
        line = self._line(self._place)
        if any(step.desk for step in _with_branches(self._steps)):
            self._heard = max([each.number for each in self._inbox.after(0)], default=0)
        written = list(_events(self._steps))
        if (SessionEvent, "SessionBegin") not in written:
            yield self._around(self._session.begin(), line)
        calls = any(step.call for step in self._steps)
        if calls and (TaskFlowEvent, "TaskBegin") not in written:
            yield self._around(self._session.begin_task(), line)
        yield from self._all(self._steps, self._place)
        if self._is_open and not self._is_over:
            yield Played(line, "the end", differences=[self._no_branch()])

    def _all(self, steps: Sequence[Step], place: Location) -> Iterator[Played]:
        for number, step in enumerate(steps):
            here = (*place, number)
            if self._is_open and step.key in CALLBACKS:
                self._is_over = True
                yield Played(self._line(here), step.key, differences=[self._no_branch()])
            elif step.exception is not None:
                yield self._exception(self._line(here))
                if not self._is_over:
                    yield from self._all(step.exception, (*here, "exception"))
            else:
                yield self._noticed(self._step(step, self._line(here)), step, steps[number + 1 :])
            if self._is_over:
                return

    def _step(self, step: Step, line: int) -> Played:
        if step.call:
            packet = self._session.call(step.call)
            return self._call(packet, step.call.node, line)
        if step.event or step.assign:
            command = step.event.command if step.event else "assign_agent"
            fields = step.event.fields if step.event else step.assign.fields if step.assign else {}
            return self._post(self._session.event(command, fields), "", line)
        if step.wait:
            time.sleep(step.wait.ms / 1000)
            return Played(line, f"wait {step.wait.ms} ms")
        assert self._sent, "the loader refuses a step about a callback where there is none"
        return self._about(self._sent, step, line)

    def _about(self, sent: _Sent, step: Step, line: int) -> Played:
        """A step about the last callback."""
        if step.expect:
            outcome = self._outcome(sent.answer)
            found = list(differences(step.expect, sent.answer, outcome, line))
            return Played(line, "expect", outcome=outcome, differences=found)
        if step.jobs:
            return self._jobs(step.jobs, sent, line)
        if step.desk:
            return self._said(step.desk, sent, line)
        assert step.duplicate
        return self._duplicates(step.duplicate, sent, line)

    def _noticed(self, played: Played, step: Step, rest: Sequence[Step]) -> Played:
        """A step; with a difference where it failed and nothing that follows says that it should."""
        expect = rest[0].expect if rest else None
        is_expected = expect is not None and (expect.outcome, expect.code) != (None, None)
        if (step.event or step.assign) and self._sent and self._sent.has_failed and not is_expected:
            got = in_words(self._sent.answer)
            played.differences.append(Difference("outcome", "ErrorCode", "success", got, played.line))
        return played

    def _around(self, packet: Packet, line: int) -> Played:
        played = self._post(packet, "", line)
        sent, self._sent = self._sent, None
        assert sent
        if sent.has_failed:
            played.differences.append(
                Difference("outcome", packet["Event"], "the receipt", in_words(sent.answer), line)
            )
        return played

    def _call(self, packet: Packet, node: str, line: int) -> Played:
        played = self._post(packet, node, line, is_call=True)
        assert self._sent
        self._is_open = self._sent.has_failed
        if not self._sent.has_failed:
            self._session.variables |= self._sent.answer.variables
        return played

    def _post(self, packet: Packet, node: str, line: int, *, is_call: bool = False) -> Played:
        request_id = str(uuid.uuid4())
        answer = self._desk.post(packet, node, request_id=request_id)
        self._sent = _Sent(packet, node, request_id, answer, time.monotonic(), line)
        title = f"call {node}".strip() if is_call else " ".join([packet["CallbackCommand"], packet.get("Event", "")])
        return Played(line, title.strip(), answer=answer, outcome=self._outcome(answer))

    def _outcome(self, answer: Answer) -> str:
        return outcome_of(self._redis, answer.event_id) if answer.event_id else ""

    def _exception(self, line: int) -> Played:
        played = Played(line, "exception branch")
        if not self._is_open:
            self._is_over = True
            assert self._sent
            got = f"success, {in_words(self._sent.answer)}"
            played.differences.append(Difference("branch", "exception", "a call that fails", got, line))
        self._is_open = False
        return played

    def _no_branch(self) -> Difference:
        """A call has failed, and the case does not say what happens then."""
        assert self._sent
        got = f"FAIL, {in_words(self._sent.answer)}, and no exception branch"
        return Difference("branch", "exception", "a call that succeeds", got, self._sent.line)

    def _duplicates(self, times: int, sent: _Sent, line: int) -> Played:
        played = Played(line, f"duplicate {times}")
        for _ in range(times):
            answer = self._desk.post(sent.packet, sent.node, request_id=sent.request_id)
            for what, before, now in (
                ("the event", sent.answer.event_id, answer.event_id),
                ("the answer", sent.answer.text, answer.text),
            ):
                if before != now:
                    played.differences.append(Difference("differs", what, before or "none", now or "none", line))
        return played

    def _jobs(self, expected: JobEnds, sent: _Sent, line: int) -> Played:
        ends: dict[str, JobEnd] = expected.model_extra or {}
        seconds = max([end.within_ms / 1000 for end in ends.values()], default=_SECONDS_FOR_JOBS)
        played = Played(line, "jobs")
        if not sent.answer.event_id:
            got = f"no event, {in_words(sent.answer)}"
            played.differences.append(Difference("job", "jobs", "an event that was kept", got, line))
            return played
        ended_after, played.jobs = _followed(self._redis, sent, ends, seconds)
        there = {job.name: job for job in played.jobs}
        for name, end in ends.items():
            played.differences += _job_differences(name, end, there, ended_after, line)
        for name in there.keys() - ends.keys() if expected.others else ():
            played.differences.append(Difference("extra", name, "no other job", str(there[name]), line))
        return played

    def _said(self, expected: DeskCommands, sent: _Sent, line: int) -> Played:
        """Wait until all has come that is expected, or the jobs that may send it have ended."""
        deadline = time.monotonic() + expected.within_ms / 1000
        while True:
            is_over = time.monotonic() > deadline or _have_ended(self._redis, sent.answer.event_id)
            came = [each for each in self._inbox.after(self._heard) if self._is_of_session(each)]
            pairs = paired(expected, came)
            if is_over or (not expected.others and all(received for _, _, received in pairs)):
                break
            time.sleep(_PAUSE_SECONDS)
        said = [received for _, _, received in pairs if received]
        self._paired |= {each.number for each in said}
        return Played(line, "desk", said=said, differences=list(desk_differences(expected, pairs, came, line)))

    def _is_of_session(self, received: Received) -> bool:
        """Whether a command is of this case, had an effect, and was not paired before."""
        variables = self._session.variables
        is_named = received.session_id == variables["SystemSessionID"] or (
            not received.session_id and received.user_id == variables["SystemClientUserID"]
        )
        return is_named and received.has_effect and received.number not in self._paired

    def _line(self, place: Location) -> int:
        return self._flow.document.line(place)


def _have_ended(redis: Redis, event_id: str) -> bool:
    """Whether all jobs of an event have ended; one that was not kept has none."""
    try:
        jobs = next(follow(redis, event_id, seconds=0)) if event_id else []
    except TimeoutError:
        return False
    return all(job.has_ended and job.name != _FAN_OUT for job in jobs)


def _followed(
    redis: Redis, sent: _Sent, ends: dict[str, JobEnd], seconds: float
) -> tuple[dict[str, float], list[FollowedJob]]:
    """The jobs of a callback once those that are named have ended, and how many ms after the answer each did."""
    ended_after: dict[str, float] = {}
    jobs: list[FollowedJob] = []
    try:
        for jobs in follow(redis, sent.answer.event_id, seconds=seconds):
            names = {job.name for job in jobs}
            ms = (time.monotonic() - sent.answered_at) * 1000
            for job in jobs:
                if job.has_ended:
                    ended_after.setdefault(job.name, ms)
            if _FAN_OUT not in names and ends.keys() & names <= ended_after.keys():
                break
    except TimeoutError:
        pass  # what has not ended is a difference
    return ended_after, jobs


def _job_differences(
    name: str, end: JobEnd, there: dict[str, FollowedJob], ended_after: dict[str, float], line: int
) -> Iterator[Difference]:
    job = there.get(name)
    expected = end.ends + (f" after {end.attempts} attempts" if end.attempts else "")
    if job is None:
        got = "; ".join(map(str, there.values())) or "no job at all"
        yield Difference("job", name, expected, f"no such job: {got}", line)
    elif job.state != end.ends or (end.attempts and end.attempts != job.attempts):
        got = str(job) + (f" after {job.attempts} attempts" if end.attempts else "")
        yield Difference("job", name, expected, got, line)
    elif ended_after[name] > end.within_ms:
        yield Difference("job", name, f"{end.ends} within {end.within_ms} ms", f"{ended_after[name]:.0f} ms", line)


def _with_branches(steps: Sequence[Step]) -> Iterator[Step]:
    """Steps, and those in their branches."""
    for step in steps:
        yield step
        yield from _with_branches(step.exception or [])


def _events(steps: Sequence[Step]) -> Iterator[tuple[type[Event], Any]]:
    """The classes and names of the events that steps write, also those in branches."""
    for step in _with_branches(steps):
        if step.event:
            command = Session("", {}).event(step.event.command, step.event.fields)
            yield event_class(canonical(command["CallbackCommand"])), command.get("Event")

"""Turns events on Redis into a flow file that plays back green.

1. Placeholders stand for personal values: ids of users, sessions and agents, what people wrote, and variables whose
   value may be a person's.
2. Each event is answered once more by the handlers, here, with the placeholders; what they answer is what the file
   expects. So it expects nothing that was computed from a personal value.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from deskbell.calls.following import FollowedJob, follow
from deskbell.cli.exit import stop
from deskbell.cli.flow.placeholders import Placeholders, looks_personal
from deskbell.cli.settings.running import load_settings_here, no_redis
from deskbell.flow.kept import event_of, session_events
from deskbell.flow.loader import load_flow
from deskbell.simulator.packets import command_named, packet_of
from deskbell.simulator.rest.reading import Inbox, NoStandInError
from deskbell.testing import async_reply
from shared.declarations.nearest import advice
from shared.declarations.options import field_names
from shared.errors import FlowFileError, LifespanError, ResultError
from shared.handlers.asking import AskHandler
from shared.handlers.callbacks import Callbacks
from shared.late.policy import STATE, TICKET
from shared.loading import load_callbacks
from shared.redis.connections import connect
from shared.wire.commands import ApiCall, AssignAgent
from shared.wire.events import Event, Reply
from shared.wire.json_values import out_of_text, text
from shared.wire.protocol import SYSTEM, SYSTEM_VARIABLES

_FAILED = 1
_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_IDS = frozenset(
    {
        *("SessionId", "ClientUserId", "From_Account", "MemberId", "AgentId", "ForwardFromAgentId"),
        *("SystemSessionID", "SystemClientUserID"),
    }
)
_WRITTEN = frozenset({"MsgBody", "CloudCustomData", "Data"})
_MADE_ANEW = frozenset(
    {
        *("CallbackCommand", "EventTime", "SessionId", "ClientUserId", "From_Account", "CustomerServiceId"),
        *("ChannelType", "ChannelId", "ExecutionId"),
    }
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.@+-]*( [A-Za-z0-9_.@+-]+)*")
_WORDS = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n")


def record(id_: str, file: Path | None, keep: Collection[str], put: Collection[str]) -> None:
    """Write a flow file of an event or of a session.

    Args:
        id_: the event's id, or the session's.
        file: a new file; None is standard output.
        keep: variables that are written as they came.
        put: variables for which a placeholder stands in any case.
    """
    if file and file.exists():
        stop(f"{file} is there already; name a new file")
    settings = load_settings_here(for_redis=True)
    if not settings.callbacks:
        stop("record has your handlers answer once more: set DESKBELL_CALLBACKS, in .env or the environment")
    callbacks = load_callbacks(settings)
    try:
        with connect(settings) as redis:
            event = event_of(redis, id_) if _EVENT_ID.fullmatch(id_) else None
            events = [event] if event else session_events(redis, id_)
            jobs = {each.id: next(follow(redis, each.id, seconds=0), []) for each in events}
    except RedisError as error:
        stop(no_redis(error, settings), _FAILED)
    if not events:
        kept = "finished events are kept there for 500 s"
        stop(f"Redis has no event and no session {id_!r}; {kept}: write an id that `deskbell send` printed", _FAILED)
    _check_names(events, (*keep, *put))
    try:
        with callbacks.lifespans.runner(settings) as runner:  # handlers may need a pool, as in the api
            said = [] if event else _said(settings.desk_url, id_)
            written = runner.run(Recording(callbacks, keep, put).text(events, jobs, said))
    except ResultError as error:
        stop(f"a handler answers what it does not declare: {error}", _FAILED)
    except LifespanError as error:
        stop(str(error), _FAILED)
    if file is None:
        sys.stdout.write(written)
        return
    try:
        with file.open("x", encoding="utf-8") as new:  # follows no link, and replaces nothing
            new.write(written)
    except FileExistsError:
        stop(f"{file} is there already; name a new file")
    try:
        load_flow(file)
    except FlowFileError as error:
        stop(f"recorded, and not all of it can be played: {error}", _FAILED)


def _said(url: str, session_id: str) -> list[str]:
    """The commands that jobs of a session have sent to a stand-in of Desk; none where Tencent has them."""
    with closing(Inbox(url)) as inbox, suppress(NoStandInError):
        return [each.command for each in inbox.after(0) if each.session_id == session_id and each.has_effect]
    return []


def _check_names(events: Sequence[Event], named: Sequence[str]) -> None:
    names = {name for event in events for name in event.raw | event.fields}
    for name in named:
        if name not in names:
            stop(f"no variable and no field {name} in what was recorded{advice(name, names)}")


class Recording:
    """The text of one flow file."""

    def __init__(self, callbacks: Callbacks, keep: Collection[str] = (), put: Collection[str] = ()) -> None:
        self._callbacks = callbacks
        self._keep = keep
        self._put = put
        self._placeholders = Placeholders()
        self._kept: set[str] = set()
        self._session: dict[str, str] = {}
        self._came: dict[str, str] = {}  # the session's variables as they were recorded
        self._memory: dict[str, str] = {}  # and as they will be when the file is played
        self._lines: list[str] = []

    async def text(
        self, events: Sequence[Event], jobs: Mapping[str, Sequence[FollowedJob]], said: Sequence[str] = ()
    ) -> str:
        """The file.

        Args:
            events: in their order.
            jobs: those that each event became, by its id.
            said: the commands that jobs of the session have sent to Desk.

        Raises:
            ResultError: a handler answers what it does not declare.
        """
        for event in events:
            self._learn(event)
        for event in events:
            await self._add(event)
            self._add_jobs(jobs.get(event.id, []))
        if said:  # what they said was computed from values that are not written here
            self._lines.append(f"    - desk: {_flow({each: [{}] * count for each, count in Counter(said).items()})}")
        kept = ", ".join(map(_scalar, sorted(self._kept)))
        head = ["# Made by deskbell record. Placeholders stand for personal values."]
        if kept:
            head.append(f"# As they came: {kept}. Look them over; --replace NAME puts a placeholder for one.")
        session = [f"  {name}: {_scalar(value)}" for name, value in self._session.items()]
        return "\n".join(
            [*head, *(["session:", *session] if session else []), "cases:", "  recorded:", *self._lines, ""]
        )

    def _learn(self, event: Event) -> None:
        """Find the personal values first: one may be part of another text that came before it."""
        fields = event.variables if isinstance(event, ApiCall) else event.raw
        for name, value in fields.items():
            if name in self._keep:
                continue
            is_variable = isinstance(event, ApiCall) and not name.startswith(SYSTEM)
            if name in _IDS or name in self._put or (is_variable and looks_personal(text(value))):
                self._placeholders.of(text(value))
            elif _is_unknown(event, name):
                self._placeholders.personal(value)

    async def _add(self, event: Event) -> None:
        if isinstance(event, ApiCall):
            await self._add_call(event)
        elif command_named(event.command) is None:
            self._lines.append(f"    # An event of the command {event.command}, which no page lists, is left out.")
        else:
            await self._add_event(event)

    def _add_ask(self, call: ApiCall) -> None:
        """A call that asked for late values: the last one of a ticket, since the file waits for their job."""
        reply = call.reply or Reply()
        if not self._memory.get(TICKET) or (reply.variables or {}).get(STATE, "ready") != "ready":
            self._lines.append(f"    # A call of {call.node} is left out: there were no values for it.")
            return
        self._lines.append(f"    - call: {_flow({'node': call.node, 'session': [TICKET]})}")
        expect = {"outcome": reply.outcome, "code": reply.code} if reply.code else {"variables": {STATE: "ready"}}
        self._lines.append(f"    - expect: {_flow(expect)}")
        if reply.code:
            self._lines.append("    - exception:")

    async def _add_call(self, call: ApiCall) -> None:
        if isinstance(self._callbacks.find(call), AskHandler):
            self._add_ask(call)
            return
        given = {name: self._variable(name, text(value)) for name, value in call.variables.items()}
        for name in SYSTEM_VARIABLES:
            if name != SYSTEM_VARIABLES[0] and name in given:  # the id of the session is made anew
                self._session.setdefault(name, given[name])
        own = {name: value for name, value in given.items() if name not in SYSTEM_VARIABLES}
        taken = [name for name in own if self._came.get(name) == text(call.variables[name])]
        fresh = {name: value for name, value in own.items() if name not in taken}
        self._kept |= {name for name, value in fresh.items() if value and value == text(call.variables[name])}
        body = given | {name: self._memory[name] for name in taken}
        reply = await async_reply(self._callbacks, replace(call, raw=call.raw | {"Body": body}))
        step: dict[str, Any] = {"node": call.node} if call.node else {}
        step |= {"variables": fresh} if fresh else {}
        step |= {"session": taken} if taken else {}
        self._lines.append(f"    - call: {_flow(step)}")
        self._expect(reply)
        if reply.code:
            self._lines.append("    - exception:")
        answered = call.reply.variables if call.reply else None
        self._came |= {name: text(call.variables[name]) for name in fresh} | (answered or {})
        self._memory |= fresh | (reply.variables or {} if not reply.code else {})
        self._came = {name: value for name, value in self._came.items() if name in self._memory}

    async def _add_event(self, event: Event) -> None:
        packet = {name: self._field(event, name, value) for name, value in event.raw.items()}
        fields = {name: value for name, value in packet.items() if name not in _MADE_ANEW}
        if isinstance(event, AssignAgent):
            self._lines.append(f"    - assign: {_flow({'fields': fields})}" if fields else "    - assign:")
        else:
            self._lines.append(f"    - event: {_flow({'command': event.command, 'fields': fields})}")
        if event.user_id:
            self._session.setdefault(SYSTEM_VARIABLES[1], self._field(event, "ClientUserId", event.user_id))
        reply = await async_reply(self._callbacks, replace(event, raw=packet))
        if reply.outcome != "receipt":
            self._expect(reply)

    def _expect(self, reply: Reply) -> None:
        expect: dict[str, Any] = {"outcome": reply.outcome}
        if reply.code:
            expect |= {"code": reply.code, "info": reply.info}
        variables = {name: value for name, value in (reply.variables or {}).items() if name != TICKET}
        expect |= {"variables": variables} if variables else {}
        expect |= {"fields": reply.fields} if reply.fields else {}
        self._lines.append(f"    - expect: {_flow(expect)}")

    def _add_jobs(self, jobs: Sequence[FollowedJob]) -> None:
        done = {job.name: "done" for job in jobs if job.state == "done"}
        if done:
            self._lines.append(f"    - jobs: {_flow(done)}")
        self._lines += [f"    # {job.name} was {job.state}, not done." for job in jobs if job.state != "done"]

    def _variable(self, name: str, value: str) -> str:
        if name in self._keep:
            return value
        return str(self._placeholders.within(value))

    def _field(self, event: Event, name: str, value: Any) -> Any:
        if name in self._keep:
            return value
        if _is_unknown(event, name):
            return self._placeholders.personal(value)
        if name not in _WRITTEN:
            return self._placeholders.within(value)
        inner = out_of_text(value)
        if isinstance(value, str) and inner != value:  # JSON in a text
            return json.dumps(self._placeholders.everywhere(inner), ensure_ascii=False)
        return self._placeholders.everywhere(value)


def _is_unknown(event: Event, name: str) -> bool:
    """Whether no page lists a field of an event: what it holds may be a person's, as a variable's value may."""
    listed = {*field_names(type(event)).values(), *packet_of(event.command)} if command_named(event.command) else ()
    return not isinstance(event, ApiCall) and name not in listed


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A scalar: in quotes unless it is a plain word that no YAML reads as anything but text."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)

"""Desk's six commands (PROTOCOL §5) on sessions that are kept here: what each needs, and what it answers.

1. A session that nobody has heard of is one whose customer talks with the chatbot, since callbacks do not come here.
2. `transfer_to_human` brings it to an agent who is free, or into the queue; nobody online is 141001, and a session that
   is with a person, or on its way to one, is 141003.
3. After `end_session` each command answers 141005.
4. A message whose `MsgRandom` the same session has had is answered as the first was, and not written again. How long
   Tencent remembers one is stated nowhere; here it is for good.

What the pages say of shapes is enforced. Fields that no page has are let through, since there are newer pages.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]

COMMANDS = (
    "send_msg",
    "send_stream_msg",
    "transfer_to_human",
    "end_session",
    "get_session_state",
    "describe_chat_messages",
)
"""Their names."""

_NO_AGENT, _NOT_TRANSFERABLE, _PARAMETER, _ENDED = 141001, 141003, 141004, 141005
_BODY = 90002
_UNKNOWN_COMMAND = 60002  # from memory
_UINT32 = 1 << 32
_MOST_MESSAGES, _SOME_MESSAGES = 100, 20
_SYSTEM = 3
_CONTENT = {"TIMTextElem": "Text", "TIMCustomElem": "Data"}
_OPTIONAL: dict[str, type] = {
    "CloudCustomData": str,
    "MsgKey": str,
    "Finish": int,
    "AgentIdList": list,
    "AgentGroupId": int,
    "SendTipIfNoAgentOnline": int,
    "Limit": int,
    "Offset": int,
    "Order": int,
}


class CommandError(Exception):
    """Raised when a command is refused.

    Attributes:
        code: the `ErrorCode`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


@dataclass
class Session:
    """One session, as far as commands can tell.

    Attributes:
        state: `CurrentState`; "" once it has ended.
        agent: who has it.
        messages: what was written by commands, as `describe_chat_messages` has it.
        streams: the parts of messages that are still growing, by `MsgKey`.
        randoms: the `MsgRandom` of each message.
    """

    state: str = "Chatbot"
    agent: str = ""
    messages: list[Fields] = field(default_factory=list)
    streams: dict[str, list[str]] = field(default_factory=dict)
    randoms: set[int] = field(default_factory=set)

    def write(self, body: list[Any], account: str) -> None:
        """Add a message."""
        message = {"FromAccount": account, "FromAccountRole": _SYSTEM, "MsgBody": body}
        self.messages.append({**message, "Timestamp": round(time.time() * 1000)})


class Commands:
    """The commands of one app.

    Attributes:
        free, online: agents who would take a session at once; and all who are there.
    """

    def __init__(self) -> None:
        self.free: list[str] = ["agent1"]
        self.online: list[str] = ["agent1"]
        self._sessions: dict[str, Session] = {}
        self._keys = 0
        done = (self._send, self._send_stream, self._transfer, self._end, self._state, self._describe)
        self._commands: dict[str, Callable[[Session, Fields], Fields]] = dict(zip(COMMANDS, done, strict=True))

    def run(self, command: str, fields: Fields) -> tuple[Fields, bool]:
        """Carry a command out.

        Returns:
            What is answered beside the envelope, and whether it was a message that had come before.

        Raises:
            CommandError: it is refused.
        """
        if command not in self._commands:
            raise CommandError(_UNKNOWN_COMMAND)
        if any(type(fields[name]) is not kind for name, kind in _OPTIONAL.items() if name in fields):
            raise CommandError(_PARAMETER)
        if command == "send_msg":
            _check_message(fields)
        named = _session_of(command, fields)
        session = self._sessions.setdefault(named, Session())
        if not session.state:
            raise CommandError(_ENDED)
        if command == "send_msg" and fields["MsgRandom"] in session.randoms:
            return {}, True
        return self._commands[command](session, fields), False

    def end(self, session_id: str) -> None:
        """End a session, as a customer who leaves does."""
        self._sessions.setdefault(session_id, Session()).state = ""

    def _send(self, session: Session, fields: Fields) -> Fields:
        session.randoms.add(fields["MsgRandom"])
        session.write(fields["MsgBody"], str(fields.get("FromAccount", "")))
        return {}

    def _send_stream(self, session: Session, fields: Fields) -> Fields:
        chunk, key = fields.get("Chunk"), fields.get("MsgKey", "")
        if not isinstance(chunk, str) or (key and key not in session.streams):
            raise CommandError(_PARAMETER)
        if not key:
            self._keys += 1
            key = f"stream_{self._keys}"
        session.streams.setdefault(key, []).append(chunk)
        if fields.get("Finish") == 1:
            text = "".join(session.streams.pop(key))
            session.write([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}], "")
        return {"MsgKey": key}

    def _transfer(self, session: Session, fields: Fields) -> Fields:
        if session.state != "Chatbot":
            raise CommandError(_NOT_TRANSFERABLE)
        wanted = fields.get("AgentIdList") or self.online
        if not (online := [agent for agent in self.online if agent in wanted]):
            raise CommandError(_NO_AGENT)
        session.agent = next((agent for agent in online if agent in self.free), "")
        session.state = "Agent" if session.agent else "Queueing"
        return {"AgentId": session.agent, "IsInQueue": int(not session.agent)}

    def _end(self, session: Session, _: Fields) -> Fields:
        session.state = ""
        return {}

    def _state(self, session: Session, fields: Fields) -> Fields:
        named = fields.get("SessionId", "")
        if not named:  # which session a customer has, callbacks know, and none come here
            return {"SessionId": "", "CurrentState": "NotInSession"}
        return {"SessionId": named, "CurrentState": session.state} | (
            {"AgentId": session.agent} if session.agent else {}
        )

    def _describe(self, session: Session, fields: Fields) -> Fields:
        limit, offset, order = fields.get("Limit", _SOME_MESSAGES), fields.get("Offset", 0), fields.get("Order", 2)
        if not 0 < limit <= _MOST_MESSAGES or offset < 0 or order not in (1, 2):
            raise CommandError(_PARAMETER)
        messages = session.messages if order == 1 else session.messages[::-1]
        return {"TotalCount": len(messages), "Messages": messages[offset : offset + limit]}


def _session_of(command: str, fields: Fields) -> str:
    """The session that a command is about: its id, or the two accounts that stand for it."""
    named = fields.get("SessionId", "")
    pairs = {"send_msg": ("FromAccount", "ToAccount"), "get_session_state": ("CustomerServiceId", "ClientUserId")}
    accounts = [fields.get(name, "") for name in pairs.get(command, ())]
    if not all(isinstance(each, str) for each in (named, *accounts)):
        raise CommandError(_PARAMETER)
    if bool(named) == bool(accounts and all(accounts)):  # one of the two, and not both
        raise CommandError(_PARAMETER)
    return named or "\n".join(accounts)


def _check_message(fields: Mapping[str, Any]) -> None:
    random, body = fields.get("MsgRandom"), fields.get("MsgBody")
    if type(random) is not int or not 0 <= random < _UINT32:
        raise CommandError(_PARAMETER)
    if not isinstance(body, list) or not body or not all(_is_element(each) for each in body):
        raise CommandError(_BODY)


def _is_element(given: Any) -> bool:
    if not isinstance(given, dict) or not isinstance(content := given.get("MsgContent"), dict):
        return False
    kind = given.get("MsgType")
    return isinstance(kind, str) and (kind not in _CONTENT or isinstance(content.get(_CONTENT[kind]), str))

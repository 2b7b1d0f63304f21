"""What a flow file may hold. The loader reads it by these models, and the JSON Schema for editors is made of them."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PositiveInt

from shared.declarations.options import NODE_FORM
from shared.wire.events import Outcome
from shared.wire.protocol import COMMAND_FORM

Variables = dict[str, str]
"""Names and texts: a variable is a string on the wire (PROTOCOL §3.1)."""

Fields = dict[str, JsonValue]
"""Fields of a packet or of an answer, spelt as Tencent does, with the types that its page gives."""

Node = Annotated[str, Field(pattern=rf"^({NODE_FORM})?$")]
Command = Annotated[str, Field(pattern=rf"^{COMMAND_FORM}$")]
AppId = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
Ended = Literal["done", "dead"]
NoOthers = Literal["none"]

CALLBACKS = ("call", "event", "assign")
"""The steps that send a callback."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _given(schema: Any, alone: str = "", empty: Any = None) -> BeforeValidator:
    """Refuse a key without a value, or give it one; let a text stand for an object.

    Args:
        schema: what editors are told.
        alone: the key of the object for which a text may stand.
        empty: what no value means; None where there must be one.
    """

    def read(value: Any) -> Any:
        if value is None and empty is None:
            raise ValueError("expected a value, got nothing")
        if value is None:
            return empty
        return {alone: value} if alone and isinstance(value, str) else value

    return BeforeValidator(read, json_schema_input_type=schema)


def _same_names(value: Any) -> Any:
    is_names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return {name: name for name in value} if is_names else value


class Call(_Model):
    """A call of an API-call node; the system variables of the session go with it."""

    node: Annotated[Node, Field(description="The node in the URL; empty for none.")] = ""
    variables: Annotated[
        Variables, Field(description="What the customer gave, and fixed values; the session keeps them.")
    ] = {}
    session: Annotated[
        dict[str, str],
        BeforeValidator(_same_names, json_schema_input_type=list[str] | dict[str, str]),
        Field(
            description="Variables that the node takes from the session: names, or parameter: name. One that is not "
            'set is "".'
        ),
    ] = {}


class Event(_Model):
    """A callback of any other command; the fields that name the session, the user and the time are filled in."""

    command: Annotated[
        Command, Field(description="`session_event` and the like, or a CallbackCommand of the documents.")
    ]
    fields: Annotated[Fields, Field(description="Fields of the packet, before those of the documented example.")] = {}


class Assign(_Model):
    """The question who takes the session."""

    fields: Annotated[Fields, Field(description="Fields of the packet beside the session, the user and the time.")] = {}


class Expect(_Model):
    """What the answer to the last callback must be."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    outcome: Annotated[
        Outcome | None, _given(Outcome), Field(description="How the answer came about, as the log has it.")
    ] = None
    code: Annotated[int | None, _given(int), Field(description="ErrorCode; 0 is success.")] = None
    info: Annotated[str | None, _given(str), Field(description="ErrorInfo.")] = None
    variables: Annotated[Variables, Field(description="Variables that the answer sets; there may be others.")] = {}
    fields: Annotated[Fields, Field(description="Other fields of the answer: AgentGroupId, AgentIdList, RspData.")] = {}
    others: Annotated[
        NoOthers | None, _given(NoOthers), Field(description="`none`: the answer has nothing that is not named here.")
    ] = None
    within_ms: Annotated[
        PositiveInt | None, _given(PositiveInt), Field(description="Milliseconds in which the answer must come.")
    ] = None


class JobEnd(_Model):
    """How a job must end."""

    ends: Annotated[Ended, Field(description="`dead`: as a dead letter.")]
    attempts: Annotated[
        PositiveInt | None, _given(PositiveInt), Field(description="How often it must have been run.")
    ] = None
    within_ms: Annotated[PositiveInt, Field(description="How long to wait for its end.")] = 30_000


class JobEnds(_Model):
    """How the jobs of the last callback must end, by job type."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"minProperties": 1})

    __pydantic_extra__: dict[str, Annotated[JobEnd, _given(Ended | JobEnd, alone="ends")]]
    others: Annotated[NoOthers | None, _given(NoOthers), Field(description="`none`: no job but those named here.")] = (
        None
    )


def _listed(alone: Callable[[str], Fields] | None = None) -> BeforeValidator:
    """One command for a list of one; nothing for a command of which nothing is said; a text, for what it says.

    Args:
        alone: the fields that a text stands for.
    """

    def read(value: Any) -> Any:
        given = value if isinstance(value, list) else [value]
        return [{} if each is None else alone(each) if alone and isinstance(each, str) else each for each in given]

    one: Any = Fields | str if alone else Fields
    return BeforeValidator(read, json_schema_input_type=one | list[one] | None)


def _text_message(text: str) -> Fields:
    return {"MsgBody": [{"MsgContent": {"Text": text}}]}


def _chunk(text: str) -> Fields:
    return {"Chunk": text}


class DeskCommands(_Model):
    """What jobs must have said to Desk in this session, beside what such a step before has found."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    send_msg: Annotated[
        list[Fields],
        _listed(_text_message),
        Field(description="Messages: the text, or fields; `Data`, JSON in a text, may be written as an object."),
    ] = []
    send_stream_msg: Annotated[
        list[Fields], _listed(_chunk), Field(description="Parts of messages: the text, or fields.")
    ] = []
    transfer_to_human: Annotated[list[Fields], _listed(), Field(description="Fields of the command.")] = []
    end_session: Annotated[list[Fields], _listed(), Field(description="Fields of the command.")] = []
    get_session_state: Annotated[list[Fields], _listed(), Field(description="Fields of the command.")] = []
    describe_chat_messages: Annotated[list[Fields], _listed(), Field(description="Fields of the command.")] = []
    others: Annotated[
        NoOthers | None, _given(NoOthers), Field(description="`none`: no other command until the jobs have ended.")
    ] = None
    within_ms: Annotated[PositiveInt, Field(description="How long to wait for them.")] = 30_000

    @property
    def expected(self) -> Iterator[tuple[str, Fields]]:
        """Each command with the fields that it must have."""
        for command in REST_COMMANDS:
            for fields in getattr(self, command):
                yield command, fields


REST_COMMANDS = tuple(name for name in DeskCommands.model_fields if name not in ("others", "within_ms"))
"""Desk's REST commands (PROTOCOL §5)."""


class Wait(_Model):
    """A pause."""

    ms: PositiveInt


class Step(_Model):
    """One step: an object with one key."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    call: Annotated[Call | None, _given(Call | Node, alone="node"), Field(description=Call.__doc__)] = None
    event: Annotated[Event | None, _given(Event | Command, alone="command"), Field(description=Event.__doc__)] = None
    assign: Annotated[Assign | None, _given(Assign | None, empty={}), Field(description=Assign.__doc__)] = None
    expect: Annotated[Expect | None, _given(Expect), Field(description=Expect.__doc__)] = None
    exception: Annotated[
        "list[Step] | None",
        _given("list[Step] | None", empty=[]),
        Field(description="The exception branch: the last call must fail, and these steps come next."),
    ] = None
    jobs: Annotated[JobEnds | None, _given(JobEnds), Field(description=JobEnds.__doc__)] = None
    desk: Annotated[DeskCommands | None, _given(DeskCommands), Field(description=DeskCommands.__doc__)] = None
    duplicate: Annotated[
        PositiveInt | None,
        _given(PositiveInt),
        Field(description="Deliver the last callback so many times more: each must be answered as the first was."),
    ] = None
    wait: Annotated[Wait | None, _given(Wait), Field(description=Wait.__doc__)] = None

    @property
    def key(self) -> str:
        """The step's key."""
        (key,) = self.model_fields_set
        return key


class FlowFile(_Model):
    """Conversations with the handlers, as Desk leads them."""

    app: Annotated[
        AppId | None, _given(AppId), Field(description="The SdkAppid; the first of the settings by default.")
    ] = None
    session: Annotated[
        Variables, Field(description="Variables that each case's session begins with, such as SystemClientUserID.")
    ] = {}
    cases: Annotated[
        dict[str, Annotated[list[Step], Field(min_length=1)]],
        Field(min_length=1, description="Conversations by name, each with a session of its own."),
    ]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a flow file, for editors."""
    schema: dict[str, Any] = _without_titles(FlowFile.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A flow of Deskbell", **schema}


def _without_titles(schema: Any) -> Any:
    """A schema without what pydantic makes of the names in Python, and without defaults, which say nothing more."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    noise = {name for name in ("title", "default") if not isinstance(schema.get(name), dict) or name == "default"}
    return {name: _without_titles(value) for name, value in schema.items() if name not in noise}

"""Late values of a handler: the tickets that go out instead, and the second node, which answers for a ticket.

1. A handler with `late=` that is out of time answers its fallback with a ticket: `LateNode.completed`.
2. A worker runs the handler again, for as long as it takes (`deskbell.jobs.late`), and keeps the values.
3. The flow calls `<node>.late`, whose handler (`asking`) is `LateNode.ask`.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model
from pydantic_core import to_json

from shared.declarations.kind import Kind
from shared.declarations.options import NODE_FORM, check_name
from shared.errors import DeclarationError, Refuse
from shared.handlers.contract import Outputs, Shape
from shared.keys import shard_of
from shared.late import tickets, values
from shared.late.policy import STATE, SUFFIX, TICKET, Late, State
from shared.settings.config import Settings
from shared.wire.commands import ApiCall
from shared.wire.events import Event, Reply

if TYPE_CHECKING:
    from redis import Redis

OUTPUTS: dict[str, Any] = {
    TICKET: (str, Field(description="What the second node takes; empty when the values are here, or will not come.")),
    STATE: (
        State,
        Field(
            description="ready: the other outputs are the answer. not_yet: call the second node later. Otherwise the "
            "values will not come."
        ),
    ),
}
"""The outputs that `late=` adds."""


class LateNode:
    """What `late=` adds to a handler.

    Attributes:
        policy: the options.
        node: the name of the second node.
        job: the name of the job type that computes the values.
        shapes: the outputs that the handler itself declares.
        redis: where they are kept, while the process serves: each shard of Redis, or the only one.
    """

    def __init__(self, name: str, app: str, policy: Late, shapes: list[Shape]) -> None:
        self.policy = policy
        self.node = name + SUFFIX
        slug = re.sub("[^a-z0-9_]", "_", name.lower())
        self.job = f"late.{slug if slug[0].isalpha() else 'n' + slug}" + (f".app{app}" if app else "")
        self.shapes = shapes
        self.redis: Sequence[Redis] = ()
        self._first = name
        self._settings: Settings | None = None

    async def opened(self, settings: Settings) -> AsyncIterator[None]:
        """The lifespan: within it tickets are sealed by the settings, and Redis is asked."""
        from shared.redis.connections import connect  # noqa: PLC0415 - it imports redis, and `import deskbell` must not

        before = self._settings, self.redis
        with ExitStack() as stack:
            shards, seconds = range(settings.shards) or (None,), settings.redis_timeout_ms / 1000
            self.redis = [stack.enter_context(connect(settings, seconds, shard)) for shard in shards]
            self._settings = settings
            yield
        self._settings, self.redis = before

    def until(self, until: float, now: float) -> float:
        """When the first node's handler is out of time, in the event loop's time."""
        return until if self.policy.after_ms is None else min(until, now + self.policy.after_ms / 1000)

    def completed(self, event: Event, reply: Reply) -> Reply:
        """The first node's reply, with a ticket if the handler was out of time; a failure stays as it is."""
        if reply.code:
            return reply
        state: State = "ready" if reply.outcome == "answered" else "failed"
        ticket = ""
        if reply.outcome == "late":
            state, ticket = "not_yet", tickets.issue(self._opened, event, self._first)
        return replace(reply, variables={**(reply.variables or {}), TICKET: ticket, STATE: state})

    def ask(
        self,
        LateTicket: Annotated[str, Kind.CUSTOM, Field(description="The ticket of the first node.")],  # noqa: N803
        call: ApiCall,
    ) -> dict[str, str]:
        """Fetch what another node was too late to answer."""
        event_id = tickets.promised(self._opened, LateTicket, call, self._first)
        if event_id is None:
            from shared.logs import get_log  # noqa: PLC0415 - it imports RQ, and `import deskbell` must not

            advice = "the ticket is none of this app, session and node; does each node send SystemSessionID?"
            get_log().warning("late_refused", event_id=call.id, app=call.app_id, node=self.node, advice=advice)
            return {STATE: "unknown"}
        job_id = f"{event_id}-{self.job.replace('.', '-')}"
        patience = self._opened.redis_timeout_ms / 1000
        redis = self.redis[shard_of(call.app_id, call.session_id, "", "", len(self.redis))]  # the first call's, too
        state, reply = values.take(redis, event_id, job_id, _delivery(call), self.policy.keep, patience=patience)
        if reply and reply.code:
            raise Refuse(reply.info, code=reply.code)
        return {**((reply.variables if reply else None) or {}), STATE: state}

    @property
    def _opened(self) -> Settings:
        assert self._settings, "the lifespans of the handlers have been entered"
        return self._settings


def is_ours(lifespan: Any) -> bool:
    """Whether a lifespan is one that `late=` has declared."""
    return isinstance(getattr(lifespan, "__self__", None), LateNode)


def late_node(where: str, name: str, apps: frozenset[str], policy: Late, outputs: Outputs, fallback: Any) -> LateNode:
    """What `late=` adds to a handler of these outputs, to which the variables of its own are added."""
    if fallback is None:
        raise DeclarationError(f"{where}: late= needs what goes out first; write fallback={{…}} as well")
    check_name(where, name + SUFFIX, NODE_FORM, "the second node", 'api_call("order_status")')
    taken = [each for each in (TICKET, STATE) if any(each in shape.names for shape in outputs.shapes)]
    if taken:
        raise DeclarationError(f"{where}: late= answers {taken[0]} itself; give the handler's output another name")
    own = outputs.shapes
    outputs.shapes = [with_fields(shape, OUTPUTS, shape.required | OUTPUTS.keys()) for shape in own]
    return LateNode(name, min(apps, default=""), policy, own)


def with_fields(shape: Shape, fields: dict[str, Any], required: frozenset[str]) -> Shape:
    """A shape with further fields, and what of all is always answered."""
    model = create_model(shape.model.__name__, __base__=shape.model, **fields)
    return Shape(model, shape.names | fields.keys(), required, shape.personal)


def _delivery(call: ApiCall) -> str:
    """What tells a repetition of a call from another call (PROTOCOL §4)."""
    said = call.request_id.encode() if call.request_id else to_json(call.raw, inf_nan_mode="constants")
    return blake2b(said, digest_size=16).hexdigest()

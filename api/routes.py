"""The callback pipeline, an ASGI middleware: each step from the path to the answer, in order.

1. The path is a callback's (`api.admission.paths`): `/callback` or `/callback/<node>`, behind the secret if one is set.
2. Not too many callbacks are in flight (`api.admission.concurrency`).
3. The query names our app and carries its Sign (`api.admission.authentication`).
4. The body is read, no further than the limit, and is a packet (`shared.wire.protocol`).
5. The integrator's handler computes the reply (`shared.handlers.replies`), once for the requests of one delivery that
   are under way (`api.acceptance.deliveries`).
6. The event is kept with its reply (`api.acceptance.intake`). Only now the answer goes out.
7. One line is logged and the callback is counted; of rejections, one line a second for each cause
   (`api.admission.rejections`).

All of it happens within the budget, which counts from the request's first byte. A rejection is answered with the
envelope, too.
"""

import asyncio
import time
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api.acceptance.accept import Kept
from api.acceptance.deliveries import Deliveries
from api.acceptance.sharding import Intakes
from api.admission.authentication import Authenticator, Query, parse_query
from api.admission.concurrency import ConcurrencyLimit, Slot
from api.admission.paths import CallbackPaths
from api.admission.rejections import RejectionLog
from api.errors import Rejection, http_info
from api.lateness import Deadline, Lateness
from api.metrics import Metrics
from api.server.answers import Answer
from api.server.arrival import Arrival, arrival_of
from shared.errors import CannotKeepError, PacketError
from shared.handlers.replies import Replies
from shared.logs import get_log
from shared.settings.config import Settings
from shared.traces.spans import NO_SPAN, Span, callback_span, end_callback, sent
from shared.wire.codes import Code
from shared.wire.commands import delivery_identity, received
from shared.wire.events import Event
from shared.wire.protocol import RECEIPT, Packet, envelope, parse_packet

# Their reason is our text and names no value; that of `Refuse` is the integrator's.
_EXPLAINED = ("misfit", "no_handler")
_WRONG_PATH = Rejection(Code.NOT_OUR_APP, "the path does not hold the secret", "wrong_path_secret")
_WRONG_METHOD = Rejection(Code.NOT_A_PACKET, "not a POST", "not_a_post")
_NOT_POST = Answer(envelope(405, http_info(405)), 405, {"allow": "POST"})
_LATE = Rejection(Code.NOT_A_PACKET, "the body did not arrive in time")
_NOT_KEPT = Rejection(Code.CANNOT_KEEP, "cannot keep the event now")


@dataclass(slots=True)
class CallbackContext:
    """One callback on its way.

    Attributes:
        arrival: when its first byte arrived.
        slot: its share of the concurrency limit.
        log: the fields of its log line so far.
        span: its span, once it is authenticated: others leave no trace.
    """

    node: str
    scope: Scope
    receive: Receive
    arrival: Arrival
    slot: Slot
    log: dict[str, Any] = field(default_factory=dict)
    span: Span = NO_SPAN

    @property
    def seconds(self) -> float:
        """Seconds since its first byte arrived."""
        return asyncio.get_running_loop().time() - self.arrival.request_started_at


@dataclass(eq=False)
class CallbackRoutes:
    """Answers the callbacks; everything else goes on to the app inside.

    They do not pass FastAPI's middleware and routing, which would cost more than all of the work done here.
    """

    app: FastAPI
    _: KW_ONLY
    settings: Settings
    paths: CallbackPaths
    concurrency: ConcurrencyLimit
    authenticator: Authenticator
    rejections: RejectionLog
    replies: Replies
    deliveries: Deliveries
    intakes: Intakes
    metrics: Metrics
    lateness: Lateness

    def __post_init__(self) -> None:
        self._budget = self.settings.budget_ms / 1000
        self._reserve = self.settings.reserved_ms / 1000
        self._log = get_log()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a callback, or pass the request on."""
        path = self.paths.read(scope["path"]) if scope["type"] == "http" else None
        if not path:
            await self.app(scope, receive, send)
        elif not self.authenticator.path_secret_matches(path.secret):
            self.rejections.record(_WRONG_PATH, status=404)
            await self.app(scope, receive, send)
        elif scope["method"] != "POST":
            self.rejections.record(_WRONG_METHOD, status=405)
            await _NOT_POST(scope, receive, send)
        else:
            context = CallbackContext(path.node, scope, receive, arrival_of(scope), Slot(self.concurrency))
            answer = await self._answer(context)
            end_callback(context.span, answer.status_code, context.node, context.log)
            await answer(scope, receive, send)

    async def _answer(self, context: CallbackContext) -> Answer:
        """Answer one callback within the budget, and log it."""
        # What came while the event loop was blocked is read and kept all the same.
        last = max(context.arrival.request_started_at + self._budget, context.arrival.read_at + self._reserve)
        try:
            with context.slot, self.lateness.until(last, self._reserve) as deadline:
                answer = await self._handle(context, deadline)
        except Rejection as rejection:
            return self._reject(context, rejection)
        except CannotKeepError:
            return self._reject(context, _NOT_KEPT)
        except (TimeoutError, asyncio.CancelledError):  # the budget is over, or this process must end
            return self._reject(context, _NOT_KEPT if "event_id" in context.log else _LATE)
        except Exception as error:  # noqa: BLE001 - a defect of Deskbell's must not show its text to the caller
            context.log |= {"outcome": "defect", "error": error}
            answer = Answer(envelope(500, "internal error"), 500)
        seconds = context.seconds
        self.metrics.record_answer(context.node, context.log.get("command", ""), context.log["outcome"], seconds)
        self._log.info("callback", node=context.node, **context.log, status=answer.status_code, ms=_ms(seconds))
        return answer

    def _reject(self, context: CallbackContext, rejection: Rejection) -> Answer:
        code = rejection.code
        ms = _ms(context.seconds)
        self.rejections.record(rejection, node=context.node, **context.log, status=code.status, ms=ms)
        # What remains of the body may not have been read: the connection is not to carry another request.
        headers = {"connection": "close"} if code in (Code.TOO_LARGE, Code.NOT_A_PACKET) else None
        return Answer(envelope(code.number, rejection.info), code.status, headers)

    async def _handle(self, context: CallbackContext, deadline: Deadline) -> Answer:
        query = parse_query(context.scope["query_string"])
        app_id = context.log["app"] = self.authenticator.authenticate(query, time.time())
        context.span = callback_span(context.seconds, has_node=bool(context.node))
        body = await self._read(context)
        if not body:  # the console's verify button (PROTOCOL §1)
            context.log["outcome"] = "verified"
            return Answer(RECEIPT)
        if not app_id:
            raise Rejection(Code.NOT_OUR_APP, "SdkAppid is missing or not ours", "unknown_app")
        packet = _packet(body, query)
        event = received(packet, query, app_id=app_id, node=context.node)
        context.log |= {"event_id": event.id, "command": event.command}
        identity = delivery_identity(event, body)
        keep = partial(self._accept, context, deadline, event, identity)
        kept = await self.deliveries.keep_once(identity, keep)
        if kept.event_id != event.id:
            context.log |= {"event_id": kept.event_id, "outcome": "duplicate"}
        return Answer(kept.answer, headers={"x-deskbell-event": kept.event_id})

    async def _read(self, context: CallbackContext) -> bytes:
        """The body, rejected as soon as it is too large."""
        headers = dict(context.scope["headers"])
        if b"upgrade" in headers:  # the parser takes the request to end there: its body would be read as another one
            raise Rejection(Code.NOT_A_PACKET, "Upgrade is not accepted")
        length = headers.get(b"content-length", b"")
        announced = int(length) if length.isdigit() else 0
        body = bytearray()
        while max(announced, len(body)) <= self.settings.max_body_bytes:
            message = await context.receive()
            if message["type"] == "http.disconnect":
                raise Rejection(Code.NOT_A_PACKET, "the body broke off")
            part = message.get("body", b"")
            context.slot.hold(len(part))
            body += part
            if not message.get("more_body") and len(body) <= self.settings.max_body_bytes:
                return bytes(body)
        raise Rejection(Code.TOO_LARGE, f"the body is larger than {self.settings.max_body_bytes} bytes")

    async def _accept(self, context: CallbackContext, deadline: Deadline, event: Event, identity: str) -> Kept:
        """Compute the reply, and keep the event with it."""
        due = context.arrival.request_started_at + self._budget
        reply = await self.replies.reply_to(event, due - self._reserve, due)
        deadline.extend(self._reserve)  # a handler that blocked the event loop may have used it up
        context.log["outcome"] = reply.outcome
        if reply.outcome in _EXPLAINED:
            context.log["reason"] = reply.info
        return await sent(event.id, self.intakes.keep(event, reply, identity))


def _ms(seconds: float) -> float:
    """For the log."""
    return round(seconds * 1000, 3)


def _packet(body: bytes, query: Query) -> Packet:
    try:
        packet = parse_packet(body)
    except PacketError as error:
        raise Rejection(Code.NOT_A_PACKET, str(error)) from None
    command = query.get("callbackcommand")
    if command and command.lower() != packet["CallbackCommand"].lower():
        raise Rejection(Code.COMMANDS_DIFFER, "the command in the URL and in the body differ")
    return packet

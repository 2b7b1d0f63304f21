"""The way of a callback through the api, top to bottom.

1. The path is ours (`api.paths`): `/callback` or `/callback/<node>`, behind the secret if there is one.
2. The query names our app and carries its Sign (`api.signatures`).
3. The body is read, no further than the limit, and is a packet (`shared.protocol`).
4. The integrator's handler computes the reply (`shared.replies`).
5. The event is kept with its reply (`api.intake`); only now the answer goes out.
6. One line is logged and the callback is counted; of those refused, one line a second for each cause.

All of it happens within the budget, which counts from the request's first byte. What goes wrong on the way is an
envelope too.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from api.arrival import Arrival, arrival_of
from api.errors import Refusal
from api.intake import Intake, Kept
from api.lateness import Deadline, Lateness
from api.metrics import Metrics
from api.overload import InFlight
from api.paths import CallbackPaths
from api.refusals import Refusals
from api.signatures import Doors, Query, parse_query
from shared.codes import Code
from shared.commands import received
from shared.config import Settings
from shared.errors import CannotKeepError, PacketError, http_info
from shared.events import Event, Outcome
from shared.logs import get_log
from shared.protocol import RECEIPT, Packet, delivery_identity, envelope, parse_packet
from shared.replies import Replies


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out: an HTTP status, an envelope, the id of the event if one was kept, and further headers."""

    status: int
    envelope: bytes
    event_id: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        """Send this answer."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.envelope)),
            *self.headers,
        ]
        if self.event_id:
            headers.append((b"x-deskbell-event", self.event_id.encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.envelope})


_EXPLAINED = ("misfit", "no_handler")  # ours, and naming no value; what `Refuse` says is the integrator's
_VERIFIED: Outcome = "verified"
_DEFECT: Outcome = "defect"
_WRONG_PATH = Refusal(Code.NOT_OUR_APP, "the path does not hold the secret", "wrong_path_secret")
_WRONG_METHOD = Refusal(Code.NOT_A_PACKET, "not a POST", "not_a_post")
_NOT_POST = Answer(405, envelope(405, http_info(405)), headers=((b"allow", b"POST"),))


@dataclass(slots=True)
class Ring:
    """One callback on its way, and what is known of it so far; `held` are the bytes of its body."""

    node: str
    scope: Scope
    receive: Receive
    arrival: Arrival
    held: int = 0
    log: dict[str, Any] = field(default_factory=dict)


class CallbackRoutes:
    """Answers the callbacks; everything else goes on to the app inside.

    They are answered before FastAPI's own routing, which would cost more than all of the work done here.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        paths: CallbackPaths,
        doors: Doors,
        replies: Replies,
        intake: Intake,
        refusals: Refusals,
        metrics: Metrics,
        lateness: Lateness,
    ) -> None:
        self._app = app
        self._replies = replies
        self._intake = intake
        self._doors = doors
        self._metrics = metrics
        self._refusals = refusals
        self._lateness = lateness
        self._paths = paths
        self._budget = settings.budget_ms / 1000
        self._reserve = settings.reserved_ms / 1000
        self._max_body = settings.max_body_bytes
        self._in_flight = InFlight(settings.max_in_flight)
        self._log = get_log()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a callback, or pass the request on."""
        path = self._paths.read(scope["path"]) if scope["type"] == "http" else None
        if not path:
            await self._app(scope, receive, send)
        elif not self._doors.fit_path(path.secret):
            self._refusals.note(_WRONG_PATH, status=404)
            await self._app(scope, receive, send)
        elif scope["method"] != "POST":
            self._refusals.note(_WRONG_METHOD, status=405)
            await _NOT_POST.send(send)
        else:
            ring = Ring(path.node, scope, receive, arrival_of(scope))
            answer = await self._answer_if_there_is_room(ring)
            await answer.send(send)

    async def _answer_if_there_is_room(self, ring: Ring) -> Answer:
        try:
            self._in_flight.begin()
        except Refusal as refusal:
            return self._refuse(ring, refusal)
        try:
            return await self.answer(ring)
        finally:
            self._in_flight.end(ring.held)

    async def answer(self, ring: Ring) -> Answer:
        """Answer one callback within the budget, and log it."""
        try:
            # What came while the loop stood still is to be read, and kept, all the same.
            last = max(ring.arrival.began + self._budget, ring.arrival.read + self._reserve)
            async with self._lateness.until(last, self._reserve) as deadline:
                answer = await self._answer(ring, deadline)
        except (TimeoutError, asyncio.CancelledError):  # the budget is over, or this process cannot wait any longer
            return self._refuse(ring, _late(ring))
        except Refusal as refusal:
            return self._refuse(ring, refusal)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not show its text to the caller
            ring.log |= {"outcome": _DEFECT, "error": error}
            answer = Answer(500, envelope(500, "internal error"))
        spent = asyncio.get_running_loop().time() - ring.arrival.began
        self._metrics.callbacks.labels(ring.log["outcome"]).inc()
        self._metrics.seconds.observe(spent)
        self._log.info("callback", node=ring.node, **ring.log, status=answer.status, ms=round(spent * 1000, 3))
        return answer

    def _refuse(self, ring: Ring, refusal: Refusal) -> Answer:
        spent = asyncio.get_running_loop().time() - ring.arrival.began
        self._refusals.note(refusal, node=ring.node, **ring.log, status=refusal.code.status, ms=round(spent * 1000, 3))
        # What remains of the body may not have been read: the connection is not to carry another request.
        headers = ((b"connection", b"close"),) if refusal.code in (Code.TOO_LARGE, Code.NOT_A_PACKET) else ()
        return Answer(refusal.code.status, envelope(refusal.code.number, refusal.info), headers=headers)

    async def _answer(self, ring: Ring, deadline: Deadline) -> Answer:
        query = parse_query(ring.scope["query_string"])
        app_id = ring.log["app"] = self._doors.admit(query, time.time())
        _refuse_upgrade(ring.scope)
        body = await self._read(ring)
        if not body:  # the console's verify button (PROTOCOL §1)
            ring.log["outcome"] = _VERIFIED
            return Answer(200, RECEIPT)
        if not app_id:
            raise Refusal(Code.NOT_OUR_APP, "SdkAppid is missing or not ours", "unknown_app")
        packet = _packet(body, query)
        event = _event(packet, app_id, ring.node, query)
        ring.log |= {"event_id": event.id, "command": event.command}
        identity = delivery_identity(app_id, ring.node, event.request_id, packet, body)
        kept = await self._accept(ring, deadline, event, identity)
        ring.log |= {"event_id": kept.event_id, "outcome": kept.outcome}
        return Answer(200, kept.answer, kept.event_id)

    async def _read(self, ring: Ring) -> bytes:
        """The body, refused as soon as it is too large."""
        body = bytearray()
        announced = _content_length(ring.scope)
        while max(announced, len(body)) <= self._max_body:
            message = await ring.receive()
            if message["type"] == "http.disconnect":
                raise Refusal(Code.NOT_A_PACKET, "the body broke off")
            part = message.get("body", b"")
            ring.held += len(part)
            self._in_flight.hold(len(part))
            body += part
            if not message.get("more_body") and len(body) <= self._max_body:
                return bytes(body)
        raise Refusal(Code.TOO_LARGE, f"the body is larger than {self._max_body} bytes")

    async def _accept(self, ring: Ring, deadline: Deadline, event: Event, identity: str) -> Kept:
        async def reply_and_keep() -> Kept:
            due = ring.arrival.began + self._budget
            reply = await self._replies.reply_to(event, due - self._reserve, due)
            deadline.leave(self._reserve)  # a handler that blocked the loop may have used it up
            if reply.outcome in _EXPLAINED:
                ring.log["reason"] = reply.info
            return await self._intake.keep(event, reply, identity)

        try:
            return await self._intake.once(identity, reply_and_keep)
        except CannotKeepError as error:
            raise Refusal(Code.CANNOT_KEEP, "cannot keep the event now") from error


def _refuse_upgrade(scope: Scope) -> None:
    """At `Upgrade` the parser takes a request to have ended: its body would be lost, or read as another request."""
    if any(name == b"upgrade" for name, _ in scope["headers"]):
        raise Refusal(Code.NOT_A_PACKET, "Upgrade is not accepted")


def _content_length(scope: Scope) -> int:
    """The length the sender announced; 0 when it did not."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


def _packet(body: bytes, query: Query) -> Packet:
    try:
        packet = parse_packet(body)
    except PacketError as error:
        raise Refusal(Code.NOT_A_PACKET, str(error)) from None
    command = query.get("callbackcommand")
    if command and command.lower() != packet["CallbackCommand"].lower():
        raise Refusal(Code.COMMANDS_DIFFER, "the command in the URL and in the body differ")
    return packet


def _event(packet: Packet, app_id: str, node: str, query: Query) -> Event:
    return received(
        packet,
        app_id=app_id,
        node=node,
        request_id=query.get("requestid", ""),
        client_ip=query.get("clientip", ""),
        platform=query.get("optplatform", ""),
    )


def _late(ring: Ring) -> Refusal:
    """What to answer when the budget has run out, by how far the callback had come."""
    if "event_id" in ring.log:
        return Refusal(Code.CANNOT_KEEP, "cannot keep the event now")
    return Refusal(Code.NOT_A_PACKET, "the body did not arrive in time")

"""Desk's REST commands (PROTOCOL §5), over one pooled HTTP client. It needs no handlers, no jobs and no Redis.

    async with DeskClient("1400000001", key, url="singapore") as desk:
        await desk.send_msg(session_id, [text("Your parcel is here.")], random=msg_random("parcel 1002", "notify"))

What a command raises steers a job, which need not catch it (`codes`): `Retry`, `Unavailable`, `Discard`, of which
`SessionEnded` is one, or an `HTTPError` of `deskbell.http` for an answer that did not come or came from a failure. No
message holds a UserSig, a URL or what was sent.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import SecretStr

from deskbell import Discard
from deskbell.desk import replies
from deskbell.desk.codes import EXPIRED, OUTCOMES
from deskbell.desk.messages import Customer, Element, check_body
from deskbell.desk.user_sig import UserSigs
from deskbell.http import READ_SECONDS, AsyncClient, async_client
from shared.settings.urls import desk_host
from shared.traces.spans import URL_TEMPLATE
from shared.wire.json_values import read_json

ADMINISTRATOR = "administrator"
"""The account that an app has from its beginning."""

_PATH = "/v4/desk_http_svc/"
_RANDOM_BITS = 32


class DeskClient:
    """Desk's REST commands for one app. The tasks of an event loop may share it."""

    def __init__(
        self,
        app_id: str,
        key: str | SecretStr,
        *,
        identifier: str = ADMINISTRATOR,
        url: str = "china",
        seconds: float = READ_SECONDS,
        http: AsyncClient | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            app_id: the SdkAppid.
            key: the app's secret key, of the console's page of the app.
            identifier: an administrator's account of the app.
            url: the app's region, `china`, `singapore` or `america`; or the URL of another server.
            seconds: how long Desk may send nothing.
            http: a client of `deskbell.http` that others use as well; by default one of its own, which `async with`
                opens and closes.

        Raises:
            ValueError: the URL is none.
            ConfigError: it needs a proxy, and the environment names one that cannot be used.
        """
        self._url = desk_host(url)
        self._app_id = app_id
        self._identifier = identifier
        self._sigs = UserSigs(app_id, key if isinstance(key, SecretStr) else SecretStr(key), identifier)
        self._owns_http = http is None
        self._http = http or async_client(self._url, seconds=seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owns_http:
            await self._http.aclose()

    async def send_msg(
        self, to: str | Customer, body: Sequence[Element], *, random: int, cloud_custom_data: str = ""
    ) -> replies.Receipt:
        """Write into a chat (T/1229/68821).

        Args:
            to: the session's id; with SDK integration also a customer.
            body: `MsgBody`; see `text`, `card` and `custom`.
            random: `MsgRandom`, by which Desk drops a message that comes again: see `msg_random`.
            cloud_custom_data: what goes with the message, unseen.

        Raises:
            ValueError: the number or the body is none.
        """
        if type(random) is not int or not 0 <= random < 1 << _RANDOM_BITS:
            raise ValueError("send_msg(random=...): expected a whole number of 32 bits; write msg_random(event, job)")
        check_body(body)
        if isinstance(to, Customer):
            named = {"FromAccount": to.customer_service_id, "ToAccount": to.user_id}
        else:
            named = {"SessionId": to}
        fields = {**named, "MsgRandom": random, "MsgBody": list(body)}
        return replies.Receipt(await self._ask("send_msg", fields, {"CloudCustomData": cloud_custom_data}))

    async def send_stream_msg(
        self, session_id: str, chunk: str, *, msg_key: str = "", finish: bool = False
    ) -> replies.StreamKey:
        """Write a part of a message that grows while it is read (T/1229/68822).

        No number tells Desk that a part comes again: a job that is run twice writes two messages.

        Args:
            session_id: the session.
            chunk: the part.
            msg_key: what the first part was answered, for each further one.
            finish: whether it is the last one.
        """
        given = {"MsgKey": msg_key, "Finish": int(finish)}
        return replies.stream_key(await self._ask("send_stream_msg", {"SessionId": session_id, "Chunk": chunk}, given))

    async def transfer_to_human(
        self,
        session_id: str,
        *,
        agent_ids: Sequence[str] = (),
        agent_group_id: int | None = None,
        send_tip_if_no_agent_online: bool = False,
    ) -> replies.Transferred:
        """Hand a session over to a person (T/1229/68820).

        Args:
            session_id: the session.
            agent_ids: `AgentIdList`: one of them; by default by the policy of the console.
            agent_group_id: one of the group; by default by the policy of the console.
            send_tip_if_no_agent_online: whether the customer is told that nobody is there.
        """
        given = {
            "AgentIdList": list(agent_ids),
            "AgentGroupId": agent_group_id,
            "SendTipIfNoAgentOnline": int(send_tip_if_no_agent_online),
        }
        return replies.transferred(await self._ask("transfer_to_human", {"SessionId": session_id}, given))

    async def end_session(self, session_id: str) -> replies.Receipt:
        """End a session (T/1229/68948)."""
        return replies.Receipt(await self._ask("end_session", {"SessionId": session_id}))

    async def get_session_state(self, of: str | Customer) -> replies.SessionState:
        """Where a session stands (C/679/116639); `of` is its id, or the customer who has it."""
        if isinstance(of, Customer):
            fields = {"ClientUserId": of.user_id, "CustomerServiceId": of.customer_service_id}
        else:
            fields = {"SessionId": of}
        return replies.session_state(await self._ask("get_session_state", fields))

    async def describe_chat_messages(
        self, session_id: str, *, limit: int = 20, offset: int = 0, oldest_first: bool = False
    ) -> replies.ChatMessages:
        """Messages of a session (T/1229/68824).

        Args:
            session_id: the session.
            limit: how many at most; 100 at most.
            offset: how many are left out at the beginning.
            oldest_first: whether the order is theirs; by default the newest comes first.
        """
        fields = {"SessionId": session_id, "Limit": limit, "Offset": offset, "Order": 1 if oldest_first else 2}
        return replies.chat_messages(await self._ask("describe_chat_messages", fields))

    async def _ask(
        self, command: str, fields: Mapping[str, Any], given: Mapping[str, Any] | None = None
    ) -> replies.Answer:
        """Send a command; the answer of success.

        Args:
            command: its name.
            fields: what it needs.
            given: what is sent unless it is empty.

        Raises:
            Discard: no session is named: the call came from a node that does not send it, and never will.
            ValueError: the session is something else than its id.
        """
        session = fields.get("SessionId", "of a customer")
        if session == "":
            raise Discard(
                f"{command}: expected a session's id, got an empty text; the node must send SystemSessionID, which its "
                "handler asks for with the parameter SystemSessionID: str",
                code="no_session",
            )
        if not isinstance(session, str):
            raise ValueError(  # noqa: TRY004 - as for the other arguments
                f"{command}: expected a session's id, got an object of the type {type(session).__name__}; write "
                "event.session_id"
            )
        query: dict[str, str | int] = {
            "sdkappid": self._app_id,
            "identifier": self._identifier,
            "usersig": self._sigs.current(),
            "random": secrets.randbits(_RANDOM_BITS),
            "contenttype": "json",
        }
        body = {**fields, **{name: value for name, value in (given or {}).items() if value not in ("", 0, None, [])}}
        path = _PATH + command
        reply = await self._http.post(self._url + path, params=query, json=body, extensions={URL_TEMPLATE: path})
        if decision := OUTCOMES.decision(reply):
            if getattr(decision, "code", None) == EXPIRED:
                self._sigs.forget()
            raise decision
        answer: replies.Answer = read_json(reply.content)
        return answer

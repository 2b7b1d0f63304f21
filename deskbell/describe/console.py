"""Where a callback is turned on, and what follows an answer FAIL, as Tencent's pages say it (PROTOCOL §3.5)."""

from dataclasses import dataclass

from shared.sentences import sentence
from shared.wire.commands import (
    ApiCall,
    AssignAgent,
    BeforeContactUser,
    C2CSignal,
    MemberEvent,
    SessionEvent,
    TaskFlowEvent,
)
from shared.wire.events import Event


@dataclass(frozen=True, slots=True)
class Place:
    """A callback in the console.

    Attributes:
        where: the page, and what is turned on there.
        on_fail: what follows when the answer is FAIL; "" where Desk uses no answer.
    """

    where: str
    on_fail: str = ""


PLACES: dict[type[Event], Place] = {
    ApiCall: Place(
        sentence("Desk Management Console: the API-call node of the task flow"),
        sentence(
            "with exception handling on, the flow takes the node's exception branch; no page says what follows without "
            "it"
        ),
    ),
    AssignAgent: Place(
        sentence(
            "Desk Management Console, Settings > Session Settings > Routing Strategy: Business Server Agent Routing "
            "Callback, and the callback URL"
        ),
        sentence("Desk ignores the answer; no page says who takes the session then; there is no branch"),
    ),
    BeforeContactUser: Place(
        sentence("on no page of the console: ask Tencent for it by a support ticket; needs the premium edition"),
        sentence("the agent may not write first, and ErrorInfo is the reason; there is no branch"),
    ),
    C2CSignal: Place(
        sentence("no page says where: ask Tencent by a support ticket"),
        sentence("the client gets no RspData; no page says more; there is no branch"),
    ),
    SessionEvent: Place(
        sentence(
            "Desk Management Console, Settings > Developer Settings: the callback URL, and the switch of session events"
        )
    ),
    TaskFlowEvent: Place(
        sentence(
            "Desk Management Console, Settings > Developer Settings: the callback URL, and the switch of the execution "
            "details of task flows"
        )
    ),
    MemberEvent: Place(
        sentence("on no page of the console: ask Tencent for it; needs the premium edition"),
    ),
}

TOKEN = sentence("Chat console, Callback Configuration (in newer consoles Webhook Configuration): authentication")
"""Where the token is entered."""

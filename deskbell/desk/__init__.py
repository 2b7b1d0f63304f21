"""Talk back to Tencent Cloud Desk, from jobs and scripts: `from deskbell.desk import Desks, msg_random, text`.

Read in this order: `user_sig` (how a request is signed), `messages` (what is sent), `replies` (what is answered),
`codes` (what an error means for a job), `client` (the commands), `desks` (the clients of a worker process).
"""

from deskbell.desk.client import DeskClient
from deskbell.desk.codes import SessionEnded
from deskbell.desk.desks import Desks
from deskbell.desk.messages import Customer, card, custom, msg_random, opens_chat, text
from deskbell.desk.replies import ChatMessage, ChatMessages, Receipt, SessionState, StreamKey, Transferred
from deskbell.desk.user_sig import user_sig

__all__ = [
    "ChatMessage",
    "ChatMessages",
    "Customer",
    "DeskClient",
    "Desks",
    "Receipt",
    "SessionEnded",
    "SessionState",
    "StreamKey",
    "Transferred",
    "card",
    "custom",
    "msg_random",
    "opens_chat",
    "text",
    "user_sig",
]

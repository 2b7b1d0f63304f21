"""What messages are made of: texts, cards, and the number by which Desk knows a message that comes again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from deskbell import Event, SessionEvent
from shared.wire.json_values import out_of_text

Element = dict[str, Any]
"""One element of a `MsgBody`: `MsgType` and `MsgContent`."""

OPENED, WELCOME = "7", "22"
"""`src` of the message that says that a customer has opened the chat; of the card that answers it (C/269/110624)."""

_PLUGIN = "customerServicePlugin"


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer, where no session is named: with SDK integration only (PROTOCOL §5).

    Attributes:
        user_id: the customer.
        customer_service_id: the customer-service account that he writes to.
    """

    user_id: str
    customer_service_id: str


def text(content: str) -> Element:
    """A text, as Chat defines it: `TIMTextElem`."""
    return {"MsgType": "TIMTextElem", "MsgContent": {"Text": content}}


def custom(data: Mapping[str, Any]) -> Element:
    """A custom element: `TIMCustomElem`, whose `Data` is JSON in a string."""
    return {"MsgType": "TIMCustomElem", "MsgContent": {"Data": json.dumps(data, ensure_ascii=False)}}


def card(*, header: str, desc: str = "", pic: str = "", url: str = "") -> Element:
    """A card such as the one that welcomes a customer (T/1229/68821).

    Args:
        header: its headline.
        desc: the text below.
        pic: the URL of a picture.
        url: where a click leads.
    """
    content = {"header": header, "desc": desc, "pic": pic, "url": url}
    return custom({"src": WELCOME, "content": content, _PLUGIN: 0})


def check_body(body: Any) -> None:
    """Refuse what cannot be a `MsgBody`, without a value of it.

    Raises:
        ValueError: it is none.
    """
    elements = body if isinstance(body, list | tuple) and body else [None]
    for element in elements:
        given = element if isinstance(element, dict) else {}
        content = given.get("MsgContent")
        said = content.get("Text", "") if isinstance(content, dict) else None
        if not isinstance(given.get("MsgType"), str) or not isinstance(said, str):
            raise ValueError(  # noqa: TRY004 - a wrong element is a wrong value of the list
                'send_msg: expected a list of elements, got something else; write [text("Hello")]'
            )


def opens_chat(event: SessionEvent) -> bool:
    """Whether a customer has just opened the chat, which a welcome card answers (C/269/110624)."""
    body = event.message_body if isinstance(event.message_body, list) else []
    return any(_source(element) == OPENED for element in body)


def msg_random(event: Event | str, job: str, part: str = "") -> int:
    """The `MsgRandom` of a message: 32 bits of a digest, the same whenever the same job runs for the same event.

    Desk drops a message whose number it has had: so a job that runs twice sends once, as far as Desk's window reaches,
    which no page states.

    Args:
        event: the event, or its id; a script may give any text that names what the message is about.
        job: the job type's name.
        part: tells the messages of one job apart: "greeting", "2".
    """
    about = json.dumps([event if isinstance(event, str) else event.id, job, part])
    return int.from_bytes(blake2b(about.encode(), digest_size=4).digest(), "big")


def _source(element: Any) -> str:
    content = element.get("MsgContent") if isinstance(element, dict) else None
    data = out_of_text(content.get("Data")) if isinstance(content, dict) else None
    return str(data.get("src", "")) if isinstance(data, dict) else ""

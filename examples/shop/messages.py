"""The shop's messages: what it says in the chat by itself, once the work behind it is done."""

import asyncio

from deskbell import ApiCall, Jobs, SessionEvent
from deskbell.desk import Desks, SessionEnded, card, msg_random, opens_chat, text

jobs = Jobs()
desks = Desks()
jobs.lifespan(desks.lifespan)


@jobs.on(SessionEvent, when={"Event": "ChatBot.UserSendMsg"}, queue="messages", timeout=30)
async def welcome(event: SessionEvent) -> None:
    """Answer a customer who opens the chat with a card; whoever has left again needs none."""
    if not opens_chat(event):
        return
    body = [card(header="The Shop", desc="Ask me about your orders.", url="https://shop.example/orders")]
    try:
        await desks.of(event).send_msg(event.session_id, body, random=msg_random(event, "welcome"))
    except SessionEnded:
        return


@jobs.on(ApiCall, node="invoice", queue="messages", limit="20/s", timeout=30)
async def send_invoice(event: ApiCall) -> None:
    """Make an invoice, which takes a while, and send it; the flow was answered at once."""
    if event.reply is None or event.reply.outcome != "answered":
        return  # a refused call is an event, too
    order_id = event.variables["OrderID"]
    await asyncio.sleep(2.5)  # stands for the work, and is more than Desk waits
    body = [text(f"Here is the invoice for order {order_id}: https://shop.example/invoices/{order_id}")]
    await desks.of(event).send_msg(event.session_id, body, random=msg_random(event, "send_invoice"))

"""slack-bolt's FastAPI adapter with RQ's enqueue. The packet is part of a message event.

It answers when its listener has returned (`process_before_response`); by default it answers before, and what it could
not enqueue is lost. Its signature is not checked here, since wrk cannot sign each body.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from slack_bolt import App
from slack_bolt.adapter.fastapi import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult

from bench.jobs.contenders.probe import nothing
from bench.jobs.contenders.rq_jobs import queue

bolt = App(
    signing_secret="not-checked",
    request_verification_enabled=False,
    process_before_response=True,
    authorize=lambda **_: AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-1"),
)
handler = SlackRequestHandler(bolt)
app = FastAPI()


@bolt.event("message")  # type: ignore[untyped-decorator]  # not installed here
def message(event: dict[str, Any]) -> None:
    queue.enqueue(nothing, event["packet"])


@app.post("/slack/events")
async def events(request: Request) -> Response:
    answer: Response = await handler.handle(request)
    return answer

"""Traces of real processes, as a collector receives them."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from redis import Redis

from deskbell.testing import packet
from tests.otlp import Collector, Received, collector
from tests.processes import PATIENT
from tests.serving import Api, Process, running_api
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.running import logged, running_worker
from workers.dead_letters.registry import DeadLetters, Selection
from workers.dead_letters.replay import Replays, Throttle

pytestmark = pytest.mark.timeout(300)

ACME = """
import os

from opentelemetry import trace

from deskbell import ApiCall, Callbacks, Discard, Event, Jobs, Retry
from deskbell.http import async_client, client

callbacks, jobs = Callbacks(), Jobs()
tracer = trace.get_tracer("acme")
tried = set()

@callbacks.api_call("order")
async def order(OrderID: str, Phone: str) -> dict[str, str]:
    with tracer.start_as_current_span("look up"):
        return {"OrderStatus": Phone}

@callbacks.api_call("fails", fallback={"OrderStatus": "unknown"})
def fails(Phone: str) -> dict[str, str]:
    raise ValueError(f"nobody has the phone {Phone}")

@jobs.on(ApiCall, node="order", queue="crm")
async def record(event: ApiCall) -> None:
    with tracer.start_as_current_span("map fields"):
        async with async_client(os.environ["CRM"], headers={"Authorization": "Bearer t0ps3cret"}) as crm:
            await crm.post(f"/contacts/{event.variables['Phone']}?token=t0ps3cret", json=event.variables)

@jobs.on(ApiCall, node="order", queue="other")
def stumbles(event: ApiCall) -> None:
    if event.id not in tried:
        tried.add(event.id)
        raise Retry(after=0)

@jobs.on(ApiCall, node="order", queue="other", isolation="process")
def apart(event: ApiCall) -> None:
    with tracer.start_as_current_span("render"), client(os.environ["CRM"]) as crm:
        crm.get("/pdf")

@jobs.on(ApiCall, node="fails", queue="other", attempts=1)
def dies(event: ApiCall) -> None:
    with tracer.start_as_current_span("call"):
        raise RuntimeError(f"cannot call {event.variables['Phone']}")

@jobs.on(ApiCall, node="fails", queue="other")
def discards(event: ApiCall) -> None:
    raise Discard(f"not calling {event.variables['Phone']}")
"""
PHONE = "+86-555-0517-<script>\u202e"
FOREIGN = "0af7651916cd43dd8448eb211c80319c"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


@contextmanager
def a_crm() -> Iterator[tuple[str, list[str]]]:
    """A CRM: its URL, and the `traceparent` of each request. It has nothing under `/pdf`."""
    parents: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parents.append(self.headers["traceparent"])
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(404 if self.path == "/pdf" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", parents
        server.shutdown()
        thread.join()


@contextmanager
def a_stack(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[tuple[Api, Process]]:
    """An api of two processes, and a worker, with variables of OpenTelemetry."""
    folder.joinpath("acme_jobs.py").write_text(ACME)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = PATIENT | variables | {"DESKBELL_APP_DIR": str(folder), "DESKBELL_CALLBACKS": "acme_jobs:callbacks"}
    settings |= {"DESKBELL_SPOOL_DIR": str(folder / "spool"), "DESKBELL_REDIS_TIMEOUT_MS": "500"}
    with running_api(url, folder, "--processes", "2", **settings) as api, running_worker(folder, ACME, url) as worker:
        yield api, worker


def tree(found: Collector, trace_id: str) -> set[tuple[str, str]]:
    """The spans of a trace, each with its parent's name; the parent of the first is ""."""
    spans = {span.span_id: span for span in found.spans if span.trace_id == trace_id}
    names = {"": "", **{span_id: span.name for span_id, span in spans.items()}}
    return {(names[span.parent_id], span.name) for span in spans.values()}


def of_event(found: Collector, name: str, event_id: str) -> Received:
    """The one span of a name that is of an event."""
    (span,) = [span for span in found.named(name) if span.attributes.get("deskbell.event.id") == event_id]
    return span


WHOLE = {
    ("", "POST /callback/{node}"),
    ("POST /callback/{node}", "handler order"),
    ("handler order", "look up"),
    ("POST /callback/{node}", "send events"),
    ("send events", "process events"),
    ("process events", "process crm"),
    ("process crm", "map fields"),
    ("map fields", "POST"),
    ("process events", "process other"),
    ("process other", "render"),
    ("render", "GET"),
}


def test_one_trace_leads_from_a_callback_to_every_attempt_and_request_and_says_nothing_personal(
    valkey_url: str, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the queue, the spool and a replay; log lines name the trace, and what came from outside is in none."""
    with collector() as found, a_crm() as (crm, parents):
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url, "OTEL_BSP_SCHEDULE_DELAY": "50", "CRM": crm}
        with a_stack(valkey_url, tmp_path, monkeypatch, **named) as (api, _):
            body = packet(OrderID="1", Phone=PHONE, SystemClientUserID="user517")
            api.desk.http.headers["traceparent"] = f"00-{FOREIGN}-b7ad6b7169203331-01"
            first = api.desk.post(body, "order").headers["X-Deskbell-Event"]
            until(lambda: len(logged(tmp_path, "attempt")) == 4)
            redis.client_pause(1500)
            spooled = api.desk.post(packet(OrderID="2", Phone=PHONE), "order").headers["X-Deskbell-Event"]
            failed = api.desk.call("fails", Phone=PHONE).headers["X-Deskbell-Event"]
            api.desk.post(body, "order", Sign="wrong")
            until(lambda: len(logged(tmp_path, "attempt")) == 10)
            until(lambda: redis.zcard("rq:failed:other") == 2)
            Replays(redis, "me").replay(DeadLetters(redis).pages(Selection()), "--all", Throttle(), lambda _: None)
            until(lambda: len(logged(tmp_path, "attempt")) == 12)
            until(lambda: len(found.named("process events")) == 3)
        lines = api.lines("callback")
        attempts, fan_outs = logged(tmp_path, "attempt"), logged(tmp_path, "fan_out")

    assert sum(line["sent"] for line in api.lines("drained")) == 2
    for event_id in (first, spooled):
        callback = of_event(found, "POST /callback/{node}", event_id)
        assert tree(found, callback.trace_id) == WHOLE
        mine = [line for line in (*lines, *attempts, *fan_outs) if line["event_id"] == event_id]
        assert {line["trace_id"] for line in mine} == {callback.trace_id}
        assert {line["span_id"] for line in mine} <= {span.span_id for span in found.spans}
        stumbled = [each for each in attempts if each["event_id"] == event_id and each["job"] == "stumbles"]
        assert [line["outcome"] for line in stumbled] == ["retry", "done"]
        assert len({line["span_id"] for line in stumbled}) == 2
    assert len(found.named("POST /callback/{node}")) == 3
    assert FOREIGN not in {span.trace_id for span in found.spans}
    assert {span.service for span in found.named("POST /callback/{node}")} == {"deskbell-api"}
    assert {span.service for span in found.named("render")} == {"deskbell-worker"}
    assert sorted(parents) == sorted(
        f"00-{span.trace_id}-{span.span_id}-03" for name in ("POST", "GET") for span in found.named(name)
    )
    of_failed = of_event(found, "POST /callback/{node}", failed).trace_id
    failures = [span for span in found.spans if span.error and span.trace_id == of_failed]
    assert Counter((span.name, span.attributes.get("error.type")) for span in failures) == {
        ("call", None): 2,  # once more in the replay
        ("process other", "Discard"): 2,
        ("process other", "RuntimeError"): 2,
    }
    assert [call.events for call in found.named("call")] == [["exception"]] * 2  # without its text
    sent = b"".join(found.bodies)
    for secret in (PHONE, "555-0517", "user517", "t0ps3cret", "wrong", "script"):
        assert secret.encode() not in sent


def test_a_collector_that_never_answers_delays_no_answer_no_job_and_no_end(
    valkey_url: str, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans that find no room are dropped; events are kept, jobs run, and both processes end by themselves."""
    few = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2", "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    with collector(answers=False) as found, a_crm() as (crm, _), ExitStack() as stack:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url, "OTEL_BSP_SCHEDULE_DELAY": "10", "CRM": crm, **few}
        api, worker = stack.enter_context(a_stack(valkey_url, tmp_path, monkeypatch, **named))
        answers = [api.desk.call("order", OrderID=str(number), Phone=PHONE) for number in range(5)]
        until(lambda: len(logged(tmp_path, "attempt")) == 4 * len(answers))
        assert found.asked.is_set()
        for process in (api.process, worker):
            process.terminate()
        ended = [process.wait(DEADLINE_SECONDS) for process in (api.process, worker)]

        assert found.spans == []
        assert [answer.json()["ErrorCode"] for answer in answers] == [0] * len(answers)
        assert ended == [0, 0]
        assert not logged(tmp_path, "exit_forced")
        assert not api.lines("process_killed")
        assert not redis.exists("rq:wip:crm", "rq:wip:other", "rq:wip:events")

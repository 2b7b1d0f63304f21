"""FastAPI with `Queue.enqueue`, as RQ's documentation shows it: neither signature nor de-duplication."""

from bench.contenders.probe import nothing
from bench.contenders.rq_jobs import queue
from bench.endpoints.callback import app_with

app = app_with(lambda packet: queue.enqueue(nothing, packet))

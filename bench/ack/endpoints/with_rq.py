"""FastAPI with `Queue.enqueue`, as RQ's documentation shows it: neither signature nor de-duplication."""

from bench.ack.endpoints.callback import app_with
from bench.jobs.contenders.probe import nothing
from bench.jobs.contenders.rq_jobs import pair, queue

app = app_with(lambda packet: queue.enqueue(nothing, packet))
app_for_two = app_with(pair)

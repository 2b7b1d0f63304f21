"""FastAPI with dramatiq's `send`."""

from bench.ack.endpoints.callback import app_with
from bench.jobs.contenders.dramatiq_jobs import actors

app = app_with(actors["nothing"].send)

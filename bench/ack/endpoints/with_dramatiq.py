"""FastAPI with dramatiq's `send`: one job, or two."""

from bench.ack.endpoints.callback import app_with
from bench.jobs.contenders.dramatiq_jobs import actors, pair

app = app_with(actors["nothing"].send)
app_for_two = app_with(pair)

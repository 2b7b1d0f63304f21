"""FastAPI with dramatiq's `send`."""

from bench.contenders.dramatiq_jobs import actors
from bench.endpoints.callback import app_with

app = app_with(actors["nothing"].send)

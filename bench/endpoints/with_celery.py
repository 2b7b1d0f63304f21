"""FastAPI with Celery's `delay`."""

from bench.contenders.celery_jobs import tasks
from bench.endpoints.callback import app_with

app = app_with(tasks["nothing"].delay)

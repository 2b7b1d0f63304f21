"""FastAPI with Celery's `delay`."""

from bench.ack.endpoints.callback import app_with
from bench.jobs.contenders.celery_jobs import tasks

app = app_with(tasks["nothing"].delay)

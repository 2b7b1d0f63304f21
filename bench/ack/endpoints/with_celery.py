"""FastAPI with Celery's `delay`: one job, or two."""

from bench.ack.endpoints.callback import app_with
from bench.jobs.contenders.celery_jobs import pair, tasks

app = app_with(tasks["nothing"].delay)
app_for_two = app_with(pair)

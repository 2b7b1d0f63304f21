"""Celery with late acknowledgement, without which a killed worker loses its jobs."""

from celery import Celery

from bench.jobs.contenders.probe import BLOCKING, PACKET, REDIS_URL

app = Celery("bench", broker=REDIS_URL.replace("unix://", "redis+socket://"))
app.conf.update(task_acks_late=True, task_ignore_result=True)
tasks = {name: app.task(name=name)(function) for name, function in BLOCKING.items()}


def put(workload: str, count: int) -> None:
    for _ in range(count):
        tasks[workload].delay(PACKET)

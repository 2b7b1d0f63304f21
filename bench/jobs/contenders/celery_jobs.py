"""Celery with late acknowledgement, without which a killed worker loses its jobs."""

from typing import Any

from celery import Celery

from bench.jobs.contenders.probe import BLOCKING, PACKET, REDIS_URL, begun

app = Celery("bench", broker=REDIS_URL.replace("unix://", "redis+socket://"))
app.conf.update(task_acks_late=True, task_ignore_result=True)
tasks = {name: app.task(name=name)(function) for name, function in BLOCKING.items()}


def pair(packet: dict[str, Any]) -> None:
    tasks["first"].delay(packet)
    tasks["second"].delay(packet)


@app.task(name="both")  # type: ignore[untyped-decorator]  # not installed here
def both(packet: dict[str, Any]) -> None:
    begun()
    pair(packet)


tasks["both"] = both


def put(workload: str, count: int) -> None:
    for _ in range(count):
        tasks[workload].delay(PACKET)

"""Deskbell's two job types: they do nothing but tell that they end or, in `beginning`, that they begin."""

from bench.jobs.contenders import probe
from deskbell import ApiCall, Jobs

jobs = Jobs()
beginning = Jobs()


@jobs.on(ApiCall)
def first(event: ApiCall) -> None:
    probe.ended(event.raw)


@jobs.on(ApiCall)
async def second(event: ApiCall) -> None:
    probe.ended(event.raw)


@beginning.on(ApiCall)
def begin_first(event: ApiCall) -> None:
    probe.begun()


@beginning.on(ApiCall)
async def begin_second(event: ApiCall) -> None:
    probe.begun()

"""The queues, one of them, and the buttons that pause and resume."""

from fastapi import APIRouter, HTTPException
from markupsafe import Markup
from starlette.responses import Response

from console.forms import Fields, local_path
from console.page import Page
from console.pages.now.pictures import waits
from console.pages.queues.texts import TEXTS
from console.rendering import shown
from console.visit import Operator, Viewer, Visit
from deskbell.queues.looked import Looked
from deskbell.queues.now import QueueNow, read_now
from deskbell.queues.pausing import Pausing, known_queues
from deskbell.queues.reasons import of_all, suspension_of
from deskbell.queues.together import events_wait

router = APIRouter()
PAGE = Page("queues", "/queues", router, TEXTS, order=40)

_MOST_QUEUES = 200
_MOST_JOBS = 20
_LONGEST_NAME = 200


@router.get("/queues")
def show(visit: Viewer, name: str = "") -> Response:
    """All queues, or the one that is named."""
    now = read_now(visit.state.redis, visit.settings)
    paused = {each.queue: each for each in now.paused}
    if not name:
        queues = now.queues[:_MOST_QUEUES]
        return visit.page("queues/queues.html", now=now, queues=queues, paused=paused, suspension=suspension_of())
    queue = next((each for each in now.queues if each.state.name == name), None)
    if queue is None:
        raise HTTPException(404)
    running = sorted(queue.state.running, key=lambda each: each.began)[:_MOST_JOBS]
    return visit.page(
        "queues/queue.html",
        now=now,
        queue=queue,
        events=[*events_wait(visit.state.redis, name)],
        findings=queue.findings or of_all(Looked(visit.state.redis, queue.state, visit.settings.abandoned_seconds)),
        pause=paused.get(name),
        running=running,
        most=_MOST_JOBS,
        picture=_waits(visit, queue),
    )


@router.post("/queues/pause")
def pause(visit: Operator, fields: Fields) -> Response:
    """Pause a queue."""
    queue = fields.get("queue", "")
    if queue not in known_queues(visit.state.redis):
        return _back(visit, fields, "queues.unknown")
    is_new = Pausing(visit.state.redis, visit.by).pause(queue)
    return _back(visit, fields, "queues.paused" if is_new else "queues.paused.already")


@router.post("/queues/resume")
def resume(visit: Operator, fields: Fields) -> Response:
    """Resume a queue."""
    was_paused = Pausing(visit.state.redis, visit.by).resume(fields.get("queue", ""))
    return _back(visit, fields, "queues.resumed" if was_paused else "queues.resumed.already")


@router.post("/queues/resume-all")
def resume_all(visit: Operator, fields: Fields) -> Response:
    """Undo `rq suspend`."""
    was_suspended = Pausing(visit.state.redis, visit.by).resume_all()
    return _back(visit, fields, "queues.resumed.all" if was_suspended else "queues.resumed.all.already")


def _back(visit: Visit, fields: dict[str, str], notice: str) -> Response:
    queue = shown(fields.get("queue", ""), _LONGEST_NAME)
    return visit.back(local_path(fields.get("next", "/queues")), notice, queue=queue)


def _waits(visit: Visit, queue: QueueNow) -> Markup:
    """How long the queue's jobs waited."""
    steps, _ = visit.state.history.steps()
    here = [name for name, declared in queue.state.declared.items() if declared.queue == queue.state.name]
    jobs = [step.of(here) for step in steps]
    return waits(visit, visit.text("queues.picture"), steps, jobs, queue.state.oldest_seconds)

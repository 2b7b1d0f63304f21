"""Replay and discard: what they would do, the start of one in the background, how far it is, and its end."""

import math
from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.forms import Fields
from console.pages.dead.asked import Asked, chosen, replayed_as
from console.visit import Operator, Viewer
from deskbell.dead_letters.choice import FIELDS
from deskbell.dead_letters.plan import ACTIONS, DONE, Action, make_plan, words_of
from deskbell.dead_letters.runs import BusyError, Order
from shared.declarations.policies import Rate
from shared.sentences import sentence

router = APIRouter()

_RATES = ("20/s", "1/s", "5/s", "100/s", "")
_MOST_WORDS = 400
_LONGEST = 200


@router.get("/dead/plan")
def show_plan(visit: Operator, asked: Asked, action: str = "") -> Response:
    """What an action would do: nothing is done."""
    state, checked, choice = visit.state, _action(action), chosen(asked)
    asked |= {"user": choice.user or ""}  # as the form sends it
    as_ = replayed_as(visit, {"action": action, "as": visit.request.query_params.get("as", "")})
    asked |= {"as": as_.name if as_ else ""}
    read = state.dead_plans.get(_key(checked, asked), lambda count: make_plan(state.redis, checked, choice, count, as_))
    plan = read.result
    return visit.page(
        "dead/plan.html",
        action=action,
        read=read,
        plan=plan,
        done=plan.outcomes[DONE[action]] if plan else 0,
        others={name: number for name, number in plan.outcomes.items() if name != DONE[action]} if plan else {},
        rates={rate: _seconds(plan.outcomes[DONE[action]], rate) for rate in _RATES} if plan else {},
        asked=asked,
    )


@router.post("/dead/runs")
def start(visit: Operator, fields: Fields) -> Response:
    """Begin an action in the background; another of the same scope that is under way is shown instead."""
    as_ = replayed_as(visit, fields)
    action, choice, rate = _action(fields.get("action", "")), chosen(fields), fields.get("rate", "")
    if rate and not Rate.parse(rate):
        raise HTTPException(
            400, sentence("rate: expected a number in a s, min or h, such as 20/s, got {got!r}", got=rate[:20])
        )
    if choice.until is None and choice.id is None:
        raise HTTPException(400, sentence("until: expected the time up to which dead letters are meant, got none"))
    plan = visit.state.dead_plans.known(_key(action, fields | {"since": fields.get("asked_since", "")}))
    if plan and replace(plan.choice, until=choice.until) != choice:  # its words would say what is not done
        plan = None
    words = (plan.words if plan else words_of(str(choice), as_.name if as_ else ""))[:_MOST_WORDS]
    total = plan.outcomes.total() if plan else 1 if choice.id else None
    try:
        run, is_new = visit.state.dead_runs.start(Order(action, choice, visit.by, words, total, rate or None, as_))
    except BusyError:
        return visit.back("/dead", "dead.busy")
    return visit.back(f"/dead/run?id={run}" if run else "/dead", "dead.begun" if is_new else "dead.begun_already")


@router.get("/dead/run")
def show_run(visit: Viewer, id: str = "") -> Response:  # noqa: A002 - the name in the address
    """How far an action is, or what it did."""
    run = visit.state.dead_runs.read(id)
    if run is None:
        raise HTTPException(404)
    others = {name: number for name, number in run.outcomes.items() if name != DONE.get(run.entry.action)}
    again = {name: text for name, text in run.choice.fields.items() if name != "until"}
    left = _seconds(max(0, (run.total or 0) - run.seen), run.rate) if run.entry.is_running else 0.0
    return visit.page("dead/run.html", run=run, others=others, again=again | {"as": run.as_}, left=left)


@router.post("/dead/stop")
def stop(visit: Operator, fields: Fields) -> Response:
    """End an action that is under way."""
    run = fields.get("id", "")
    if visit.state.dead_runs.read(run) is None:
        raise HTTPException(404)
    is_asked = visit.state.dead_runs.stop(run, visit.by)
    return visit.back(f"/dead/run?id={run}", "dead.stopping" if is_asked else "dead.over")


def _key(action: Action, asked: Mapping[str, str]) -> tuple[str, ...]:
    """What a dry run is known by: what was asked, as it was typed, for a span begins later at each request."""
    return action, *(asked.get(name, "")[:_LONGEST] for name in ("as", *FIELDS) if name != "until")


def _seconds(count: int, rate: str) -> float:
    """How long a replay of so many takes at a rate, in whole seconds, rounded up; 0 without one."""
    read = Rate.parse(rate)
    return float(math.ceil(count / read.starts * read.period_ms / 1000)) if read else 0.0


def _action(text: str) -> Action:
    if text not in ACTIONS:
        raise HTTPException(400, sentence("action: expected replay or discard, got {got!r}", got=text[:20]))
    return text

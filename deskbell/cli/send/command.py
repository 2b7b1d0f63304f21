"""`deskbell send`, as a person types it."""

import re
from pathlib import Path
from typing import Annotated

import typer

from deskbell.cli.exit import stop

MOST_CALLBACKS = 60_000
_MOST_PER_SECOND = 1000
_DEFAULT_SECONDS = 10.0
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def send(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND] [NODE] [NAME=VALUE]...",
            help="A command such as session_event, an API call by default; its node; variables, or fields, by name.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="The api; with the path secret, if there is one. By default that of `deskbell dev` here."),
    ] = None,
    app: Annotated[str | None, typer.Option(help="SdkAppid; by default the first of DESKBELL_APPS.")] = None,
    token: Annotated[
        str | None, typer.Option(help="The app's token, by default its first of DESKBELL_APPS; empty sends no Sign.")
    ] = None,
    command: Annotated[str | None, typer.Option(help="CallbackCommand, also one that no page lists.")] = None,
    body_file: Annotated[
        Path | None, typer.Option(help="Send this file as the body.", exists=True, dir_okay=False)
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the event's jobs on Redis to their end, 60 s at most.")
    ] = False,
    duplicate: Annotated[bool, typer.Option("--duplicate", help="Deliver it twice; expect the same answer.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Sign it two minutes ago; expect a refusal.")] = False,
    wrong_token: Annotated[
        bool, typer.Option("--wrong-token", help="Sign it with another token; expect a refusal.")
    ] = False,
    foreign_app: Annotated[
        bool, typer.Option("--foreign-app", help="Send another SdkAppid; expect a refusal.")
    ] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Hold back half of the body; expect a refusal.")] = False,
    repeat: Annotated[
        int | None, typer.Option(help="Send so many, one after the other or at --rate.", min=1, max=MOST_CALLBACKS)
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Send many: 200/s, 600/min or 1000/h.")] = None,
    for_: Annotated[
        str | None, typer.Option("--for", help="With --rate: for how long, 30s or 2m; 10s by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Post a callback as Tencent does; exit 0 only on the answer that is due.

    A field that you leave out is that of the documented packet; a variable,
    one that the node's handler accepts, if DESKBELL_CALLBACKS names it.

        deskbell send order_status OrderID=1002
        deskbell send session_event Event=SessionBegin --wait
        deskbell send order_status --rate 200/s --for 10s
    """
    from deskbell.cli.send.deliveries import Kind, deliver
    from deskbell.cli.send.load import Plan, send_many
    from deskbell.cli.send.message import message_of
    from deskbell.cli.settings.running import target
    from deskbell.simulator.client import Desk

    kinds: list[Kind] = [
        kind
        for kind, is_asked in (
            (Kind.DUPLICATE, duplicate),
            (Kind.STALE, stale),
            (Kind.WRONG_TOKEN, wrong_token),
            (Kind.FOREIGN_APP, foreign_app),
            (Kind.SLOW, slow),
        )
        if is_asked
    ]
    single = [f"--{kind.value}" for kind in kinds] + (["--wait"] if wait else [])
    many = ["--repeat"] * (repeat is not None) + ["--rate"] * (rate is not None)
    if len(kinds) > 1:
        stop(f"{single[0]} and {single[1]} exclude each other: write one, and send again for the other")
    if single and many:
        stop(f"{single[0]} and {many[0]} exclude each other: {single[0]} is about one callback")
    if wait and kinds and kinds[0].is_refused:
        stop(f"--wait and {single[0]} exclude each other: what is refused has no jobs")
    if for_ is not None and (rate is None or repeat is not None):
        stop("--for needs --rate, and no --repeat: write --rate 200/s --for 10s")
    plan = Plan(_per_second(rate), repeat or _count(_per_second(rate), for_)) if many else None
    to = target(url, app, token)
    message = message_of(words or [], to.app, command, body_file)
    with Desk(to.url, to.app, to.token or None) as desk:
        if plan:
            send_many(desk, message, plan, as_json=as_json)
        else:
            deliver(desk, message, kinds[0] if kinds else Kind.PLAIN, wait=wait, as_json=as_json)


def _per_second(rate: str | None) -> float:
    """Callbacks a second; 0 is one after the other."""
    from shared.declarations.policies import Rate

    if rate is None:
        return 0
    parsed = Rate.parse(rate)
    per_second = parsed.starts * 1000 / parsed.period_ms if parsed else 0
    if not 0 < per_second <= _MOST_PER_SECOND:
        stop(f"--rate: expected a rate such as 200/s, 600/min or 1000/h, at most {_MOST_PER_SECOND}/s, got {rate!r}")
    return per_second


def _count(per_second: float, duration: str | None) -> int:
    """How many callbacks a rate makes in a time."""
    seconds = _DEFAULT_SECONDS
    if duration is not None:
        form = _DURATION.fullmatch(duration)
        seconds = int(form[1]) * _UNITS[form[2]] if form else 0
        if not seconds:
            stop(f"--for: expected a time such as 30s or 2m, got {duration!r}")
    count = max(1, round(per_second * seconds))
    if count > MOST_CALLBACKS:
        stop(f"--for: expected at most {MOST_CALLBACKS:,} callbacks in all, got {count:,}: write a shorter time")
    return count

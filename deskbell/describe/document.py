"""The facts in words: sections that any form can show."""

import json
from dataclasses import dataclass, field

from deskbell.describe.console import TOKEN
from deskbell.describe.handlers import Description
from deskbell.describe.subscriptions import AppTokens, Subscriber, Subscription
from shared.wire.protocol import fingerprint

Rows = list[tuple[str, ...]]


@dataclass(slots=True)
class Section:
    """A part of the document.

    Attributes:
        facts: names and values, the values as they are entered or sent.
        tables: columns and rows.
        remarks: sentences behind them.
    """

    title: str
    about: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[tuple[str, ...], Rows]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


URL_RULES = (
    "A URL may hold no space and none of ! $ & ?: Tencent appends the query. A new URL takes effect about two minutes "
    "after it is saved. Where Tencent's pages say nothing, this page says so."
)


def handler_section(each: Description) -> Section:
    """A handler: where it is entered, with what, and what follows when it fails."""
    section = Section(each.name, each.about)
    section.facts = [("page", each.where), ("URL", each.url), ("command", ", ".join(each.command))]
    if each.apps:
        section.facts.append(("only for", ", ".join(each.apps)))
    if each.is_node:
        section.facts.append(("exception handling", "on"))
    section.facts += [
        ("FAIL", f"when {_or(each.fails_when)}"),
        ("after FAIL", each.on_fail),
        ("when it fails or is late", _fallback(each)),
    ]
    if each.inputs:
        rows: Rows = [(v.name, v.kind, _yes(v.required), v.type, v.description) for v in each.inputs]
        section.tables.append((("input", "kind", "required", "type", "description"), rows))
    if each.outputs:
        outputs: Rows = [(v.name, _yes(v.required), v.type, v.description) for v in each.outputs]
        section.tables.append((("output", "always", "type", "description"), outputs))
    if each.late:
        section.remarks.append(
            f"Draw two nodes: this one, and behind it a condition on LateState. While it is not_yet, the flow waits or "
            f"says a word, calls the node {each.late} with LateTicket, and comes back to the condition."
        )
    if each.reads_all:
        section.remarks.append("It takes the whole call, and may read further variables.")
    if each.outputs is None and each.is_node:
        section.remarks.append("Outputs are not declared: let the handler return a TypedDict or a pydantic model.")
    return section


def _fallback(each: Description) -> str:
    if each.fallback is None:
        return "FAIL"
    return each.fallback if isinstance(each.fallback, str) else json.dumps(each.fallback, ensure_ascii=False)


def _or(words: list[str]) -> str:
    return ", ".join(words[:-1]) + ", or " * (len(words) > 1) + words[-1]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def event_section(found: list[Subscription], takers: list[str], *, knows_jobs: bool) -> Section:
    """The callbacks to turn on because a job subscribes to them; jobs are not known where no setting names them."""
    section = Section("Event callbacks to turn on")
    rows: Rows = [(", ".join(each.command), each.where, each.url, "; ".join(map(_job, each.jobs))) for each in found]
    if rows:
        section.about = "Job types subscribe to them, and never run without them."
        section.tables.append((("command", "page", "URL", "job types"), rows))
    elif knows_jobs:
        section.about = "None: no job type subscribes to one."
    else:
        section.about = "Not known here: DESKBELL_JOBS names no job types."
    section.remarks += [
        f"No handler answers {' or '.join(each.command)}: Desk gets the receipt, which decides nothing."
        for each in found
        if each.lacks_handler
    ]
    if takers:
        section.remarks.append(f"Whatever callbacks are turned on, these run for each: {', '.join(takers)}.")
    return section


def _job(job: Subscriber) -> str:
    limits = [f"{name}={value}" for name, value in job.when.items()] + [f"app {app}" for app in job.apps]
    return f"{job.name} ({', '.join(limits)})" if limits else job.name


def token_section(apps: list[AppTokens], known: str, *, revealed: bool) -> Section:
    """The token of each app; `known` is the one that everybody knows, of `deskbell dev`."""
    section = Section("Token")
    section.facts.append(("page", TOKEN))
    rows: Rows = [
        (each.app, " or ".join(each.tokens) or "none", "refused" if each.is_required else "accepted") for each in apps
    ]
    section.tables.append((("SdkAppid", "token" if revealed else "token, by fingerprint", "without Sign"), rows))
    if not apps:
        section.remarks.append("No app is known here: set DESKBELL_APPS, in .env for example, and describe again.")
    if {known, fingerprint(known)} & {token for each in apps for token in each.tokens}:
        section.remarks.append(
            "This token is that of deskbell dev, which everybody knows: set DESKBELL_APPS, in .env for example, and "
            "describe again."
        )
    section.remarks.append("No page says whether Desk signs its callbacks, or those of API-call nodes.")
    return section

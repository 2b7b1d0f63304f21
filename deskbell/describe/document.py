"""The facts in words: sections that any form can show."""

import json
from dataclasses import dataclass, field

from deskbell.describe.console import TOKEN
from deskbell.describe.handlers import Description
from deskbell.describe.subscriptions import AppTokens, Subscriber, Subscription
from deskbell.describe.variables import either
from shared.sentences import Sentence, sentence
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


URL_RULES = sentence(
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
        section.facts.append(("exception handling", sentence("on")))
    section.facts += [
        ("FAIL", sentence("when {reasons}", reasons=_or(each.fails_when))),
        ("after FAIL", each.on_fail),
        ("when it fails or is late", _fallback(each)),
    ]
    if each.inputs:
        rows: Rows = [(v.name, _KINDS[v.kind], _yes(v.required), v.type, v.description) for v in each.inputs]
        section.tables.append((("input", "kind", "required", "type", "description"), rows))
    if each.outputs:
        outputs: Rows = [(v.name, _yes(v.required), v.type, v.description) for v in each.outputs]
        section.tables.append((("output", "always", "type", "description"), outputs))
    if each.late:
        section.remarks.append(
            sentence(
                "Draw two nodes: this one, and behind it a condition on LateState. While it is not_yet, the flow waits "
                "or says a word, calls the node {node} with LateTicket, and comes back to the condition.",
                node=each.late,
            )
        )
    if each.reads_all:
        section.remarks.append(sentence("It takes the whole call, and may read further variables."))
    if each.outputs is None and each.is_node:
        section.remarks.append(
            sentence("Outputs are not declared: let the handler return a TypedDict or a pydantic model.")
        )
    return section


_KINDS: dict[str, Sentence] = {
    "system": sentence("system"),
    "custom": sentence("custom"),
    "collected": sentence("collected"),
    "fixed": sentence("fixed"),
    "custom or collected": sentence("custom or collected"),
}


def _fallback(each: Description) -> str:
    if each.fallback is None:
        return "FAIL"
    return each.fallback if isinstance(each.fallback, str) else json.dumps(each.fallback, ensure_ascii=False)


def _or(words: list[str]) -> str:
    return sentence("{first}, or {last}", first=words[:-1], last=words[-1]) if len(words) > 1 else words[-1]


def _yes(value: bool) -> Sentence:
    return sentence("yes") if value else sentence("no")


def event_section(found: list[Subscription], takers: list[str], *, knows_jobs: bool) -> Section:
    """The callbacks to turn on because a job subscribes to them; jobs are not known where no setting names them."""
    section = Section("Event callbacks to turn on")
    rows: Rows = [(", ".join(each.command), each.where, each.url, "; ".join(map(_job, each.jobs))) for each in found]
    if rows:
        section.about = sentence("Job types subscribe to them, and never run without them.")
        section.tables.append((("command", "page", "URL", "job types"), rows))
    elif knows_jobs:
        section.about = sentence("None: no job type subscribes to one.")
    else:
        section.about = sentence("Not known here: DESKBELL_JOBS names no job types.")
    section.remarks += [
        sentence(
            "No handler answers {command}: Desk gets the receipt, which decides nothing.", command=either(each.command)
        )
        for each in found
        if each.lacks_handler
    ]
    if takers:
        section.remarks.append(sentence("Whatever callbacks are turned on, these run for each: {jobs}.", jobs=takers))
    return section


def _job(job: Subscriber) -> str:
    limits = [f"{name}={value}" for name, value in job.when.items()] + [f"app {app}" for app in job.apps]
    return f"{job.name} ({', '.join(limits)})" if limits else job.name


def token_section(apps: list[AppTokens], known: str, *, revealed: bool) -> Section:
    """The token of each app; `known` is the one that everybody knows, of `deskbell dev`."""
    section = Section("Token")
    section.facts.append(("page", TOKEN))
    rows: Rows = [
        (
            each.app,
            either(each.tokens) if each.tokens else sentence("none"),
            sentence("refused") if each.is_required else sentence("accepted"),
        )
        for each in apps
    ]
    section.tables.append((("SdkAppid", "token" if revealed else "token, by fingerprint", "without Sign"), rows))
    if not apps:
        section.remarks.append(
            sentence("No app is known here: set DESKBELL_APPS, in .env for example, and describe again.")
        )
    if {known, fingerprint(known)} & {token for each in apps for token in each.tokens}:
        section.remarks.append(
            sentence(
                "This token is that of deskbell dev, which everybody knows: set DESKBELL_APPS, in .env for example, "
                "and describe again."
            )
        )
    section.remarks.append(sentence("No page says whether Desk signs its callbacks, or those of API-call nodes."))
    return section

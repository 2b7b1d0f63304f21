"""How `deskbell top` shows what goes on: a header, the answers, a line for each queue, and why some do not move."""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from deskbell.queues.now import Now, QueueNow
from shared.redaction import terminal_text
from shared.version import version

_MINUTE = 60
_HOUR = 3600


def page(now: Now) -> RenderableType:
    """The page."""
    return Group(header(now.at), answered(now), "", _queues(now.queues), *_whys(now.queues))


def problem_page(sentence: str, last: Now | None) -> RenderableType:
    """What is shown while Redis does not answer: why, and the last that was seen."""
    told = Text(sentence, style="bold red")
    if last is None:
        return told
    return Group(told, Text(f"as of {_clock(last.at)} UTC:", style="dim"), page(last))


def as_data(now: Now) -> dict[str, object]:
    """The page for a program."""
    return {
        "at": round(now.at, 3),
        "budget_ms": now.budget_ms,
        "answers": answers_data(now),
        "queues": [queue_data(each) for each in now.queues],
    }


def answers_data(now: Now) -> dict[str, object]:
    """What was answered, for a program."""
    return {
        "per_second": round(now.answers.per_second, 3),
        "p50_ms": now.answers.p50_ms,
        "p99_ms": now.answers.p99_ms,
        "outcomes": now.answers.outcomes,
    }


def queue_data(each: QueueNow) -> dict[str, object]:
    """A queue for a program."""
    state = each.state
    return {
        "name": state.name,
        "waiting": state.waiting,
        "oldest_seconds": None if state.oldest_seconds is None else round(state.oldest_seconds, 3),
        "scheduled": state.scheduled,
        "held": state.deferred,
        "running": len(state.running),
        "dead": state.dead,
        "done_per_second": each.done_per_second,
        "failed_per_second": each.failed_per_second,
        "drained_seconds": None if each.drained_seconds is None else round(each.drained_seconds, 3),
        "why": each.why,
        "is_stuck": each.is_stuck,
        "workers": [
            {"at": record.address, "version": record.version, "slots": record.slots, "used": record.used}
            for record in state.readers.records
        ],
    }


def header(at: float) -> Text:
    """The first line."""
    return Text.assemble((f"deskbell {version()}", "bold"), f"  {_clock(at)} UTC")


def answered(now: Now) -> Text:
    """What was answered in the last full minute."""
    answers = now.answers
    if not answers.outcomes:
        return Text("ANSWERS  none in the last full minute")
    outcomes = "  ".join(f"{terminal_text(outcome)} {count}" for outcome, count in answers.outcomes.items())
    is_slow = answers.p99_ms is not None and answers.p99_ms > now.budget_ms
    p99 = (f"p99 ≤ {_ms(answers.p99_ms)}", "bold red" if is_slow else "")
    head = f"ANSWERS  {answers.per_second:.1f}/s  p50 ≤ {_ms(answers.p50_ms)}  "
    return Text.assemble(head, p99, f"  (budget {now.budget_ms / 1000:g} s)  {outcomes}, in the last full minute")


def _queues(queues: list[QueueNow]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("QUEUE")
    for head in ("WAIT", "OLDEST", "RETRY", "HELD", "RUN", "DONE/s", "FAIL/s", "DRAINED IN", "DEAD"):
        table.add_column(head, justify="right")
    table.add_column("WORKERS (slots used)")
    for each in queues:
        state, style = each.state, "bold red" if each.is_stuck else ""
        counts = (state.scheduled, state.deferred, len(state.running))
        table.add_row(
            escape(terminal_text(state.name)),
            f"{state.waiting:,}",
            age(state.oldest_seconds),
            *(f"{count:,}" for count in counts),
            rate(each.done_per_second),
            rate(each.failed_per_second),
            age(each.drained_seconds),
            f"{state.dead:,}",
            escape(terminal_text(_workers(each))),
            style=style,
        )
    return table


def _workers(each: QueueNow) -> str:
    readers = each.state.readers
    told = [f"{record.address} {record.version} ({record.used}/{record.slots})" for record in readers.records]
    others = len(readers.living) - len(told)
    return ", ".join(told + ([f"{others} of RQ's own"] if others else [])) or "none"


def _whys(queues: list[QueueNow]) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(
            f"{'!!' if each.is_stuck else ' -'} {terminal_text(each.state.name)}: {terminal_text(each.why)}",
            style="red" if each.is_stuck else "",
        )
        for each in sorted(queues, key=lambda each: not each.is_stuck)
        if each.why
    ]
    return ["", *lines] if lines else []


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s"  # noqa: PLR2004 - milliseconds of a second


def rate(value: float | None) -> str:
    """A count in a second."""
    return "-" if value is None else f"{value:.1f}"


def age(seconds: float | None) -> str:
    """A time span."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE:
        return f"{seconds:.0f}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f}m{seconds % _MINUTE:.0f}s"
    return f"{seconds // _HOUR:.0f}h{seconds % _HOUR // _MINUTE:.0f}m"

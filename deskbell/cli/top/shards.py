"""How `deskbell top` shows all shards of a cluster: the sums, a line for each, and what stands still anywhere."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deskbell.cli.top.page import age, answered, answers_data, header, queue_data, rate
from deskbell.queues.now import Now
from deskbell.queues.shards import Part, Sums, sums
from shared.redaction import terminal_text
from shared.redis.outages import unreachable

_MOST_STUCK = 20


def shards_page(parts: Sequence[Part[Now]]) -> RenderableType:
    """The page; of a shard that does not answer, what it told last."""
    counted = parts[0].result  # an api counts what it answers on shard 0, for all
    answers = [answered(counted)] if counted else []
    return Group(header(time.time()), *answers, "", _table(parts), *_problems(parts))


def shards_data(parts: Sequence[Part[Now]]) -> dict[str, object]:
    """The page for a program."""
    counted = parts[0].result
    return {
        "at": round(time.time(), 3),
        "answers": answers_data(counted) if counted else None,
        "shards": [
            {
                "shard": shard,
                "problem": _problem(part) or None,
                "queues": [queue_data(each) for each in part.result.queues] if part.result else None,
            }
            for shard, part in enumerate(parts)
        ],
    }


def _table(parts: Sequence[Part[Now]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("SHARD")
    for head in ("WAIT", "OLDEST", "RETRY", "HELD", "RUN", "DONE/s", "FAIL/s", "DEAD", "WORKERS"):
        table.add_column(head, justify="right")
    known = [part.result for part in parts if part.result]
    table.add_row("all", *_cells(sums([queue for each in known for queue in each.queues])), style="bold")
    for shard, part in enumerate(parts):
        queues = part.result.queues if part.result else []
        is_bad = part.is_away or any(each.is_stuck for each in queues)
        cells = _cells(sums(queues)) if part.result else ["-"] * 9
        table.add_row(str(shard), *cells, style="bold red" if is_bad else "")
    return table


def _cells(of: Sums) -> list[str]:
    counts = [f"{count:,}" for count in (of.scheduled, of.deferred, of.running)]
    rates = [rate(of.done_per_second), rate(of.failed_per_second)]
    return [f"{of.waiting:,}", age(of.oldest_seconds), *counts, *rates, f"{of.dead:,}", f"{of.workers:,}"]


def _problems(parts: Sequence[Part[Now]]) -> list[RenderableType]:
    """What needs a person, each once, with the shards on which it does."""
    found: dict[str, list[int]] = {}
    for shard, part in enumerate(parts):
        if problem := _problem(part):
            found.setdefault(problem, []).append(shard)
        for each in part.result.queues if part.result else ():
            if each.is_stuck:
                found.setdefault(f"{each.state.name}: {each.why}", []).append(shard)
    lines: list[RenderableType] = [
        Text(f"!! shard {', '.join(map(str, shards))}: {terminal_text(sentence)}", style="red")
        for sentence, shards in list(found.items())[:_MOST_STUCK]
    ]
    if len(found) > _MOST_STUCK:
        lines.append(Text(f"{len(found) - _MOST_STUCK} more: `deskbell --shard 0 top` has those of a shard"))
    return ["", *lines] if lines else []


def _problem(part: Part[Now]) -> str:
    """Why a shard did not answer just now; "" where it did."""
    if part.error:
        return unreachable(part.error)
    return "it takes longer than a second and a half to answer" if part.is_late else ""

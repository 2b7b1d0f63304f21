"""What `deskbell dev` prints: each line with the process that it is of, a colour for each process."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from deskbell.cli.dev.blocks import Block, Entry, Later
from deskbell.cli.dev.lines import Line
from deskbell.cli.dev.mistakes import Mistake
from deskbell.simulator.rest.received import Received
from shared.redaction import terminal_text
from shared.wire.commands import ApiCall
from shared.wire.events import Event

_COLORS = {"dev": "bold", "api": "cyan", "workers": "magenta", "crm": "yellow", "desk": "blue", "declared": "bold"}
_LEVELS = {"info": "green", "warning": "yellow", "error": "red", "critical": "red"}
_OUTCOMES = {"done": "green", "retry": "yellow", "out_of_turn": "yellow", "dead": "red", "discarded": "red"}
_WELL = ("answered", "receipt", "verified", "duplicate")
_QUIET = ("listening", "serving", "working", "process_started", "ready", "replaced", "stopping", "worker_stops")

_OUTAGES = "redis_"
_IN_EACH_LINE = ("timestamp", "level", "event", "host", "pid", "worker")
_LONGEST_VALUE = 200
_ENVELOPE = ("CallbackCommand", "EventTime")


class Screen:
    """Prints."""

    def __init__(self, console: Console, *, show_values: bool) -> None:
        self._console = console
        self._show_values = show_values

    def say(self, text: str, process: str = "dev", style: str = "") -> None:
        """Print lines of text under a process' name."""
        for line in text.split("\n"):
            self._print(process, Text(line, style))

    def table(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print names and values, in two columns."""
        for name, value in rows:
            self._print("dev", Text.assemble(f"{name:<14}", (value, "bold")))

    def line(self, line: Line) -> None:
        """Print a line of a process: what a person wants to read of a log line, or its text."""
        if line.entry is None:
            self.say(line.text, line.process)
            return
        level = line.entry.get("level", "info")
        is_news = level == "info" and (line.event in _QUIET or "logger" in line.entry)
        if is_news or line.event == "not_replaced":
            return
        hidden = ("traceback",) if line.event.startswith(_OUTAGES) else ()  # it shows Deskbell's code alone
        fields, blocks = _parts({name: value for name, value in line.entry.items() if name not in hidden})
        head = Text.assemble(
            (f"{level} ", _LEVELS["warning" if line.event == "refused" else level]),
            (terminal_text(line.event), "bold"),
            f" {fields}",
        )
        self._print(line.process, head)
        for each in blocks:
            self.say(each, line.process, "dim")

    def received(self, received: Received) -> None:
        """Print a command that a job has sent to Desk."""
        said = "again, and dropped" if received.is_duplicate else f"refused, {received.code}" if received.code else "OK"
        head = Text.assemble(
            (terminal_text(received.command), "bold"), " ", (said, "red" if received.code else "green")
        )
        self._print("desk", Text.assemble(head, " ", self._named(received.fields)))

    def mistake(self, process: str, mistake: Mistake) -> None:
        """Print what is wrong, with the lines around it."""
        self._print(process, Text(mistake.sentence, "red"))
        for line in mistake.excerpt:
            self._print(process, Text(f"    {terminal_text(line)}", "bold" if line.startswith(">") else "dim"))

    def block(self, block: Block, event: Event | None) -> None:
        """Print a callback with all that it led to."""
        if callback := block.callback:
            outcome = str(callback["outcome"])
            named = callback.get("node") or callback.get("command") or "callback"
            self._print(
                "api",
                Text.assemble(
                    (_clock(callback), "dim"),
                    " ",
                    (terminal_text(str(named)), "bold"),
                    " ",
                    (outcome, "green" if outcome in _WELL else "red"),
                    f" in {callback['ms']:.1f} ms ",
                    (block.event_id, "dim"),
                ),
            )
        else:
            self._print("workers", Text.assemble("an event of before ", (block.event_id, "dim")))
        if event and (not callback or callback["outcome"] != "duplicate"):
            if given := _given(event):
                self._row("api", "in", self._named(given))
            self._row("api", "answer", self._answer(event))
        if seconds := _late(block):
            self._row("api", "late", Text(f"ticket out, {seconds}", "yellow"))
        for problem in block.problems:
            fields, texts = _parts({name: value for name, value in problem.items() if name not in ("event_id", "node")})
            self._row("api", "problem", Text(f"{problem['event']} {fields}", "red"))
            for text in texts:
                self.say(text, "api", "dim")
        self._jobs(block)

    def later(self, later: Later) -> None:
        """Print an attempt of an event whose block stands above."""
        self._row("workers", "job", Text.assemble(_attempt(later.attempt), ("  of ", "dim"), (later.event_id, "dim")))
        self._trace(later.attempt)

    def _jobs(self, block: Block) -> None:
        if block.callback and block.callback["outcome"] in ("duplicate", "verified"):
            return
        if block.jobs is None:
            self._row("workers", "jobs", Text("none yet: the event waits for a worker", "yellow"))
            return
        if not block.jobs:
            self._row("workers", "jobs", Text("none: no job type subscribes to it", "dim"))
        for name in block.jobs:
            attempt = block.attempts.get(name)
            self._row("workers", "job", _attempt(attempt) if attempt else Text(f"{name} under way", "yellow"))
            self._trace(attempt or {})

    def _trace(self, entry: Entry) -> None:
        if trace := entry.get("traceback"):
            self.say(_indented(trace), "workers", "dim")

    def _answer(self, event: Event) -> Text:
        reply = event.reply
        if reply is None or reply.code:
            return Text(terminal_text(f"FAIL {reply.code}: {reply.info}" if reply else "none"), "red")
        given = self._named({**(reply.variables or {}), **reply.fields})
        return Text.assemble(("OK ", "green"), given)

    def _named(self, values: Mapping[str, Any]) -> Text:
        """The names of variables, with their values if they were asked for."""
        if not self._show_values:
            return Text(terminal_text(", ".join(values)))
        return Text(terminal_text(" ".join(f"{name}={_shown(value)}" for name, value in values.items())))

    def _row(self, process: str, name: str, value: Text) -> None:
        self._print(process, Text.assemble(f"         {name:<8}", value))

    def _print(self, process: str, text: Text) -> None:
        color = _COLORS.get(process, "")
        self._console.print(Text.assemble((f"{process:<8} ", color), ("│ ", color), text))


def _given(event: Event) -> Mapping[str, Any]:
    if isinstance(event, ApiCall):
        return event.variables
    return {name: value for name, value in event.fields.items() if name not in _ENVELOPE}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _attempt(entry: Entry) -> Text:
    outcome = str(entry["outcome"])
    said = f"{entry.get('job')} {outcome}"
    if entry.get("attempt", 1) > 1 or outcome != "done":
        said += f", attempt {entry.get('attempt', 0)}"
    if "error" in entry:
        said += f", {entry['error']}"
    if "until" in entry:
        said += f", may wait until {entry['until']}"
    return Text(terminal_text(f"{said} in {entry['ms']:.1f} ms"), _OUTCOMES.get(outcome, ""))


def _late(block: Block) -> str:
    """Of a block whose answer has a ticket, when the values came; "" of another."""
    if not block.callback or block.callback["outcome"] != "late":
        return ""
    done = [each for name, each in block.attempts.items() if name.startswith("late.") and each["outcome"] == "done"]
    if not done:
        return "no values yet"
    first, last = (datetime.fromisoformat(each["timestamp"]) for each in (block.callback, done[0]))
    return f"values in {(last - first).total_seconds():.1f} s"


def _parts(entry: Entry) -> tuple[str, list[str]]:
    """The fields of a log line: those of one line, and the texts of several, indented."""
    own = {name: value for name, value in entry.items() if name not in _IN_EACH_LINE}
    texts = {name: value for name, value in own.items() if isinstance(value, str) and "\n" in value}
    fields = " ".join(f"{name}={_shown(value)}" for name, value in own.items() if name not in texts)
    return terminal_text(fields), [_indented(text) for text in texts.values()]


def _indented(text: str) -> str:
    return "\n".join(f"             {line}" for line in _lines(text))


def _lines(text: str) -> Iterator[str]:
    return map(terminal_text, text.rstrip("\n").split("\n"))


def _clock(entry: Entry) -> str:
    return datetime.fromisoformat(entry["timestamp"]).astimezone().strftime("%H:%M:%S")

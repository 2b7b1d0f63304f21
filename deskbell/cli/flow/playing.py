"""Plays flow files, and exits with status 0 only if all was as expected."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deskbell.cli.exit import stop
from deskbell.cli.flow.files import chosen
from deskbell.cli.flow.junit import write_junit
from deskbell.cli.flow.stage import Stage, staged
from deskbell.cli.flow.transcript import Transcript
from deskbell.cli.processes.signals import end_on_signals
from deskbell.flow.loader import Flow
from deskbell.flow.model import json_schema
from deskbell.flow.results import CaseResult, play_case
from shared.errors import FlowFileError

_FAILED = 1


def print_schema() -> None:
    """Print the JSON Schema of flow files."""
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))  # noqa: T201 - what a command line is for


def play(
    words: Sequence[str], url: str | None, app: str | None, token: str | None, junit: Path | None, *, as_json: bool
) -> NoReturn:
    """Play files; nothing is started before all of them have been read."""
    end_on_signals()
    try:
        flows = chosen(words)
    except FlowFileError as error:
        stop(str(error))
    if junit and not junit.parent.is_dir():
        stop(f"--junit: expected a file in a folder that is there, got {junit}")
    with staged(url, app, token) as stage:
        results = _play_as_json(flows, stage) if as_json else _play(flows, stage)
    if junit:
        write_junit(junit, results)
    sys.exit(0 if all(result.has_passed for result in results) else _FAILED)


def _play(flows: Sequence[tuple[Flow, Sequence[str]]], stage: Stage) -> list[CaseResult]:
    transcript = Transcript()
    results = []
    for each, cases in flows:
        transcript.file(each.path, stage.name)
        player = stage.player(each.content.app)
        for case in cases:
            transcript.case(case)
            result = play_case(player, each, case, transcript.step)
            transcript.ended(result)
            results.append(result)
    transcript.all(results, stage.errors())
    return results


def _play_as_json(flows: Sequence[tuple[Flow, Sequence[str]]], stage: Stage) -> list[CaseResult]:
    """A line for each case, as soon as it has been played."""
    results = []
    for each, cases in flows:
        player = stage.player(each.content.app)
        for case in cases:
            result = play_case(player, each, case, lambda _: None)
            print(json.dumps(result.as_json(), ensure_ascii=False), flush=True)  # noqa: T201 - for a script
            results.append(result)
    return results

"""RejectionLog, counted and logged."""

import asyncio
from typing import Any

import pytest

from api.admission import rejections as refusals
from api.admission.rejections import RejectionLog
from api.errors import Rejection
from api.metrics import Metrics
from shared.wire.codes import Code
from tests.logged import capture_logs

WRONG = Rejection(Code.BAD_SIGN, "Sign is wrong", "sign_wrong")
STALE = Rejection(Code.BAD_SIGN, "too old", "sign_stale", skew_seconds=-75.0)


def logged(*turns: list[Rejection], seconds: float = 3600.0) -> tuple[list[Any], str]:
    """The lines and the metrics after refusals; the turns are further apart than `seconds`."""
    metrics = Metrics()

    async def refuse() -> None:
        noted = RejectionLog(metrics)
        for turn in turns:
            for number, refusal in enumerate(turn):
                noted.record(refusal, number=number)
            ended = asyncio.Event()
            asyncio.get_running_loop().call_later(seconds * 2, ended.set)
            if turn is not turns[-1]:
                await ended.wait()

    with capture_logs() as lines, pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "LINE_SECONDS", seconds)
        asyncio.run(refuse())
    return lines, metrics.render().decode()


def test_a_flood_of_one_cause_is_one_line() -> None:
    """All of them are counted."""
    lines, metrics = logged([WRONG] * 500)

    assert [(line["event"], line["outcome"], line["times"]) for line in lines] == [("refused", "sign_wrong", 1)]
    assert 'deskbell_refused_total{cause="sign_wrong"} 500.0' in metrics


def test_rejections_held_back_are_logged_at_the_end_of_the_second() -> None:
    """In one line, with how many there were and the last of them."""
    lines, _ = logged([WRONG] * 5, [], seconds=0.05)

    assert [(line["times"], line["number"]) for line in lines] == [(1, 0), (4, 4)]


def test_neither_causes_nor_apps_hide_each_other() -> None:
    """Each has a line a second of its own; of a stale Sign the skew is told."""
    another_app = Rejection(Code.BAD_SIGN, "Sign is wrong", "sign_wrong", app="2")

    lines, metrics = logged([WRONG, STALE, another_app] * 2)

    assert [(line["outcome"], line.get("app")) for line in lines] == [
        ("sign_wrong", None),
        ("sign_stale", None),
        ("sign_wrong", "2"),
    ]
    assert lines[1]["skew_seconds"] == -75.0
    assert "deskbell_clock_skew_seconds -75.0" in metrics


def test_a_refusal_without_a_cause_goes_by_its_code() -> None:
    """Every refusal is counted."""
    _, metrics = logged([Rejection(Code.TOO_LARGE, "too large")])

    assert 'deskbell_refused_total{cause="too_large"} 1.0' in metrics


def test_a_flood_of_seconds_is_a_line_for_each() -> None:
    """The second begins anew with each line."""
    lines, _ = logged([WRONG] * 3, [WRONG] * 3, [WRONG] * 3, [], seconds=0.05)

    assert sum(line["times"] for line in lines) == 9
    assert len(lines) <= 6


def test_rejections_held_back_are_logged_when_the_api_ends() -> None:
    """An api that ends loses no count."""

    async def refuse() -> None:
        refusals = RejectionLog(Metrics())
        for _ in range(3):
            refusals.record(WRONG)
        refusals.close()

    with capture_logs() as lines:
        asyncio.run(refuse())

    assert [line["times"] for line in lines] == [1, 2]

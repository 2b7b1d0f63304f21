"""What `make chaos-workers` sees of duplicated effects, order, limits and recovery: each check finds what it is for."""

import json
from pathlib import Path
from typing import Any

from bench.chaos.records import Attempt, attempts_in, duplicated, most_at_once, out_of_order, slowest_recovery
from bench.chaos.worker_processes import Interruption

WORKER, OTHER = 100, 200


def job(number: int, name: str = "wait") -> str:
    """A job's id."""
    return f"{number:032x}-{name}"


def attempt(number: int, began: float, ended: float, outcome: str = "done", **more: Any) -> Attempt:
    """A run of an ordered job with the key `k`."""
    return Attempt(job(number, "ordered"), "k", began, ended, outcome, **more)


def write(folder: Path, *lines: tuple[str, str, int, float]) -> None:
    """Write runs down as jobs do: what, the run, the process, when."""
    with (folder / "runs").open("w") as file:
        for what, run, pid, at in lines:
            line = {"what": what, "run": run, "job": job(1), "key": "", "processes": [pid, 1], "at": at}
            file.write(json.dumps(line) + "\n")


def test_a_run_ends_at_the_latest_when_its_process_can_work_no_more(tmp_path: Path) -> None:
    """What a frozen process does afterwards is not judged; a run without an interruption ends when it ends."""
    write(
        tmp_path, ("began", "a", WORKER, 1), ("began", "b", OTHER, 5), ("done", "b", OTHER, 6), ("done", "a", WORKER, 9)
    )

    first, second = attempts_in(tmp_path, [Interruption(WORKER, 4, is_killed=False)])

    assert (first.began, first.ended, first.outcome, first.interruption is not None) == (1, 4, "done", True)
    assert (second.began, second.ended, second.outcome, second.interruption) == (5, 6, "done", None)


def test_a_run_that_a_frozen_process_begins_when_it_is_woken_is_beside_none(tmp_path: Path) -> None:
    """It has claimed the job before, and does not know yet that another has it."""
    write(
        tmp_path, ("began", "a", OTHER, 5), ("began", "b", WORKER, 6), ("done", "b", WORKER, 7), ("done", "a", OTHER, 8)
    )

    assert most_at_once(attempts_in(tmp_path, [Interruption(WORKER, 4, is_killed=False)])) == 1


def test_an_effect_had_anew_is_excused_only_by_what_was_done_to_its_process(tmp_path: Path) -> None:
    """Before the process began the run, nothing had been done to it that counts."""
    write(
        tmp_path,
        ("began", "a", WORKER, 5),
        ("done", "a", WORKER, 6),
        ("began", "b", OTHER, 7),
        ("repeated", "b", OTHER, 8),
    )

    counts = [
        duplicated(attempts_in(tmp_path, interruptions))
        for interruptions in ([], [Interruption(WORKER, 4, True)], [Interruption(WORKER, 6.5, True)])
    ]

    assert counts == [1, 1, 0]


def test_how_many_ran_at_once_is_counted() -> None:
    """One that begins when another ends is not beside it."""
    assert most_at_once([attempt(1, 0, 2), attempt(2, 1, 3), attempt(3, 2, 4)]) == 2


def test_what_is_out_of_order_is_found() -> None:
    """An effect before that of an earlier event, and two at once; another type has no order."""
    first, second = attempt(1, 0, 1), attempt(2, 1, 2)
    beside = attempt(2, 0.5, 2)
    other = Attempt(job(0), "k", 0, 9, "done")

    assert out_of_order([first, second, other], [first.job_id, second.job_id, other.job_id]) == 0
    assert out_of_order([first, second], [second.job_id, first.job_id]) == 1
    assert out_of_order([first, beside], [first.job_id, beside.job_id]) == 1


def test_the_slowest_recovery_is_that_of_a_killed_workers_job_with_redis_there() -> None:
    """From the death to the next run; frozen workers, and deaths near an outage, say nothing."""
    killed, frozen = Interruption(WORKER, 10, is_killed=True), Interruption(WORKER, 10, is_killed=False)
    again = Attempt(job(1), "", 16.5, 17, "done")

    def slowest(interruption: Interruption, *outages: tuple[float, float]) -> float:
        return slowest_recovery([Attempt(job(1), "", 9, 10, "", interruption), again], list(outages), 8)

    assert slowest(killed) == 6.5
    assert slowest(killed, (30, 31)) == 6.5
    assert slowest(killed, (12, 13)) == 0
    assert slowest(frozen) == 0

"""Commands that ask Redis, while it is away."""

from pathlib import Path

import pytest

from tests import forked
from tests.processes import environment

NOWHERE = "redis://127.0.0.1:1/0"
SENTENCE = "DESKBELL_REDIS_URL: expected a server that answers, got ConnectionError"
EVENT = "0" * 32


@pytest.mark.parametrize(
    "words",
    [
        ["audit"],
        ["dead", "discard", EVENT],
        ["dead", "list", "--json"],
        ["dead", "replay", "--all"],
        ["dead", "show", EVENT],
        ["events"],
        ["events", EVENT],
        ["events", "--follow", "--json"],
        ["export", "--user", "user517"],
        ["forget", "--user", "user517", "--yes"],
        ["queues", "pause", "crm"],
        ["queues", "resume", "crm"],
        ["top"],
        ["top", "--once", "--json"],
        ["unknowns"],
    ],
    ids=" ".join,
)
def test_a_command_says_in_a_sentence_that_redis_is_away(words: list[str], tmp_path: Path) -> None:
    """With status 1, and nothing on standard output that a program would take for an answer."""
    ended = forked.run(*words, env=environment(DESKBELL_REDIS_URL=NOWHERE), cwd=tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"deskbell: {SENTENCE}\n")


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "crm"], ["doctor", "crm", "--json"]], ids=" ".join)
def test_doctor_counts_it_as_a_problem(words: list[str], tmp_path: Path) -> None:
    """Beside what it can check without; status 1."""
    ended = forked.run(*words, env=environment(DESKBELL_REDIS_URL=NOWHERE), cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.count(SENTENCE) == 1

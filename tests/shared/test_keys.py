"""What keys begin with, and which shard an event belongs to."""

import re
from collections import Counter
from pathlib import Path

import pytest

from shared.keys import is_prefix, shard_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("rq", True),
        ("shop:rq", True),
        ("{deskbell-7}:rq", True),
        ("shop", False),
        ("shop rq:rq", False),
        (":rq", False),
        ("", False),
    ],
)
def test_a_prefix_is_one_that_rq_takes_and_that_ours_can_stand_beside(text: str, is_one: bool) -> None:
    """RQ's keys begin with `<prefix>rq:`, ours with `<prefix>deskbell:`."""
    assert is_prefix(text) is is_one


@pytest.mark.parametrize(
    ("fields", "shard"),
    [
        (("1400000001", "s-1", "u-1", "d-1"), 8),
        (("1400000001", "s-1", "u-2", "d-2"), 8),
        (("1400000002", "s-1", "u-1", "d-1"), 10),
        (("1400000001", "", "u-2", "d-1"), 2),
        (("1400000001", "", "u-2", "d-2"), 2),
        (("1400000001", "", "", "d-1"), 7),
        (("1400000001", "", "", "\ud800"), 13),
    ],
)
def test_an_event_belongs_to_the_same_shard_for_ever(fields: tuple[str, str, str, str], shard: int) -> None:
    """By app and session, else by user, else by delivery; a release that computed another would lose its place."""
    assert shard_of(*fields, 16) == shard


def test_sessions_are_spread_over_the_shards() -> None:
    """None has much more than its part."""
    counts = Counter(shard_of("1400000001", f"s-{number}", "", "", 16) for number in range(16_000))

    assert set(counts) == set(range(16))
    assert max(counts.values()) < 1_200


def test_no_key_is_written_out_without_its_prefix() -> None:
    """Python has `RQ` and `DESKBELL` of `shared.keys`; a script's keys are literals in single quotes."""
    rooms = ("api", "console", "deskbell", "shared", "workers")
    python = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    lua = [path for room in rooms for path in (ROOT / room).rglob("*.lua")]
    in_python = re.compile(r"""b?["'](?:rq|deskbell):(?![ U])""")
    in_lua = re.compile(r"""(?<!')\b(?:rq|deskbell):""")

    found = [path.name for path in python if in_python.search(path.read_text())]
    strays = [path.name for path in lua if in_lua.search(re.sub(r"--.*", "", path.read_text()))]

    assert sorted(found) == ["keys.py", "limits.py"]  # which speak of scripts
    assert strays == []

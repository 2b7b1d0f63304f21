"""RQ_KEY_PREFIX: with a prefix no key of RQ's or of ours lies outside of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
USERS = "test_api_and_workers_get_by_with_the_documented_users"


def test_all_that_the_documented_users_do_is_done_under_a_prefix() -> None:
    """RQ reads the prefix as it is imported: so that test runs once more, in a process of its own.

    Its users have rights to the keys under the prefix alone, and nothing is denied them.
    """
    test = f"{TESTS / 'end_to_end' / 'test_acl.py'}::{USERS}[embedded]"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    env = os.environ | {"RQ_KEY_PREFIX": "{deskbell-7}:rq"}

    ended = subprocess.run(words, env=env, cwd=TESTS.parent, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode == 0, ended.stdout[-5000:]
    assert "1 passed" in ended.stdout


def test_no_key_is_written_out_without_its_prefix() -> None:
    """Python has `RQ` and `DESKBELL` of `shared.keys`; a script's keys are literals in single quotes."""
    rooms = ("api", "console", "deskbell", "shared", "workers")
    python = [path for room in rooms for path in (TESTS.parent / room).rglob("*.py")]
    lua = [path for room in rooms for path in (TESTS.parent / room).rglob("*.lua")]
    in_python = re.compile(r"""b?["'](?:rq|deskbell):(?![ U])""")
    in_lua = re.compile(r"""(?<!')\b(?:rq|deskbell):""")

    found = [path.name for path in python if in_python.search(path.read_text())]
    strays = [path.name for path in lua if in_lua.search(re.sub(r"--.*", "", path.read_text()))]

    assert sorted(found) == ["keys.py", "limits.py"]  # which speak of scripts
    assert strays == []

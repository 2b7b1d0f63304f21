"""RQ_KEY_PREFIX: with a prefix no key of RQ's or of ours lies outside of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
USERS = "test_api_and_workers_get_by_with_the_documented_users"


@pytest.mark.timeout(300)  # a whole stack is started, on a machine that may be busy
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

"""The environment of processes that tests start: nothing of the machine's but its PATH, and coverage's own words."""

import os
from pathlib import Path

PATIENT = {"DESKBELL_LONG_BUDGET": "1", "DESKBELL_BUDGET_MS": "10000", "DESKBELL_REDIS_TIMEOUT_MS": "4000"}
"""Settings for an api whose tests are not about time: the machine that runs them may be busy."""


ALONE = ("--parent-fd", "-1")
"""Options of `api` and `worker`: be one process of the role, without a supervisor and its start of another Python."""


def environment(**variables: str) -> dict[str, str]:
    """PATH, what measures coverage, and what is given."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")} | unmeasured(**variables)


def unmeasured(**variables: str) -> dict[str, str]:
    """PATH, what keys begin with, and what is given, for a stack of many processes whose code other tests measure."""
    return {name: os.environ[name] for name in ("PATH", "RQ_KEY_PREFIX") if name in os.environ} | variables


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not, where the system tells."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()

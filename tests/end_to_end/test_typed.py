"""What an integrator's type checker says of `deskbell`, where it is installed."""

import subprocess
import sys
from pathlib import Path

from tests.processes import unmeasured

CACHE = Path(__file__).parents[2] / ".mypy_cache" / "acme"  # what was read of libraries, from one run to the next

SOURCE = """
from deskbell import ApiCall, Callbacks, Jobs
from deskbell.jobs.crm import jobs as crm_jobs
from deskbell.testing import api_call, reply

callbacks = Callbacks()
jobs = Jobs()
jobs.include(crm_jobs)

@callbacks.api_call("order_status")
def order_status(OrderID: int) -> dict[str, str]:
    return {"OrderStatus": "shipped"}

@jobs.on(ApiCall, node="order_status")
async def record(event: ApiCall) -> None: ...

answered: str | None = reply(callbacks, api_call("order_status", OrderID="1")).outcome
number: int = order_status("one")
"""


def test_an_integrators_code_is_checked_strictly_against_the_packages_types(tmp_path: Path) -> None:
    """The declared function keeps its type, and a wrong call of it is found."""
    (tmp_path / "acme.py").write_text(SOURCE)

    checked = subprocess.run(
        [sys.executable, "-P", "-m", "mypy", "--strict", "--cache-dir", str(CACHE), "acme.py"],
        capture_output=True,
        cwd=tmp_path,
        env=unmeasured(),
        text=True,
        check=False,
    )

    errors = [line.partition(": error: ")[::2] for line in checked.stdout.splitlines() if ": error: " in line]
    line = len(SOURCE.splitlines())
    assert [where for where, _ in errors] == [f"acme.py:{line}"] * 2, checked.stdout
    assert {what.rpartition("[")[2] for _, what in errors} == {"arg-type]", "assignment]"}

"""Several hosts: what was acknowledged is done once, whatever is cut off or lost; `make chaos-hosts` in short."""

import os

import pytest

from bench.chaos.hosts.faults import Fault
from bench.chaos.hosts.network import missing
from bench.chaos.hosts.run import run
from tests.debian import program

pytestmark = pytest.mark.timeout(600)  # nine hosts, on a machine that may be busy


def test_what_several_hosts_acknowledged_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The master is cut off with an api and a worker, and a worker of the other side is lost with its host."""
    program("ip", "iproute2")
    program("nginx", "nginx")
    if lacking := missing():
        pytest.skip(f"hosts need {lacking}")
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    fault = Fault("split and lost", group=("master", "api1", "worker1"), lost=("worker2",))

    (row,) = run([fault], rate=20, seconds=4)

    assert row.acknowledged, row
    assert (row.lost, row.doubled) == (0, 0), row
    assert row.seconds is not None, row

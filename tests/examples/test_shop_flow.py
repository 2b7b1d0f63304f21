"""The shop's flow files, collected by pytest and played by one `deskbell flow` that starts a stack."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.processes import PATIENT, unmeasured

pytestmark = pytest.mark.timeout(300)  # a whole stack is started, on a machine that may be busy

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"
WRONG = """
cases:
  passes:
    - call: {node: order_status, variables: {OrderID: "1002"}}
  is wrong:
    - call: {node: order_status, variables: {OrderID: "1002"}}
    - expect: {variables: {OrderStatus: paid}}
"""


def test_the_shops_flows_are_played_by_pytest_and_what_differs_is_shown(tmp_path: Path) -> None:
    """Each case is a test of its own; a file that cannot be played is an error with its line."""
    (tmp_path / "flow_wrong.yaml").write_text(WRONG)
    (tmp_path / "flow_refused.yaml").write_text("case: {}")
    (tmp_path / "other.yaml").write_text("no: flow")
    words = ["-p", "no:schemathesis", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *words, "-c", "/dev/null", "--rootdir", str(tmp_path)]

    cases = sum(len(yaml.safe_load(file.read_text())["cases"]) for file in SHOP.glob("flow_*.yaml"))

    run = subprocess.run(
        [*command, "--junitxml", str(tmp_path / "junit.xml"), str(SHOP), str(tmp_path)],
        env=unmeasured(**PATIENT),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"1 failed, {cases + 1} passed, 1 error" in run.stdout, run.stdout + run.stderr
    assert run.returncode == 1
    assert f"{tmp_path}/flow_refused.yaml:1: unknown key case; did you mean cases?" in run.stdout
    assert f"{tmp_path}/flow_wrong.yaml:5: is wrong\n" in run.stdout
    assert 'differs: OrderStatus: expected "paid", got "shipped"' in run.stdout
    names = {case.get("name") for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}  # noqa: S314
    assert {"an order is on its way", "a second node asks for what the first began", "is wrong", "passes"} <= names

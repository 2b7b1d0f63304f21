"""The dashboard in `deploy/`: its expressions parse and name what there is; it fits any Grafana with a Prometheus."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.deploy.expressions import ROOT, metrics_by_alert, promtool, unknown_names

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "deskbell.json").read_text())
PANELS = DASHBOARD["panels"]
VARIABLES = {"$job": "deskbell", "$__rate_interval": "5m"}


def expressions() -> list[str]:
    """Every expression, with values for Grafana's variables."""
    found = []
    for panel in PANELS:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found.append(expression)
    return found


def test_every_expression_parses_and_names_what_an_api_tells(tmp_path: Path) -> None:
    """As Prometheus' own parser reads it."""
    rules = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(expressions())]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    checked = promtool("check", "rules", str(tmp_path / "panels.yml"))

    assert checked.returncode == 0, checked.stderr
    assert [problem for expression in expressions() for problem in unknown_names(expression)] == []


def test_the_legends_name_labels_that_the_expressions_keep() -> None:
    """Grafana shows nothing for one that is not there."""
    for panel in PANELS:
        for target in panel.get("targets", []):
            kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept - {"le"}, panel["title"]


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    """One that is in neither would be read by nobody."""
    text = " ".join(expressions())

    assert [name for name, alerts in metrics_by_alert().items() if not alerts and name not in text] == []


def test_no_source_of_data_is_wired_in_and_no_two_panels_overlap() -> None:
    """The source and the deployment are variables; 24 columns."""
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "job"]
    assert {source["uid"] for source in sources(DASHBOARD)} == {"${datasource}"}
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        assert one["x"] + one["w"] <= 24
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def sources(part: Any) -> Iterator[dict[str, str]]:
    """Every source of data that a part of the dashboard names."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "datasource":
                yield value
            yield from sources(value)
    elif isinstance(part, list):
        for each in part:
            yield from sources(each)

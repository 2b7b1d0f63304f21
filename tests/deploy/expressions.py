"""What PromQL expressions name, and whether an api tells it."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.debian import program
from tests.told_metrics import told_series

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "deskbell.rules.yml"
_OF_PROMETHEUS = {"job", "instance", "le", "alertname"}
_OF_CLUSTERS = {"shard"}  # an api has it where Redis is a cluster
_OF_INTEGRATORS = {"queue", "node", "handler", "job_type", "version", "commit"}
"""Labels whose values are names that others have chosen."""


def known_names() -> dict[str, dict[str, set[str]]]:
    """The labels and their values of each metric that is told."""
    known: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for series in told_series():
        name, _, labels = series.partition("{")
        known[name]  # a metric without labels
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            known[name][label].add(value)
    return known


def unknown_names(expression: str) -> Iterator[str]:
    """Metrics, labels and values of an expression that nothing tells."""
    known = known_names()
    grouped = {
        label for labels in re.findall(r"\b(?:by|on|left) \(([^)]+)\)", expression) for label in labels.split(", ")
    }
    available = _OF_PROMETHEUS | _OF_CLUSTERS
    for name, labels in re.findall(r"(?<![:\w])(deskbell_\w+)(?:{([^}]*)})?", expression):
        if name not in known:
            yield name
            continue
        available |= known[name].keys()
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', labels):
            if label in _OF_PROMETHEUS:
                continue
            if label not in known[name]:
                yield f"{name}{{{label}}}"
            elif label not in _OF_INTEGRATORS:
                wanted = set(value.split("|") if "~" in operator else [value])
                yield from sorted(f"{name}{{{label}={each}}}" for each in wanted - known[name][label])
    yield from sorted(grouped - available)


def on_host(series: str, host: str) -> str:
    """A series as Prometheus has it, with the labels of what it has scraped."""
    name, _, labels = series.partition("{")
    return f'{name}{{job="deskbell",instance="{host}"{"," * bool(labels)}{labels or "}"}'


def promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    """Let promtool judge."""
    return subprocess.run(
        [program("promtool", "prometheus"), *words], capture_output=True, text=True, check=False, timeout=300
    )


def rules() -> list[dict[str, Any]]:
    """Every rule, recording and alerting."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def metrics_by_alert() -> dict[str, list[str]]:
    """The alerts that use each metric that is told, also by way of a recording rule."""
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    found: dict[str, list[str]] = {_family(name): [] for name in known_names()}
    for rule in rules():
        if "alert" in rule:
            read = rule["expr"] + "".join(text for name, text in recorded.items() if name in rule["expr"])
            for name in sorted(set(re.findall(r"(?<![:\w])deskbell_\w+", read)) & known_names().keys()):
                if rule["alert"] not in found[_family(name)]:
                    found[_family(name)].append(rule["alert"])
    return found


def _family(name: str) -> str:
    return re.sub(r"_(?:bucket|sum|count)$", "", name)

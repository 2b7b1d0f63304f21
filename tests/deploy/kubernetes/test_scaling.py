"""How workers and api are scaled: what KEDA's queries find, also when metrics are lost, and what happens then."""

import json
from pathlib import Path
from typing import Any

from tests.deploy.expressions import on_host, promtool, unknown_names
from tests.deploy.kubernetes.kustomized import of_kind, pod, workloads

SCALED = of_kind("ScaledObject")
JOBS, AGE = (trigger["metadata"]["query"] for trigger in SCALED["deskbell-worker-crm"]["spec"]["triggers"])
CHAT_JOBS, CHAT_AGE = (trigger["metadata"]["query"] for trigger in SCALED["deskbell-worker-chat"]["spec"]["triggers"])


def told(queue: str, waiting: int, running: int, oldest: int, paused: int = 0) -> dict[str, str]:
    """What an api tells of a queue, for ten minutes."""
    values = {
        f'deskbell_jobs_waiting{{queue="{queue}"}}': waiting,
        f'deskbell_jobs{{queue="{queue}",state="running"}}': running,
        f'deskbell_jobs{{queue="{queue}",state="dead"}}': 7000,
        f'deskbell_oldest_waiting_seconds{{queue="{queue}"}}': oldest,
        f'deskbell_queue_paused{{queue="{queue}"}}': paused,
    }
    return {series: f"{value}x10" for series, value in values.items()}


BUSY = told("crm", 100, 20, 90) | told("events", 3, 0, 1) | told("late", 5, 2, 60) | told("messages", 10, 1, 30)
LOST = dict.fromkeys(BUSY, "5x4 stale")
HALF = BUSY | {series: "5x4 stale" for series in BUSY if series.startswith("deskbell_jobs{")}
SHARDS = {
    f'{series[:-1]},shard="{shard}"}}': values
    for shard, all_told in enumerate((told("crm", 100, 20, 90) | told("late", 5, 2, 60), told("crm", 10, 0, 300, 1)))
    for series, values in all_told.items()
}
ONE_SHARD = SHARDS | {series: "5x4 stale" for series in SHARDS if 'shard="0"' in series}
Case = tuple[dict[str, dict[str, str]], dict[str, float | None]]
CASES: dict[str, Case] = {
    "both apis tell the same": (
        {"a": BUSY, "b": BUSY},
        {JOBS: 120, AGE: 90, CHAT_JOBS: 18, CHAT_AGE: 60},
    ),
    "one api is lost": ({"a": BUSY, "b": LOST}, {JOBS: 120, AGE: 90, CHAT_JOBS: 18, CHAT_AGE: 60}),
    "all are lost": ({"a": LOST, "b": LOST}, {JOBS: None, AGE: None, CHAT_JOBS: None, CHAT_AGE: None}),
    "one of the metrics is lost": ({"a": HALF}, {JOBS: None, AGE: 90}),
    "shards are added up": ({"a": SHARDS, "b": SHARDS}, {JOBS: 120, AGE: 90, CHAT_JOBS: 7, CHAT_AGE: 60}),
    "one shard is lost": ({"a": ONE_SHARD, "b": ONE_SHARD}, {JOBS: None, AGE: None, CHAT_JOBS: None, CHAT_AGE: None}),
    "an api has lost one shard": ({"a": ONE_SHARD, "b": SHARDS}, {JOBS: 120, AGE: 90, CHAT_JOBS: 7, CHAT_AGE: 60}),
    "of no queue was ever told": ({"a": told("events", 0, 0, 0)}, {JOBS: None, AGE: None, CHAT_JOBS: None}),
    "a breaker has paused the queue": (
        {"a": told("crm", 5000, 3, 900, 1) | told("late", 5, 2, 60) | told("messages", 900, 1, 900, 1)},
        {JOBS: 3, AGE: 0, CHAT_JOBS: 8, CHAT_AGE: 60},
    ),
}
"""What each host tells, and what a query finds then: None is nothing, and not a zero."""


def test_the_queries_count_what_waits_and_runs_and_find_nothing_when_it_is_unknown(tmp_path: Path) -> None:
    """As Prometheus itself evaluates them, the label of the scrape job included."""
    scenarios: list[dict[str, Any]] = []
    for name, (hosts, expected) in CASES.items():
        scenarios.append(
            {
                "name": name,
                "interval": "1m",
                "input_series": [
                    {"series": on_host(series, host), "values": values}
                    for host, all_told in hosts.items()
                    for series, values in all_told.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": "6m",
                        "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
                    }
                    for query, value in expected.items()
                ],
            }
        )
    (tmp_path / "queries.yml").write_text(json.dumps({"tests": scenarios}))

    judged = promtool("test", "rules", str(tmp_path / "queries.yml"))

    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_queries_name_metrics_that_an_api_tells() -> None:
    """With labels and values that there are."""
    queries = [trigger["metadata"]["query"] for each in SCALED.values() for trigger in each["spec"]["triggers"]]

    assert [problem for query in queries for problem in unknown_names(query)] == []


def test_lost_metrics_do_not_scale_in() -> None:
    """What is not found is an error, after which an autoscaler does not scale in; and one pod always stays.

    KEDA before 2.17 sets the number of pods to that of a `fallback` at the first error (kedacore/keda#6520).
    """
    assert SCALED.keys() == {name for name in workloads() if name.startswith("deskbell-worker-")}
    for name, each in SCALED.items():
        spec = each["spec"]
        assert spec["scaleTargetRef"]["name"] == name
        assert "fallback" not in spec
        assert spec["minReplicaCount"] >= 1
        for trigger in spec["triggers"]:
            assert trigger["metadata"]["ignoreNullValues"] == "false"
            assert trigger["metricType"] == "AverageValue"  # the threshold is a pod's share, and not a factor


def test_who_scales_is_alone_in_it_and_slow_to_scale_in() -> None:
    """A number of replicas in a manifest would undo the autoscaler's at each release."""
    api = of_kind("HorizontalPodAutoscaler")["deskbell-api"]["spec"]
    assert workloads()[api["scaleTargetRef"]["name"]]["kind"] == api["scaleTargetRef"]["kind"]
    for name in ("deskbell-api", *SCALED):
        assert "replicas" not in workloads()[name]["spec"]
    for name, each in SCALED.items():
        behavior = each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        window = behavior["scaleDown"]["stabilizationWindowSeconds"]
        assert window >= pod(workloads()[name])["terminationGracePeriodSeconds"]

"""The alert rules in `deploy/`, as Prometheus evaluates them: each comes when it should, and not when it should not."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.deploy.expressions import ROOT, RULES, known_names, metrics_by_alert, on_host, promtool, rules, unknown_names
from tests.told_metrics import told_series

RUNBOOK = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
HOSTS = ("a:8000", "b:8000")
MINUTES = 70
CALLBACKS = 'deskbell_callbacks_total{command="Chatbot.InterfaceInvocation",outcome="%s"}'
ANSWERED = CALLBACKS % "answered"
PUSHED = 'deskbell_job_attempts_total{job_type="crm.push",outcome="done"}'

WELL = {ANSWERED: "0+600x80", PUSHED: "0+600x80"}
"""Ten callbacks a second, each with a job."""

BUSY = WELL | {
    CALLBACKS % "fallback": "0+30x80",
    CALLBACKS % "failed": "0x40 1x40",
    'deskbell_answer_seconds_bucket{le="0.1"}': "0+600x80",
    'deskbell_answer_seconds_bucket{le="1.0"}': "0+629x80",
    'deskbell_answer_seconds_bucket{le="2.0"}': "0+630x80",
    "deskbell_answer_seconds_count": "0+630x80",
    'deskbell_refused_total{cause="sign_wrong"}': "0+6x80",
    'deskbell_refused_total{cause="sign_stale"}': "0+1x80",
    'deskbell_refused_total{cause="not_http"}': "0+600x80",
    'deskbell_redis_persistence{kind="always"}': "0x80",
    'deskbell_redis_persistence{kind="everysec"}': "1x80",
    "deskbell_redis_memory_bytes": "7e8x80",
    "deskbell_spool_events": "10x80",
    "deskbell_spool_oldest_seconds": "30x80",
    "deskbell_spool_bytes": "1e8x80",
    'deskbell_oldest_waiting_seconds{queue="crm"}': "500x80",
    'deskbell_oldest_waiting_seconds{queue="events"}': "5x80",
    'deskbell_jobs_waiting{queue="crm"}': "5000x80",
    'deskbell_jobs{queue="crm",state="dead"}': "9x80",
    'deskbell_job_failures_total{cause="timeout",job_type="crm.push",outcome="dead"}': "0+1x80",
    'deskbell_jobs_held_back{cause="earlier_job",queue="crm",state="held"}': "400x80",
    'deskbell_oldest_held_back_seconds{queue="crm",state="held"}': "3000x80",
    'deskbell_oldest_held_back_seconds{queue="crm",state="scheduled"}': "7000x80",
    'deskbell_hosts_spool_events{state="living"}': "10x80",
    'deskbell_host_clock_seconds{role="api"}': "-2x80",
    'deskbell_worker_lag_seconds{queue="crm"}': "0.05x80",
    'deskbell_jobs{queue="crm",state="running"}': "1x80",
    'deskbell_worker_slots_used{queue="crm"}': "1x80",
    'deskbell_worker_slots_used{queue="events"}': "2x80",
    'deskbell_job_attempts_total{job_type="crm.push",outcome="retry"}': "0+100x80",
    'deskbell_job_attempts_total{job_type="crm.push",outcome="out_of_turn"}': "0+9000x80",
}
"""Much goes on, some of it goes wrong, and nobody needs to know."""

RISING, ONE = "0+60x80", "1x80"
SLOW = {
    'deskbell_answer_seconds_bucket{le="1.0"}': "0+60x80",
    'deskbell_answer_seconds_bucket{le="1.5"}': "0+60x80",
    'deskbell_answer_seconds_bucket{le="2.0"}': "0+62x80",
    "deskbell_answer_seconds_count": "0+62x80",
}
FIRING: dict[str, list[dict[str, str]]] = {
    "DeskbellAnswersFailing": [
        {CALLBACKS % "out_of_time": RISING},
        {CALLBACKS % "defect": RISING},
        {f'deskbell_answer_seconds_bucket{{le="{le}"}}': "0+595x80" for le in ("1.0", "1.5", "2.0")}
        | {"deskbell_answer_seconds_count": "0+600x80"},
    ],
    "DeskbellFallbacks": [{CALLBACKS % "fallback": "0+200x80"}],
    "DeskbellAnswersSlow": [SLOW],
    "DeskbellNodeUnanswered": [{'deskbell_node_callbacks_total{node="order",outcome="misfit"}': RISING}],
    "DeskbellDrift": [{'deskbell_drift_total{kind="missing",node="order"}': RISING}],
    "DeskbellHandlerStuck": [{'deskbell_handler_stuck{handler="order"}': ONE}],
    "DeskbellLoopBlocked": [{'deskbell_loop_blocked{handler=""}': ONE}],
    "DeskbellCannotKeep": [{'deskbell_refused_total{cause="cannot_keep"}': "0x68 3x9"}],
    "DeskbellOverloaded": [
        {'deskbell_refused_total{cause="overloaded"}': RISING},
        {'deskbell_refused_total{cause="crowded"}': RISING},
    ],
    "DeskbellCallbacksRefused": [
        {'deskbell_refused_total{cause="sign_wrong"}': RISING},
        {'deskbell_refused_total{cause="unknown_app"}': RISING, ANSWERED: "0x80"},
    ],
    "DeskbellClockSkew": [{'deskbell_refused_total{cause="sign_stale"}': RISING}],
    "DeskbellRedisAway": [{"deskbell_redis_away": ONE}],
    "DeskbellRedisProblem": [{"deskbell_redis_problems": ONE}],
    "DeskbellPersistenceOff": [{'deskbell_redis_persistence{kind="none"}': ONE}],
    "DeskbellRedisFilling": [{"deskbell_redis_memory_bytes": "9e8x80"}],
    "DeskbellSpoolOld": [{"deskbell_spool_oldest_seconds": "400x80"}],
    "DeskbellSpoolAbandoned": [{'deskbell_hosts_spool_events{state="gone"}': ONE}],
    "DeskbellSpoolFilling": [{"deskbell_spool_bytes": "8e8x80"}, {"deskbell_spool_disk_free_bytes": "1e8x80"}],
    "DeskbellSpoolFailing": [
        {"deskbell_spool_failing": ONE},
        {'deskbell_spool_failures_total{cause="full"}': RISING},
    ],
    "DeskbellSpoolDamaged": [{"deskbell_spool_damaged_files": ONE}],
    "DeskbellEventsWaiting": [{'deskbell_oldest_waiting_seconds{queue="events"}': "90x80"}],
    "DeskbellOldestWaiting": [{'deskbell_oldest_waiting_seconds{queue="crm"}': "900x80"}],
    "DeskbellQueueWithoutWorker": [
        {'deskbell_workers{queue="crm",version="1"}': "0x80", f'deskbell_jobs{{queue="crm",state="{state}"}}': ONE}
        for state in ("running", "scheduled")
    ]
    + [{'deskbell_workers{queue="crm",version="1"}': "0x80", 'deskbell_jobs_waiting{queue="crm"}': ONE}],
    "DeskbellWorkersSuspended": [{"deskbell_workers_suspended": ONE}],
    "DeskbellWorkersSilent": [{'deskbell_workers_silent{queue="crm"}': ONE}],
    "DeskbellSlotsUsed": [
        {'deskbell_worker_slots_used{queue="crm"}': "2x80", 'deskbell_jobs_waiting{queue="crm"}': ONE}
    ],
    "DeskbellBreakerOpen": [{'deskbell_queue_paused{queue="crm"}': ONE}],
    "DeskbellAttemptsFailing": [
        {'deskbell_job_attempts_total{job_type="crm.push",outcome="retry"}': "0+900x80"},
        {'deskbell_job_attempts_total{job_type="crm.push",outcome="discarded"}': RISING, PUSHED: "0x80"},
    ],
    "DeskbellDeadLetters": [{'deskbell_jobs{queue="crm",state="dead"}': "9x60 10x9"}],
    "DeskbellDeadLettersOfCause": [
        {'deskbell_job_failures_total{cause="http_401_403",job_type="crm.push",outcome="dead"}': "0+3x80"},
        {'deskbell_job_failures_total{cause="decided",job_type="crm.push",outcome="discarded"}': "0+3x80"},
    ],
    "DeskbellHeldByDeadLetter": [
        {'deskbell_jobs_held_back{cause="dead_letter",queue="crm",state="held"}': ONE},
    ],
    "DeskbellJobTypeUndeclared": [
        {'deskbell_jobs_held_back{cause="undeclared",queue="crm",state="scheduled"}': ONE},
    ],
    "DeskbellHeldBackLong": [
        {'deskbell_oldest_held_back_seconds{queue="crm",state="held"}': "4000x80"},
        {'deskbell_oldest_held_back_seconds{queue="crm",state="scheduled"}': "8000x80"},
    ],
    "DeskbellWorkerLag": [{'deskbell_worker_lag_seconds{queue="crm"}': "0.3x80"}],
    "DeskbellJobBlocksLoop": [{'deskbell_worker_loop_blocks_total{job_type="crm.push"}': RISING}],
    "DeskbellHostClocks": [{'deskbell_host_clock_seconds{role="worker"}': "-9x80"}],
    "DeskbellVersionsMixed": [{'deskbell_workers{queue="crm",version="2"}': ONE}],
    "DeskbellDown": [{'deskbell_build_info{commit="",version="0.1.0"}': "1x60 stale"}],
    "DeskbellInstanceDown": [{"up": "1x60 0x20"}],
    "DeskbellMetricsIncomplete": [{"deskbell_redis_reads_refused": ONE}],
    "DeskbellLogLinesLost": [{"deskbell_log_lines_lost_total": RISING}],
}
NOT_TOLD = {"up", 'deskbell_workers{queue="crm",version="2"}'}
"""Prometheus' own, and a second version of the workers."""


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def scenario(name: str, changed: Mapping[str, str], firing: Iterable[str]) -> dict[str, Any]:
    """A test for promtool: two apis tell the same, but for what has changed, and these alerts fire at the end."""
    told = {"up": "1x80"} | {series: f"{value}x80" for series, value in told_series().items()} | dict(changed)
    return {
        "name": name,
        "interval": "1m",
        "input_series": [
            {"series": on_host(series, host), "values": values} for series, values in told.items() for host in HOSTS
        ],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES}m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in firing],
            }
        ],
    }


def test_each_alert_comes_when_it_should_and_none_when_all_is_well(tmp_path: Path) -> None:
    """With two apis that tell the same of Redis; a busy hour with some failures brings none, nor does a quiet one."""
    scenarios = [scenario("quiet", {}, []), scenario("well", WELL, []), scenario("busy", BUSY, [])]
    for alert, cases in FIRING.items():
        scenarios += [scenario(f"{alert} {case}", WELL | case, [alert]) for case in cases]
    tests = tmp_path / "alerts.yml"
    tests.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": scenarios}))

    judged = promtool("test", "rules", str(tests))

    assert FIRING.keys() == alerts().keys()
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_what_the_tests_of_the_alerts_change_is_told_by_an_api() -> None:
    """A misspelt series would make an alert come here and never elsewhere."""
    changed = {series for cases in FIRING.values() for case in cases for series in case} | BUSY.keys()

    assert changed - told_series().keys() == NOT_TOLD


def test_the_rules_name_metrics_labels_and_values_that_there_are() -> None:
    """Prometheus takes any name, and finds nothing."""
    assert promtool("check", "rules", str(RULES)).returncode == 0
    assert not {label for labels in known_names().values() for label in labels} & {"job", "instance"}  # Prometheus' own
    assert [problem for rule in rules() for problem in unknown_names(rule["expr"])] == []


def test_each_alert_says_what_to_do_and_has_its_section_of_the_runbook() -> None:
    """And no section is about an alert that there is not."""
    sections = re.findall(r"^## (Deskbell\w+)$", RUNBOOK, re.MULTILINE)

    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/runbook.md#{name.lower()}"
    assert sections == list(alerts())


def test_the_runbook_lists_each_metric_with_its_alerts() -> None:
    """In the order of `/metrics`; an alert may use a metric by way of a recording rule."""
    rows = re.findall(r"^\| `(deskbell_\w+)` \| (.*) \|$", RUNBOOK, re.MULTILINE)

    assert {name: [f"Deskbell{alert}" for alert in re.findall(r"\[(\w+)\]", cell)] for name, cell in rows} == (
        metrics_by_alert()
    )


def test_the_runbooks_configuration_of_prometheus_is_one(tmp_path: Path) -> None:
    """With the rules beside it."""
    (block,) = re.findall(r"```yaml\n(.*?)```", RUNBOOK, re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(block)
    (tmp_path / RULES.name).write_text(RULES.read_text())

    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))

    assert checked.returncode == 0, checked.stderr

"""The profiles of the compose file: tls, monitoring, dev. Of monitoring Prometheus alone: Debian has no Grafana."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deskbell.testing import signed_query
from shared.wire.protocol import API_CALL
from tests.containers.project import APP, ROOT, TOKEN, Stack, check_rights, cut_off, on_host, patiently, run, status_of

pytestmark = pytest.mark.timeout(600)

PUBLIC = "https://localhost"


def test_tls_serves_callbacks_alone_and_writes_no_sign(stack: Stack, tmp_path: Path) -> None:
    """Also when it says that the api is away: the query of a callback has its Sign."""
    stack.up("caddy")
    authority = tmp_path / "root.crt"
    authority.write_text(stack.execute("caddy", "cat", "/data/caddy/pki/authorities/local/root.crt"))
    trusting = ["--cacert", str(authority)]
    send = [sys.executable, "-P", "-m", "deskbell", "send", "--url", PUBLIC, "--app", APP, "--token", TOKEN]
    callback = [*send, "order_status", "OrderID=1002", "SystemClientUserID=user519"]

    answer = run(on_host("env", f"SSL_CERT_FILE={authority}", *callback))

    assert "shipped" in answer
    patiently(lambda: status_of_large(tmp_path, *trusting) == "413")
    assert status_of(f"{PUBLIC}/metrics", *trusting) == "404"
    assert status_of(f"{PUBLIC}/readyz", *trusting) == "404"
    assert status_of("http://localhost/callback") == "308"
    check_rights(stack, "caddy", megabytes=512)

    over_http_1 = [*trusting, "--http1.1"]  # else curl may see the stream reset by who does not read the body
    with cut_off(stack, "api"):
        assert status_of(f"{PUBLIC}/callback/order_status?Sign=secret", *over_http_1, "--data", "{}") == "502"

    logs = stack.logs("caddy")
    assert "dial" in logs
    assert "Sign" not in logs
    assert "secret" not in logs


def status_of_large(folder: Path, *options: str) -> str:
    """What a callback of 2 MB is answered; "" when curl was still sending as the connection was closed."""
    (folder / "large").write_bytes(bytes(2_000_000))
    url = f"{PUBLIC}/callback/order_status?{signed_query(APP, TOKEN, API_CALL)}"
    try:
        return status_of(url, *options, "--data-binary", f"@{folder / 'large'}")
    except AssertionError as sending:
        return "413" if str(sending).rstrip().endswith("\n413") else ""


def test_monitoring_reads_each_api_and_has_every_rule(stack: Stack) -> None:
    """Without a fault in any, as Prometheus itself says."""
    stack.up("prometheus")
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "deskbell.rules.yml").read_text())["groups"]
    expected = {rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]}

    def rules() -> dict[str, str]:
        asked = [rule for group in ask_prometheus("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: rule["health"] for rule in asked}

    patiently(lambda: [target["health"] for target in ask_prometheus("targets")["activeTargets"]] == ["up"])
    patiently(lambda: ask_prometheus("query?query=deskbell_build_info")["result"])
    patiently(lambda: rules() == dict.fromkeys(expected, "ok"))
    check_rights(stack, "prometheus", megabytes=512)


def ask_prometheus(path: str) -> Any:
    """What Prometheus says of itself or of what it has read."""
    return json.loads(run(on_host("curl", "--silent", "--fail", f"http://127.0.0.1:9090/api/v1/{path}")))["data"]


def test_dev_answers_and_takes_changes_of_the_source(stack: Stack) -> None:
    """The shop of the examples, from the mounted folder, beside the other services."""
    stack.up("dev")
    check_rights(stack, "dev", megabytes=1024)

    def answer() -> str:
        words = ("send", "order_status", "OrderID=1002", "SystemClientUserID=user520")
        try:
            return stack.execute("dev", "deskbell", *words)
        except AssertionError as error:
            return str(error)

    patiently(lambda: "shipped" in answer())
    source = stack.folder / "examples" / "shop" / "callbacks.py"
    source.write_text(source.read_text().replace("order.status,", "order.status.upper(),"))
    patiently(lambda: "SHIPPED" in answer())
    stack.compose("stop", "dev")
    assert stack.inspect("dev")["State"]["ExitCode"] == 143  # of its own accord, at SIGTERM; 137 is of a kill
    stack.compose("rm", "--force", "dev")

"""What the files say from which containers are made, without an engine: `stack.py` tries them in one."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import pytest
import yaml
from redis import Redis

from shared.loading import load_jobs
from shared.redis.queues import EVENTS
from shared.settings.config import Settings, load_settings
from shared.settings.environment import PREFIX
from tests.conftest import ApiFactory
from tests.processes import environment
from tests.waiting import DEADLINE_SECONDS

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
PROFILED = {name for name, service in SERVICES.items() if "profiles" in service}
WORKERS = [name for name in SERVICES if name.startswith("worker-")]
CONSOLE_SECRETS = {"DESKBELL_CONSOLE_USERS", "DESKBELL_CONSOLE_KEY"}
SECRETS = {"DESKBELL_APPS", "REDIS_PASSWORD", "DASHBOARD_PASSWORD", "DESKBELL_CRM_TOKEN", *CONSOLE_SECRETS}


def check(service: str, replaced: str, by: object) -> int:
    """The exit status of a service's health check, with one of its words replaced."""
    kind, *words = SERVICES[service]["healthcheck"]["test"]
    words = [word.replace("$$", "$") for word in words]
    command = words if kind == "CMD" else ["sh", "-c", *words]
    local = [word.replace(replaced, str(by)) for word in command]
    return subprocess.run(local, check=False, capture_output=True).returncode


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_has_the_least_rights_bounds_and_a_health_check_that_answers_soon(name: str) -> None:
    """No disk, memory or right of the host's beyond what it needs; started again, and given time to end."""
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "container_name"} & service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["mem_limit"]
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]
    assert service["healthcheck"]["start_interval"] == "1s"
    if name not in {"redis", *PROFILED}:
        assert service["tmpfs"] == "/tmp"  # noqa: S108 - a file system of its own
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert service["init"] is True


def test_what_is_published_is_published_on_loopback() -> None:
    """Of all that speaks no TLS; rq-dashboard lets anyone delete jobs."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {
        "api": ["${API_ADDRESS:-127.0.0.1}:${API_PORT:-8000}:8000"],
        "console": ["127.0.0.1:${CONSOLE_PORT:-9182}:9182"],
        "rq-dashboard": ["127.0.0.1:${DASHBOARD_PORT:-9181}:9181"],
        "caddy": ["80:80", "443:443"],
        "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }


def test_no_secret_has_a_default() -> None:
    """Those named for what they are must be given; the path secret alone may be left out."""
    for name, kind in re.findall(r"\$\{(\w*(?:PASSWORD|TOKEN|SECRET|APPS|USERS|KEY))(:[-?]|\})", TEXT):
        assert kind == (":-" if name == "DESKBELL_PATH_SECRET" else ":?"), name


def test_a_secret_reaches_the_services_that_need_it_alone() -> None:
    """The tokens of Tencent are the api's; those of the CRM its worker's and its own."""
    holders = {secret: {name for name in SERVICES if f"${{{secret}:" in str(SERVICES[name])} for secret in SECRETS}

    assert holders["DESKBELL_APPS"] == {"api"}
    assert holders["DESKBELL_CRM_TOKEN"] == {"worker-crm", "crm"}
    assert holders["DASHBOARD_PASSWORD"] == {"rq-dashboard", "grafana"}
    assert holders["REDIS_PASSWORD"] == {*SERVICES} - {"crm"} - PROFILED
    assert all(holders[secret] == {"console"} for secret in CONSOLE_SECRETS)


def test_the_example_of_env_names_each_variable_with_its_default() -> None:
    """One line each; secrets empty, so that a copy is refused until they are filled in."""
    named = dict.fromkeys(re.findall(r"\$\{(\w+)", TEXT), "") | dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))

    lines = [line.split("=", maxsplit=1) for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line]

    assert {name: value for name, value in lines if name.isidentifier()} == named


def test_every_setting_in_the_compose_file_is_one() -> None:
    """Deskbell would refuse to start with one it does not know."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}

    for service in SERVICES.values():
        assert {name for name in service.get("environment", {}) if name.startswith(PREFIX)} <= known


def test_every_queue_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """One service for each queue, and `events` among them: a job on any other queue would wait for ever."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    queues = load_jobs(load_settings(jobs="examples.shop.jobs:jobs")).queues

    served = [queue for name in WORKERS for queue in SERVICES[name]["command"][2:]]

    assert sorted(served) == sorted((EVENTS, *queues))


def test_a_worker_is_healthy_while_its_heartbeat_is_young(tmp_path: Path) -> None:
    """Not before the first one, nor half a minute after the last."""
    file = tmp_path / "heartbeat"
    path = SERVICES["worker-crm"]["environment"][f"{PREFIX}HEARTBEAT_FILE"]

    before = check("worker-crm", path, file)
    file.touch()
    young = check("worker-crm", path, file)
    os.utime(file, (time.time() - 60, time.time() - 60))
    old = check("worker-crm", path, file)

    assert (before, young, old) == (1, 0, 1)


def test_who_answers_over_http_is_healthy_with_the_right_answer(start_api: ApiFactory) -> None:
    """The api when it is ready; not with another status, and not when nobody listens."""
    port = start_api().http.base_url.port

    assert check("api", "8000", port) == 0
    assert check("crm", "8010", port) == 1  # 404
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert check("api", "8000", silent.getsockname()[1]) == 1


def test_the_crm_is_healthy_logs_json_and_ends_with_status_0(tmp_path: Path) -> None:
    """As each role does."""
    given = {"CRM_DATABASE": str(tmp_path / "crm.db"), "DESKBELL_CRM_TOKEN": "token"}
    with running(*SERVICES["crm"]["command"][1:3], "127.0.0.1", "0", **given) as crm:
        port = next(match[1] for line in crm.stdout if (match := re.search(r"http://127\.0\.0\.1:(\d+)", line)))

        assert check("crm", "8010", port) == 0
        assert end(crm) == 0


def test_rq_dashboard_is_healthy_logs_json_and_ends_with_status_0(redis: Redis, valkey_url: str) -> None:
    """Healthy is that it asks for the password."""
    assert redis.ping()
    login = {"RQ_DASHBOARD_USERNAME": "deskbell", "RQ_DASHBOARD_PASSWORD": "password"}
    with running("-m", "deskbell", "dashboard", "--port", "0", DESKBELL_REDIS_URL=valkey_url, **login) as dashboard:
        port = json.loads(dashboard.stdout.readline())["port"]

        assert check("rq-dashboard", "9181", port) == 0
        assert end(dashboard) == 0


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[Any]:
    """A Python process."""
    command = [sys.executable, "-P", *arguments]
    with subprocess.Popen(
        command, env=environment(**variables), stdout=PIPE, stderr=STDOUT, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> int:
    """The exit status after SIGTERM, of a process whose lines are all JSON."""
    process.terminate()
    said, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert all(json.loads(line)["event"] for line in said.splitlines())
    return process.returncode


def test_grafana_is_given_a_source_that_is_prometheus_and_the_folder_of_the_dashboard() -> None:
    """As the files say: no Grafana is started in a test."""
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "deskbell.yml").read_text())["providers"]

    host, port = source["url"].removeprefix("http://").split(":")

    assert (source["type"], source["access"], host) == ("prometheus", "proxy", "prometheus")
    assert port == SERVICES[host]["ports"][0].rsplit(":", 1)[1]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert provider["type"] == "file"
    assert mounts["./deploy/grafana/deskbell.json"] == f"{provider['options']['path']}/deskbell.json"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and what follows each, continued lines in one."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def test_the_image_is_made_of_locked_dependencies_and_runs_as_nobody_in_particular() -> None:
    """Hashes are checked, the last stage takes the environment alone, is not root's and holds no setting."""
    words = instructions()
    last = words[max(number for number, (word, _) in enumerate(words) if word == "FROM") :]

    assert "--require-hashes" in next(rest for word, rest in words if word == "RUN")
    assert last[0] == ("FROM", "base")
    assert [rest for word, rest in last if word == "COPY"] == ["--from=build /opt/deskbell /opt/deskbell"]
    assert [rest for word, rest in last if word == "USER"] == ["deskbell"]
    assert PREFIX not in (ROOT / "Dockerfile").read_text()


def test_what_the_image_is_made_of_is_there_and_let_through() -> None:
    """Each source of a COPY exists, `.dockerignore` lets it pass, and the wheel's packages are among them."""
    copies = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for words in copies for source in words]
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert all((ROOT / source).exists() for source in sources)
    assert [line.removeprefix("!") for line in ignore if line.startswith("!")] == sources
    assert "*" in ignore
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]) <= set(sources)

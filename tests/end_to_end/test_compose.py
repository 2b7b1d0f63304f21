"""The containers' files, without an engine: every service of docker-compose.yml really runs, and does the main job."""

import re
import shutil
import signal
import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from redis import AuthenticationError, Redis
from rq import Worker
from rq.registry import FinishedJobRegistry

from shared.config import Settings, load_settings
from shared.environment import PREFIX
from shared.loading import load_jobs
from shared.queues import EVENTS, queue
from tests.desk import APP, TOKEN, Desk
from tests.end_to_end.compose import (
    COMPOSE_FILE,
    DOCKERFILE,
    PROGRAMS,
    ROOT,
    Composition,
    MissingVariableError,
    Service,
    eventually,
    image_environment,
    instructions,
    interpolate,
    load,
    running,
)

pytestmark = pytest.mark.timeout(600)  # a whole stack is started, more than once, on a machine that may be busy

SECRETS = {
    "DESKBELL_APPS": f'{{"{APP}": ["{TOKEN}"]}}',
    "REDIS_PASSWORD": "redis-password",
    "DASHBOARD_PASSWORD": "dashboard-password",
    "DESKBELL_CRM_TOKEN": "crm-token",
}

beside_the_sources = pytest.mark.skipif(
    not (ROOT / ".dockerignore").exists(), reason="reads sources, which are out of reach when the wheel is tested"
)


def test_every_service_runs_and_together_they_do_the_main_job(tmp_path: Path) -> None:
    """A signed callback is answered, its jobs are done; each service is healthy, discreet, and ends when told."""
    services = load(SECRETS)
    workers = [name for name in services if name.startswith("worker-")]
    others = [name for name in services if name not in workers]

    with running(services, tmp_path) as composition, connect(composition) as redis:
        composition.start("worker-crm")
        eventually(lambda: len(Worker.all(queue=queue("crm", redis))) == 2, "two workers on crm")
        answer = ring(composition)
        event = answer.headers["X-Deskbell-Event"]
        eventually(lambda: finished(redis) == {EVENTS: 1, "crm": 2, "analytics": 1}, "all jobs are done")
        contact = get_contact(composition)
        rows = analytics_rows(composition)
        locked, overview, job = look_at_dashboard(composition, event)
        checks_while_up = {name: composition.check_health(name) for name in services}
        ends = composition.end(*workers)
        left = Worker.all(redis)
        checks_of_workers_gone = {name: composition.check_health(name).returncode for name in workers}
        ends += composition.end(*others[1:])
        ends += composition.end("redis")
        checks_while_down = {name: composition.check_health(name).returncode for name in others}

    assert answer.json()["Body"] == {"OrderStatus": "shipped", "Carrier": "YTO Express"}
    assert contact["last_node"] == "order_status"
    assert contact["enquiries"] == [{"OrderID": "1002", "SystemClientUserID": "user517"}]
    assert rows == [(event, APP, "order_status", "user517", "answered")]
    assert (locked.status_code, overview.status_code, job.status_code) == (401, 200, 200)
    assert {found["name"] for found in overview.json()["queues"]} == {EVENTS, "crm", "analytics"}
    assert (job.json()["origin"], job.json()["status"]) == (EVENTS, "finished")
    for name, check in checks_while_up.items():
        assert check.returncode == 0, f"{name}: {check.stderr}"
    assert set(checks_of_workers_gone.values()) == {1}
    assert left == []
    assert 0 not in checks_while_down.values()
    logs = "".join(log.read_text() for log in tmp_path.rglob("*.log"))
    assert event in logs
    assert not [said for said in ("user517", *SECRETS.values()) if said in logs]
    assert set(ends) <= {0, -signal.SIGTERM}
    assert len(ends) == len(services) + 1


def connect(composition: Composition) -> Redis:
    """A connection to the composition's Redis, which asks for a password and keeps what it has acknowledged."""
    url = f"redis://:{SECRETS['REDIS_PASSWORD']}@{composition.address('redis')}/0"
    redis = Redis.from_url(url)
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    assert redis.config_get(*wanted) == wanted
    with Redis.from_url(f"redis://{composition.address('redis')}/0") as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    return redis


def ring(composition: Composition) -> httpx.Response:
    """Post a signed callback to the api."""
    desk = Desk(composition.url("api"))
    with desk.http:
        return desk.call("order_status", OrderID="1002", SystemClientUserID="user517")


def finished(redis: Redis) -> dict[str, int]:
    """How many jobs have been done, by queue."""
    return {name: FinishedJobRegistry(name, redis).count for name in (EVENTS, "crm", "analytics")}


def get_contact(composition: Composition) -> Any:
    """The contact as the CRM has it."""
    token = {"Authorization": f"Bearer {SECRETS['DESKBELL_CRM_TOKEN']}"}
    return httpx.get(f"{composition.url('crm')}/contacts/user517", headers=token).raise_for_status().json()


def analytics_rows(composition: Composition) -> list[tuple[Any, ...]]:
    """What analytics has written, from its volume."""
    with closing(sqlite3.connect(composition.folder_of("analytics") / "analytics.db")) as database:
        return database.execute('select id, app, node, "user", outcome from deskbell_events').fetchall()


def look_at_dashboard(composition: Composition, job_id: str) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
    """What rq-dashboard answers without its password; and with it, of the queues and of a job."""
    url = f"{composition.url('rq-dashboard')}/0/data"
    login = ("deskbell", SECRETS["DASHBOARD_PASSWORD"])
    queues, job = f"{url}/queues.json", f"{url}/job/{job_id}.json"
    return httpx.get(queues), httpx.get(queues, auth=login), httpx.get(job, auth=login)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_is_not_set_is_refused(secret: str) -> None:
    """Missing or empty alike, with its name and what to do."""
    missing = {name: value for name, value in SECRETS.items() if name != secret}

    for variables in (missing, missing | {secret: ""}):
        with pytest.raises(MissingVariableError, match=rf"^{secret}: set it in \.env to "):
            load(variables)


def test_no_variable_that_holds_a_secret_has_a_default() -> None:
    """Those named for what they are must be given; the path secret alone may be left out."""
    for name, default in re.findall(r"\$\{(\w*(?:PASSWORD|TOKEN|SECRET|APPS)):-([^}]*)\}", COMPOSE_FILE.read_text()):
        assert (name, default) == ("DESKBELL_PATH_SECRET", "")


def test_variables_resolve_as_compose_resolves_them() -> None:
    """A default for what is unset or empty, `$$` for a dollar, at any depth; no other form passes unseen."""
    given = {"A": "1", "EMPTY": ""}

    assert interpolate({"x": ["${A:-2}", "${EMPTY:-2}${B:-}", "$$A", 5]}, given) == {"x": ["1", "2", "$A", 5]}
    assert interpolate("${A:?say it}", given) == "1"
    for form in ("$A", "${A}", "${A-2}", "${A:+2}", "${A:-${B:-2}}"):
        with pytest.raises(ValueError, match=re.escape("expected $$, ${NAME:-default} or ${NAME:?message}")):
            interpolate(form, given)


@beside_the_sources
def test_the_example_of_env_names_each_variable_with_its_default() -> None:
    """One line each; secrets empty, so that a copy is refused until they are filled in."""
    text = COMPOSE_FILE.read_text()
    named = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "") | dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))

    lines = [line.split("=", maxsplit=1) for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line]

    assert {name: value for name, value in lines if name.isidentifier()} == named


def test_every_setting_in_the_compose_file_is_one() -> None:
    """Deskbell would refuse to start with one it does not know."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}

    for service in load(SECRETS).values():
        assert {name for name in service.environment if name.startswith(PREFIX)} <= known


def test_no_service_runs_a_program_that_does_not_exist() -> None:
    """Each command begins with a program that the installed packages bring, or with what redis' image holds."""
    for service in load(SECRETS).values():
        found = shutil.which(service.command[0], path=str(PROGRAMS))
        assert found or service.command[0] == "redis-server"


def test_every_queue_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """One service per queue, and `events` among them: a job on any other queue would wait for ever."""
    services = load(SECRETS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    queues = load_jobs(load_settings(jobs="examples.shop.jobs:jobs")).queues

    served = [service.command[2:] for service in services.values() if service.command[:2] == ["deskbell", "worker"]]

    assert sorted(served) == sorted([name] for name in (EVENTS, *queues))


def test_workers_scale() -> None:
    """Nothing that only one container can have: a name of its own, or a port of the host."""
    parsed = yaml.safe_load(COMPOSE_FILE.read_text())["services"]

    for name, fields in parsed.items():
        assert "container_name" not in fields
        assert ("ports" in fields) == (name in {"api", "rq-dashboard"})


def test_rq_dashboard_is_published_on_loopback_alone() -> None:
    """Whoever opens it can delete jobs."""
    parsed = interpolate(yaml.safe_load(COMPOSE_FILE.read_text()), SECRETS)["services"]

    assert parsed["rq-dashboard"]["ports"] == ["127.0.0.1:9181:9181"]


def test_every_service_waits_for_redis_and_comes_back() -> None:
    """Started when Redis answers, again after a crash, and given time to end."""
    parsed = yaml.safe_load(COMPOSE_FILE.read_text())["services"]

    for name, fields in parsed.items():
        assert fields["restart"] == "unless-stopped"
        assert fields["stop_grace_period"]
        if name != "redis":
            assert fields["depends_on"] == {"redis": {"condition": "service_healthy"}}
            assert fields["init"] is True


def test_a_secret_reaches_the_services_that_need_it_alone() -> None:
    """The tokens of Tencent are the api's; those of the CRM its worker's and its own."""

    def holders(secret: str) -> set[str]:
        return {name for name, service in load(SECRETS).items() if _holds(service, SECRETS[secret])}

    assert holders("DESKBELL_APPS") == {"api"}
    assert holders("DESKBELL_CRM_TOKEN") == {"worker-crm", "crm"}
    assert holders("DASHBOARD_PASSWORD") == {"rq-dashboard"}
    assert "crm" not in holders("REDIS_PASSWORD")


def _holds(service: Service, secret: str) -> bool:
    return any(secret in text for text in [*service.command, *service.environment.values()])


def test_the_compose_file_mounts_volumes_that_it_declares() -> None:
    """A named volume that nobody declares is refused by compose; one that nobody mounts is a mistake."""
    declared = yaml.safe_load(COMPOSE_FILE.read_text())["volumes"]
    mounted = {source for service in load(SECRETS).values() for source in service.volumes.values()}

    assert mounted == {*declared, "./examples"}


def test_the_image_is_made_in_two_stages_from_locked_dependencies() -> None:
    """Hashes are checked, nothing is fetched for the wheel, and the last stage takes the environment alone."""
    words = instructions()
    stages = [rest for word, rest in words if word == "FROM"]
    runs = [rest for word, rest in words if word == "RUN"]

    assert len(stages) == 2
    assert stages[1].endswith("-slim")
    assert any("--require-hashes" in run and "requirements.lock" in run for run in runs)
    assert any("pip wheel --no-index --no-deps --no-build-isolation" in run for run in runs)
    copied = [rest for word, rest in words[words.index(("FROM", stages[1])) :] if word == "COPY"]
    assert copied == ["--from=build /opt/deskbell /opt/deskbell"]


def test_the_image_runs_as_nobody_in_particular_and_holds_no_setting() -> None:
    """Not as root; no module from the working folder; output at once; nothing that a deployment must bring."""
    users = [rest for word, rest in instructions() if word == "USER"]

    assert users == ["deskbell"]
    assert image_environment() == {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    assert PREFIX not in DOCKERFILE.read_text()


@beside_the_sources
def test_what_the_image_is_made_of_is_there_and_let_through() -> None:
    """Each source of a COPY exists, `.dockerignore` lets it pass, and the wheel's packages are among them."""
    copies = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for words in copies for source in words]
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert all((ROOT / source).exists() for source in sources)
    assert [line.removeprefix("!") for line in ignore if line.startswith("!")] == sources
    assert "*" in ignore
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(sources)

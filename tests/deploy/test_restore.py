"""What restores Redis: the script, and the commands of docs/how-to/backups-and-moves.md, which name what there is."""

import re
import subprocess
from pathlib import Path

import yaml

from tests.debian import program
from tests.deploy.kubernetes.kinds import RELEASES, problems
from tests.deploy.kubernetes.kustomized import FOLDER, containers, of_kind, pod

ROOT = FOLDER.parents[1]
PAGE = (ROOT / "docs" / "how-to" / "backups-and-moves.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_what_is_no_copy_of_redis_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """In one sentence, after what Redis said of it; and what a restore took away is not overwritten by the next."""
    program("redis-server", "redis-server")
    data, before = tmp_path / "data", tmp_path / "data" / "before"
    (data / "appendonlydir").mkdir(parents=True)
    (data / "dump.rdb").write_text("yesterday's")
    command = ["sh", str(ROOT / "deploy" / "redis-restore.sh"), str(data)]

    wrong = subprocess.run(command, input=b"junk", capture_output=True, timeout=60, check=False)
    left = {path.name for path in data.iterdir()}
    before.mkdir()
    again = subprocess.run(command, input=b"junk", capture_output=True, timeout=60, check=False)

    said = "expected the dump.rdb of a Redis on standard input: nothing was changed"
    assert (wrong.returncode, wrong.stderr.decode().splitlines()[-1]) == (1, said)
    assert left == {"appendonlydir", "dump.rdb"}
    assert (data / "dump.rdb").read_text() == "yesterday's"
    assert again.returncode == 1
    assert b"expected no folder 'before' here" in again.stderr


def test_the_commands_for_compose_name_what_the_file_has() -> None:
    """The service, its folder, and its password, which redis-cli takes from the environment."""
    commands = re.findall(r"^docker compose (\w+) (.*)", PAGE, re.MULTILINE)
    named = [re.sub(r"--?[\w-]+ ", "", words).split()[0].partition(":")[0] for _, words in commands]

    assert [verb for verb, _ in commands] == ["exec", "exec", "cp", "stop", "run", "start"]
    assert set(named) == {"redis"}
    assert COMPOSE["redis"]["volumes"] == ["redis:/data"]
    assert "REDISCLI_AUTH" in COMPOSE["redis"]["environment"]


def test_the_commands_for_kubernetes_name_what_the_manifests_have() -> None:
    """The pod that restores has the volume, image, user and rights of the first server, and fits the schemas."""
    restore = yaml.safe_load((FOLDER / "restore.yaml").read_text())
    redis, server = of_kind("StatefulSet")["deskbell-redis"], containers()["deskbell-redis/redis"]
    (container,) = restore["spec"]["containers"]
    volume = redis["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]
    claims = [f"{volume}-deskbell-redis-{number}" for number in range(redis["spec"]["replicas"])]
    as_workload = redis | {"spec": redis["spec"] | {"template": {"spec": restore["spec"]}}}

    assert restore["spec"]["volumes"] == [{"name": volume, "persistentVolumeClaim": {"claimName": claims[0]}}]
    assert re.findall(r"data-deskbell[\w-]+", PAGE) == claims[1:]
    assert restore["spec"]["securityContext"] == pod(redis)["securityContext"]
    assert {name: container[name] for name in container.keys() - {"command", "volumeMounts"}} == {
        name: server[name] for name in ("name", "image", "workingDir", "resources", "securityContext")
    }
    assert container["volumeMounts"] == server["volumeMounts"]
    assert [problem for release in RELEASES for problem in problems(as_workload, release)] == []
    commands = re.findall(
        r"^kubectl -n (\w+) .*?(?:statefulset/|pod/|exec |pod |-i )(deskbell-[\w-]+)", PAGE, re.MULTILINE
    )
    assert {namespace for namespace, _ in commands} == {
        restore["metadata"]["namespace"],
        redis["metadata"]["namespace"],
    }
    assert {name for _, name in commands} == {"deskbell-redis", "deskbell-redis-0", restore["metadata"]["name"]}
    assert f"--replicas={redis['spec']['replicas']}" in PAGE
    label = re.search(r"-l app\.kubernetes\.io/component=(\w+)", PAGE)
    assert label
    assert label[1] == redis["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]

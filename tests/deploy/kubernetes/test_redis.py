"""The Redis of the overlay `sentinel`, by its own scripts: a pod is a network namespace, named in `/etc/hosts`."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.chaos.hosts.network import missing
from tests.debian import program
from tests.deploy.kubernetes.kustomized import FOLDER, containers
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # a failover, on a machine that may be busy

PATIENCE_SECONDS = 90
PASSWORD = "a1b2c3"
PODS = (0, 1, 2)
SWITCH = "switch"


def run(*words: str) -> str:
    """Run a command to its end; what it printed."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


class Pods:
    """Three pods of a StatefulSet: servers and sentinels; volumes and addresses that outlive them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"deskbell-{uuid.uuid4().hex[:8]}"
        self._processes: dict[int, list[subprocess.Popen[bytes]]] = {pod: [] for pod in PODS}
        self._namespaces: list[str] = []

    def connect(self) -> None:
        """Make the network: a switch, and a cable from it to each pod."""
        hosts = ["127.0.0.1 localhost"]
        switch = self._add_namespace(SWITCH)
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", switch, "addr", "add", "10.99.0.100/24", "dev", "br0")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        for pod in PODS:
            here = self._add_namespace(str(pod))
            run("ip", "-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", f"pod{pod}", "netns", switch)
            run("ip", "-n", here, "addr", "add", f"{_address(pod)}/24", "dev", "eth0")
            run("ip", "-n", here, "link", "set", "eth0", "up")
            run("ip", "-n", here, "link", "set", "lo", "up")
            run("ip", "-n", switch, "link", "set", f"pod{pod}", "master", "br0", "up")
            hosts.append(f"{_address(pod)} deskbell-redis-{pod}.deskbell-redis")
        (self._folder / "hosts").write_text("\n".join([*hosts, ""]))

    def start(self, pod: int) -> None:
        """Start the containers of a pod, on the volume that it has, or a new one."""
        volume = self._folder / str(pod)
        volume.mkdir(exist_ok=True)
        env = {
            "PATH": os.environ["PATH"],
            "POD": f"deskbell-redis-{pod}",
            "REDIS_PASSWORD": PASSWORD,
            "REDISCLI_AUTH": PASSWORD,
        }
        before = f'mount --bind "{self._folder}/hosts" /etc/hosts && exec "$@"'
        for name in ("redis", "sentinel"):
            command = [part.replace(" 5000", " 1000") for part in containers()[f"deskbell-redis/{name}"]["command"]]
            inside = ["ip", "netns", "exec", f"{self._name}-{pod}", "sh", "-c", before, "sh"]
            log = (self._folder / f"{name}-{pod}.log").open("ab")
            with log:
                process = subprocess.Popen([*inside, *command], cwd=volume, env=env, stdout=log, stderr=log)
            self._processes[pod].append(process)

    def kill(self, pod: int) -> None:
        """End the containers of a pod as a lost node does."""
        for process in self._processes[pod]:
            process.kill()
            process.wait()
        self._processes[pod] = []

    def lose_volume(self, pod: int) -> None:
        """Have a pod begin with an empty volume."""
        shutil.rmtree(self._folder / str(pod))

    def restore(self, pod: int, copy: bytes) -> None:
        """Restore a copy on the volume of a pod that is away."""
        script = FOLDER.parent / "redis-restore.sh"
        subprocess.run(["sh", script, self._folder / str(pod)], input=copy, timeout=PATIENCE_SECONDS, check=True)

    def volume(self, pod: int) -> Path:
        """The folder that is the volume of a pod."""
        return self._folder / str(pod)

    def ask(self, pod: int, *words: str, port: int = 6379) -> str:
        """What a server, or a sentinel, answers; "" if it does not."""
        password = ["-a", PASSWORD, "--no-auth-warning"] if port == 6379 else []
        client = ["redis-cli", "-h", _address(pod), "-p", str(port), *password, *words]
        command = ["ip", "netns", "exec", f"{self._name}-{SWITCH}", *client]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()

    def masters(self, *pods: int) -> set[str]:
        """Who is the master, in the eyes of these sentinels."""
        return {self.ask(pod, "sentinel", "get-master-addr-by-name", "deskbell", port=26379) for pod in pods}

    def close(self) -> None:
        """Leave nothing behind."""
        for pod in PODS:
            self.kill(pod)
        for namespace in self._namespaces:
            run("ip", "netns", "del", namespace)

    def _add_namespace(self, name: str) -> str:
        namespace = f"{self._name}-{name}"
        run("ip", "netns", "add", namespace)
        self._namespaces.append(namespace)
        return namespace


def _address(pod: int) -> str:
    return f"10.99.0.{pod + 1}"


def _name(pod: int) -> str:
    return f"deskbell-redis-{pod}.deskbell-redis\n6379"


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    """All three, running."""
    program("redis-server", "redis-server")
    if lacking := missing():
        pytest.skip(f"network namespaces need {lacking}")
    found = Pods(tmp_path)
    try:
        found.connect()
        for pod in PODS:
            found.start(pod)
        yield found
    finally:
        found.close()


def test_a_lost_master_is_replaced_and_takes_no_writes_when_it_comes_back_empty(pods: Pods) -> None:
    """What was acknowledged is on the new master, and the old one becomes its replica."""
    until(lambda: pods.masters(*PODS) == {_name(0)}, PATIENCE_SECONDS)
    until(lambda: all("slaves=2,sentinels=3" in pods.ask(pod, "info", port=26379) for pod in PODS), PATIENCE_SECONDS)
    until(lambda: pods.ask(0, "set", "event", "kept") == "OK", PATIENCE_SECONDS)
    assert pods.ask(0, "wait", "2", "10000") == "2"

    pods.kill(0)
    pods.lose_volume(0)
    until(lambda: pods.masters(1, 2) in ({_name(1)}, {_name(2)}), PATIENCE_SECONDS)
    (master,) = (pod for pod in (1, 2) if pods.masters(1) == {_name(pod)})
    assert pods.ask(master, "get", "event") == "kept"

    pods.start(0)
    answers = set()

    def is_replica() -> bool:
        answers.add(pods.ask(0, "set", "event", "lost").partition(" ")[0])
        pods.ask(0, "wait", "1", "500")  # as long as it is a master without a replica, this takes half a second
        return pods.ask(0, "get", "event") == "kept"

    until(is_replica, PATIENCE_SECONDS)
    assert "OK" not in answers
    until(lambda: pods.masters(*PODS) == {_name(master)}, PATIENCE_SECONDS)


def test_a_restored_copy_is_what_the_first_server_and_its_replicas_have(pods: Pods) -> None:
    """Also where another was the master before: what the first one knew of that is taken away."""
    until(lambda: pods.ask(0, "set", "event", "kept") == "OK", PATIENCE_SECONDS)
    pods.ask(0, "save")
    copy = (pods.volume(0) / "dump.rdb").read_bytes()
    until(lambda: pods.ask(0, "set", "event", "later") == "OK", PATIENCE_SECONDS)
    for pod in PODS:
        pods.kill(pod)
    (pods.volume(0) / "redis.conf").write_text("replicaof deskbell-redis-1.deskbell-redis 6379\n")
    pods.lose_volume(1)
    pods.lose_volume(2)

    pods.restore(0, copy)
    for pod in PODS:
        pods.start(pod)

    until(lambda: [pods.ask(pod, "get", "event") for pod in PODS] == ["kept"] * len(PODS), PATIENCE_SECONDS)
    until(lambda: pods.masters(*PODS) == {_name(0)}, PATIENCE_SECONDS)

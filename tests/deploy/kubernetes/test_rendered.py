"""The manifests together: names that lead somewhere, pods that nobody can take over, times that fit."""

import json
import subprocess
from itertools import chain
from typing import Any

import pytest
import yaml

from shared.settings.config import Settings
from tests.deploy.kubernetes.kustomized import FOLDER, OVERLAYS, containers, kubectl, of_kind, pod, rendered, workloads

MARGIN_SECONDS = 5
"""What docs/how-to/operate.md tells to add to DESKBELL_GRACE_SECONDS."""
SECRETS = {"deskbell-redis", "deskbell-api", "deskbell-worker", "deskbell-console", "deskbell-redis-password"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_renders_the_same(overlay: str) -> None:
    """So that these tests are about what is applied."""
    built = subprocess.run([kubectl(), "kustomize", FOLDER / overlay], capture_output=True, check=True)

    assert _sorted(yaml.safe_load_all(built.stdout)) == _sorted(rendered(FOLDER / overlay))


def _sorted(resources: Any) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in resources)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_resource_is_there_once(overlay: str) -> None:
    """By kind and name."""
    named = [(each["kind"], each["metadata"]["name"]) for each in rendered(FOLDER / overlay)]

    assert len({*named}) == len(named)


def test_no_secret_is_in_the_manifests() -> None:
    """Each is named by what uses it, made by hand, and known to the guide."""
    assert of_kind("Secret") == {}
    named = set()
    for container in containers().values():
        named |= {each["secretRef"]["name"] for each in container.get("envFrom", []) if "secretRef" in each}
        references = [each.get("valueFrom", {}).get("secretKeyRef") for each in container.get("env", [])]
        named |= {each["name"] for each in references if each}
    guide = (FOLDER.parents[1] / "docs" / "how-to" / "kubernetes.md").read_text()

    assert named == SECRETS
    assert [name for name in SECRETS if f"create secret generic {name} " not in guide] == []


@pytest.mark.parametrize("name", workloads())
def test_a_pod_has_no_rights(name: str) -> None:
    """Not root, no capability, a read-only file system, no account of the cluster, and an end to its memory."""
    spec = pod(workloads()[name])

    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    assert (
        spec["securityContext"].items()
        >= {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }.items()
    )
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}
        assert "readinessProbe" in container


@pytest.mark.parametrize("name", [name for name in workloads() if "redis" not in name])
def test_a_pod_is_given_the_time_that_it_takes_to_end(name: str) -> None:
    """`preStop`, then the grace period, then what must be written; only then is it killed."""
    spec = pod(workloads()[name])
    (container,) = spec["containers"]
    grace = {each["name"]: each["value"] for each in container.get("env", [])}.get(
        "DESKBELL_GRACE_SECONDS", Settings.model_fields["grace_seconds"].default
    )
    waits = container.get("lifecycle", {}).get("preStop", {"exec": {"command": ["sleep", "0"]}})["exec"]["command"]

    assert spec["terminationGracePeriodSeconds"] >= int(waits[1]) + float(grace) + MARGIN_SECONDS


def test_an_api_that_leaves_waits_until_nobody_calls_it_any_more() -> None:
    """At SIGTERM it accepts no more connections: the endpoints must be gone by then. Others need no wait."""
    assert [name for name, each in containers().items() if "lifecycle" in each] == ["deskbell-api/api"]


def test_selectors_find_the_pods_that_are_meant() -> None:
    """Of services, disruption budgets, policies, spreads: each finds some, and a workload its own alone."""
    labels = {name: each["spec"]["template"]["metadata"]["labels"] for name, each in workloads().items()}

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, each in labels.items() if each.items() >= selector.items()}

    for name, each in workloads().items():
        assert found(each["spec"]["selector"]["matchLabels"]) == {name}
        for spread in pod(each).get("topologySpreadConstraints", []):
            assert found(spread["labelSelector"]["matchLabels"]) == {name}
    for name, service in of_kind("Service").items():
        assert found(service["spec"]["selector"]) == {name}
    for budget in of_kind("PodDisruptionBudget").values():
        assert found(budget["spec"]["selector"]["matchLabels"])
    for policy in of_kind("NetworkPolicy").values():
        peers = chain.from_iterable(rule.get("from", []) for rule in policy["spec"].get("ingress", []))
        selectors = [policy["spec"]["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]
        assert all(found(selector.get("matchLabels", {})) for selector in selectors)


def test_policies_let_in_what_services_and_redis_listen_on() -> None:
    """By the numbers of the containers' ports."""
    for name, ports in {"to-api": {8000}, "to-console": {9182}, "to-redis": {6379, 26379}}.items():
        policy = of_kind("NetworkPolicy")[name]["spec"]
        (rule,) = policy["ingress"]
        selected = policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        listening = {
            port["containerPort"]
            for container in pod(workloads()[f"deskbell-{selected}"])["containers"]
            for port in container["ports"]
        }
        assert {port["port"] for port in rule["ports"]} == ports == listening

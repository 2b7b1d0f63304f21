"""Renders `deploy/kubernetes`, which uses as little of Kustomize as can be: resources, and the namespace."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
OVERLAYS = ("managed", "sentinel")
Resource = dict[str, Any]


@cache
def _read(path: Path) -> str:
    return path.read_text()


def rendered(folder: Path) -> list[Resource]:
    """The resources of a folder with a kustomization.yaml, as `kubectl kustomize` gives them."""
    kustomization = yaml.safe_load(_read(folder / "kustomization.yaml"))
    known = {"apiVersion", "kind", "namespace", "resources"}
    assert kustomization.keys() <= known, f"not rendered here: {kustomization.keys() - known}"
    found: list[Resource] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += rendered(path.resolve()) if path.is_dir() else yaml.safe_load_all(_read(path))
    for resource in found:
        if resource["kind"] != "Namespace":
            resource["metadata"]["namespace"] = kustomization["namespace"]
    return found


def of_kind(kind: str, overlay: str = "sentinel") -> dict[str, Resource]:
    """The resources of a kind by name."""
    return {each["metadata"]["name"]: each for each in rendered(FOLDER / overlay) if each["kind"] == kind}


def workloads(overlay: str = "sentinel") -> dict[str, Resource]:
    """What has pods, by name."""
    return of_kind("Deployment", overlay) | of_kind("StatefulSet", overlay)


def pod(workload: Resource) -> Resource:
    """The specification of its pods."""
    found: Resource = workload["spec"]["template"]["spec"]
    return found


def containers(overlay: str = "sentinel") -> dict[str, Resource]:
    """Every container, by the name of what it is of and its own."""
    return {
        f"{name}/{container['name']}": container
        for name, workload in workloads(overlay).items()
        for container in pod(workload)["containers"]
    }


def kubectl() -> str:
    """The program; without one that has Kustomize 4 or later, nothing is compared: Debian 12's is older."""
    path = shutil.which("kubectl") or ""
    version = subprocess.run([path or "false", "version", "--client", "-o", "json"], capture_output=True, check=False)
    if version.returncode or "kustomizeVersion" not in json.loads(version.stdout):
        pytest.skip("no kubectl with Kustomize 4 or later is here")
    return path

"""Kubernetes' own schemas (`tools/kubernetes_schemas.py` cuts them out), and one of KEDA's after its documentation."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import validator_for

FOLDER = Path(__file__).parent / "schemas"
RELEASES = sorted(path.stem for path in FOLDER.glob("*.json"))
"""The oldest release of Kubernetes that is promised, and the newest."""
GROUPS = {
    "v1": "io.k8s.api.core.v1",
    "apps/v1": "io.k8s.api.apps.v1",
    "autoscaling/v2": "io.k8s.api.autoscaling.v2",
    "networking.k8s.io/v1": "io.k8s.api.networking.v1",
    "policy/v1": "io.k8s.api.policy.v1",
}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required.split(),
    }


COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}
NUMBER = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}
RULES = _object(
    "policies",
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={
        "type": "array",
        "items": _object(
            "type value periodSeconds", type={"enum": ["Pods", "Percent"]}, value=COUNT, periodSeconds=COUNT
        ),
    },
)
SCALED_OBJECT = _object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata={"type": "object"},
    spec=_object(
        "scaleTargetRef triggers",
        scaleTargetRef=_object("name", name=TEXT, kind=TEXT, apiVersion=TEXT, envSourceContainerName=TEXT),
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        advanced=_object(
            restoreToOriginalReplicaCount={"type": "boolean"},
            horizontalPodAutoscalerConfig=_object(name=TEXT, behavior=_object(scaleUp=RULES, scaleDown=RULES)),
        ),
        triggers={
            "type": "array",
            "items": _object(
                "type metadata",
                type={"const": "prometheus"},
                name=TEXT,
                metricType={"enum": ["AverageValue", "Value"]},
                metadata=_object(
                    "serverAddress query threshold",
                    serverAddress={"type": "string", "pattern": "^https?://"},
                    query=TEXT,
                    threshold=NUMBER,
                    activationThreshold=NUMBER,
                    ignoreNullValues={"enum": ["true", "false"]},
                ),
            ),
        },
    ),
)
"""keda.sh/docs/2.15, "ScaledObject specification" and "Prometheus", as far as it is used here; metadata are strings."""


@cache
def _definitions(release: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{release}.json").read_text())
    return found


def problems(resource: dict[str, Any], release: str) -> list[str]:
    """What does not fit a resource's schema, and where; a field that does not exist does not fit."""
    schema = SCALED_OBJECT
    if resource["kind"] != "ScaledObject":
        kind = f"{GROUPS[resource['apiVersion']]}.{resource['kind']}"
        schema = {"$ref": f"#/$defs/{kind}"} | _definitions(release)
    name = f"{resource['kind']} {resource['metadata']['name']}"
    return [f"{name}: {error.instance_path}: {error.message}" for error in validator_for(schema).iter_errors(resource)]

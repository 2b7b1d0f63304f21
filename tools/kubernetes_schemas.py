"""Kubernetes' own schemas of the kinds in deploy/kubernetes, cut out of the wheel of kubernetes-validate.

The wheel is 110 MB in 17,000 files; tests/deploy/kubernetes/kinds.py needs two. Schemas are strict (a field that does
not exist is refused) and without descriptions, of the oldest release that docs/how-to/kubernetes.md promises and of the
newest. To renew them:

    pip download --no-deps --dest build kubernetes-validate
    python -m tools.kubernetes_schemas build/kubernetes_validate-*.whl
"""

import json
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

FOLDER = Path(__file__).parents[1] / "tests" / "deploy" / "kubernetes" / "schemas"
RELEASES = ("1.27.0", "1.37.0")
KINDS = (
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.networking.v1.Ingress",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
)
_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')


def schemas(wheel: ZipFile, release: str) -> dict[str, Any]:
    """The definitions of all kinds and of what they refer to."""
    folder = f"kubernetes_validate/kubernetes-json-schema/v{release}-local-strict"
    known = json.loads(wheel.read(f"{folder}/_definitions.json"))["$defs"]
    found: dict[str, Any] = {}
    wanted = [*KINDS]
    while wanted:
        name = wanted.pop()
        if name not in found:
            text = json.dumps(_bare(known[name]))
            wanted += _REFERENCE.findall(text)
            found[name] = json.loads(text)
    return dict(sorted(found.items()))


def _bare(schema: Any) -> Any:
    """A schema without its descriptions; a property may be called so, and is then a schema itself."""
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "description" or isinstance(value, dict)}
    return [_bare(each) for each in schema] if isinstance(schema, list) else schema


def main() -> None:
    """Write a file for each release."""
    FOLDER.mkdir(exist_ok=True)
    with ZipFile(sys.argv[1]) as wheel:
        for release in RELEASES:
            lines = (f"{json.dumps(name)}: {json.dumps(text)}" for name, text in schemas(wheel, release).items())
            (FOLDER / f"{release}.json").write_text('{"$defs": {\n' + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main()

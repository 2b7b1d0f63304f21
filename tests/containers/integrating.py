"""An integrator's image, code and variables: `tests/containers/run`."""

import re
import shutil

import pytest

from tests.containers.project import ROLES, ROOT, Stack, run

pytestmark = pytest.mark.timeout(600)

DEPLOYING = (ROOT / "docs" / "how-to" / "deploy.md").read_text()

ACME = """
import os
import tomli_w
from deskbell import Callbacks

callbacks = Callbacks()

@callbacks.api_call("greeting")
def greeting() -> dict[str, str]:
    return {"Greeting": tomli_w.dumps({"said": os.environ["ACME_GREETING"]}).strip()}
"""


def test_an_integrators_code_libraries_and_variables_are_found(stack: Stack) -> None:
    """The Dockerfile and the commands of deploy.md; what IMAGE names is never built over."""
    acme = stack.folder / "acme"
    acme.mkdir()
    (acme / "Dockerfile").write_text(re.findall(r"```dockerfile\n(.*?)```", DEPLOYING, re.DOTALL)[0])
    (acme / "requirements.txt").write_text("tomli-w\n")
    (acme / "desk.py").write_text(ACME)
    (stack.folder / "app.env").write_text("ACME_GREETING='good day'\nDESKBELL_RECORD_MB=500\n")
    [commands] = re.findall(r"```sh\n(docker compose build.*?)```", DEPLOYING, re.DOTALL)
    stack.set(IMAGE="acme", APP_FOLDER="./acme", DESKBELL_CALLBACKS="desk:callbacks")
    shutil.copytree(stack.folder / "examples" / "shop", acme / "shop")

    run(["sh", "-e", "-c", commands], cwd=stack.folder)
    stack.up()
    image = run(["docker", "image", "inspect", "--format", "{{.Id}}", "acme"])
    answer = stack.send("greeting")
    stack.up("--build")

    assert 'said = "good day"' in answer.replace("\\", "")
    assert run(["docker", "image", "inspect", "--format", "{{.Id}}", "acme"]) == image
    for service in sorted(ROLES):
        ours = service in {"rq-dashboard", "crm"}
        config = stack.inspect(service)["Config"]
        assert config["Image"] == ("deskbell" if ours else "acme")
        assert ("ACME_GREETING=good day" in config["Env"]) != ours
        assert ("DESKBELL_RECORD_MB=500" in config["Env"]) != ours

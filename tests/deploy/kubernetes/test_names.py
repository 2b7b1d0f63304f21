"""What the manifests name of Deskbell exists: commands, options, queues' names, settings."""

from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from deskbell.cli.main import app
from shared.settings.config import Settings
from shared.settings.environment import PREFIX
from tests.deploy.kubernetes.kustomized import containers, of_kind, workloads

OURS = {name: each for name, each in containers().items() if each["image"] == "deskbell"}
SETTINGS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("name", OURS)
def test_a_command_has_words_and_options_that_there_are(name: str) -> None:
    """As the command itself would read them."""
    program, role, *words = OURS[name]["command"]
    command: Any = typer.main.get_command(app)

    assert program == "deskbell"
    try:
        command.commands[role].make_context(role, list(words))
    except TyperException as error:
        pytest.fail(error.format_message())


def test_every_setting_is_one() -> None:
    """A variable that begins like a setting and is none keeps a process from starting."""
    named = {each["name"] for container in OURS.values() for each in container.get("env", [])}

    assert {*of_kind("ConfigMap")["deskbell"]["data"], *named} <= SETTINGS


def test_each_queue_has_one_worker_and_a_worker_is_scaled_by_its_own_queues() -> None:
    """All but for the queues and the name is the same in every worker."""
    workers = {name: each for name, each in workloads().items() if name.startswith("deskbell-worker-")}
    queues: list[str] = []
    bare = []
    for name, worker in workers.items():
        (container,) = worker["spec"]["template"]["spec"]["containers"]
        own = container["command"][2:]
        queues += own
        for trigger in of_kind("ScaledObject")[name]["spec"]["triggers"]:
            selector = f'queue="{own[0]}"' if len(own) == 1 else f'queue=~"{"|".join(own)}"'
            query = trigger["metadata"]["query"]
            assert query.count(selector) == query.count("queue=") == query.count("deskbell_")
        bare.append(
            str(worker).replace(str(container["command"]), "").replace(name.removeprefix("deskbell-worker-"), "")
        )

    assert "events" in queues
    assert len({*queues}) == len(queues)
    assert len({text.replace("'cpu': '250m'", "'cpu': '100m'") for text in bare}) == 1

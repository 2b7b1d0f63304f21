"""The users of Redis that the documents have, with the test's passwords."""

import re
import subprocess
from pathlib import Path

from shared.keys import PREFIX

GUIDES = Path(__file__).parent.parent / "docs" / "how-to"
PASSWORDS = {
    "API-PASSWORD": "api-password",
    "WORKER-PASSWORD": "worker-password",
    "SENTINEL-PASSWORD": "sentinel-password",
}


def documented_users() -> list[str]:
    """The lines of operate.md: of the api, of the workers, and of a sentinel, for the keys of this process."""
    blocks = re.findall(r"```acl\n(.*?)```", (GUIDES / "operate.md").read_text(), re.DOTALL)
    text = "".join(blocks)
    for placeholder, password in PASSWORDS.items():
        text = text.replace(placeholder, password)
    return re.sub(r"([~&])(rq|deskbell):", rf"\1{PREFIX}\2:", text).splitlines()


def users_of_a_cluster(folder: Path) -> list[str]:
    """The first two for all shards of a cluster, as the command of shards.md makes them."""
    (line,) = re.findall("^sed .*$", (GUIDES / "shards.md").read_text(), re.MULTILINE)
    (folder / "users.acl").write_text("\n".join([*documented_users()[:2], ""]))
    subprocess.run(["sh", "-c", line], cwd=folder, check=True)
    return (folder / "cluster.acl").read_text().splitlines()

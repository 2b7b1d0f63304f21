"""Known vulnerabilities of the packages that `requirements.lock` names; `make check` runs this.

pip-audit asks a service on the network. Where that cannot be asked, or knows none of the packages, nothing is found and
nothing is claimed: a line says so, and the check goes on.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_SECONDS = 60
_COMMAND = [
    "pip-audit",
    "--disable-pip",
    "--no-deps",
    "--progress-spinner",
    "off",
    "--timeout",
    "5",
    "--format",
    "json",
]


def audit(lock: Path, program: Path, seconds: float = _SECONDS) -> list[str]:
    """Ask about every package of a lock file.

    Args:
        lock: the file.
        program: pip-audit.
        seconds: how long the service may take for all of it.

    Returns:
        The vulnerabilities, a line for each.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        command = [str(program), *_COMMAND[1:], "--requirement", str(lock), "--output", str(found)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            _say(f"not done: the service has not answered in {seconds:.0f} s")
            return []
        if not found.exists() or not found.read_text():
            _say(f"not done: {_last_line(done.stderr)}")
            return []
        return _vulnerabilities(json.loads(found.read_text())["dependencies"])


def _vulnerabilities(packages: list[dict[str, Any]]) -> list[str]:
    known = [package for package in packages if "skip_reason" not in package]
    if known:
        _say(f"{len(known)} of {len(packages)} packages are known to the service")
    else:
        _say("not done: the service knows none of the packages")
    return [_in_words(package, each) for package in known for each in package["vulns"]]


def _in_words(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
    return f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}"


def _last_line(text: str) -> str:
    """What the program said last, without what it said it of: that may be long, and name hosts."""
    return text.strip().rpartition("\n")[2].partition(": ")[0][:80] or "it said nothing"


def _say(text: str) -> None:
    sys.stdout.write(f"audit: {text}\n")


if __name__ == "__main__":
    vulnerabilities = audit(Path("requirements.lock"), Path(sys.executable).with_name("pip-audit"))
    sys.exit("\n".join(vulnerabilities) or None)

"""A release: the version of the changelog, the packages and their check, the bill of materials, the text of the tag.

1. `version X.Y.Z` gives the changelog's "Unreleased" that version, and pyproject.toml too. A person commits that.
2. `release DIST` takes what is committed, nothing else. It builds the packages twice, from two folders, and refuses
   those that differ by a byte; it installs the wheel in an empty environment for each Python and plays the demo there.
3. It writes the bill of materials, the changelog's section, the sums and the text of a tag, which a person signs.

    python -m tools.release version 0.2.0
    python -m tools.release release dist
    python -m tools.release packages dist

The last one only builds. Nothing is pushed and nothing is uploaded.
"""

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_BIN = Path(sys.executable).parent
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_UNRELEASED = "## [Unreleased]\n"


class ReleaseError(Exception):
    """What is missing for a release, and what to do, in a sentence."""


def give_version(root: Path, version: str, day: dt.date) -> None:
    """Give the changelog's "Unreleased" a version, and pyproject.toml the same.

    Args:
        root: of the project.
        version: such as `0.2.0`; higher than all that the changelog has.
        day: of the release.

    Raises:
        ReleaseError: it is no such version, or changelog or upgrade page say nothing of it.
    """
    changelog = (root / "CHANGELOG.md").read_text()
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"expected a version such as 0.2.0, got {version!r}")
    for released in re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE):
        if _numbers(version) <= _numbers(released):
            raise ReleaseError(f"{version} is not higher than {released}, which CHANGELOG.md has as released")
    if not section(changelog, "Unreleased"):
        raise ReleaseError('CHANGELOG.md has nothing under "Unreleased": write what changes for the reader')
    if f"## {version}\n" not in (root / "docs" / "how-to" / "upgrade.md").read_text():
        raise ReleaseError(f"docs/how-to/upgrade.md has no section {version}: write what to do for it")
    dated = changelog.replace(_UNRELEASED, f"{_UNRELEASED}\n## [{version}] - {day.isoformat()}\n", 1)
    (root / "CHANGELOG.md").write_text(dated)
    project = root / "pyproject.toml"
    project.write_text(
        re.sub(r'^version = ".*"$', f'version = "{version}"', project.read_text(), count=1, flags=re.MULTILINE)
    )


def section(changelog: str, name: str) -> str:
    """What the changelog says of a version, without its heading; "" if it has none, or an empty one."""
    found = re.search(rf"^## \[{re.escape(name)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def build_packages(root: Path, dist: Path) -> list[Path]:
    """Build sdist and wheel of what is committed, twice, each in a folder of its own; the wheel from the sdist.

    Args:
        root: of the project, a Git repository.
        dist: the folder they are put in; what lies there is removed first.

    Returns:
        The two files.

    Raises:
        ReleaseError: the builds differ.
    """
    epoch = _git(root, "log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory() as scratch:
        builds = [_build(root, Path(scratch) / name, epoch) for name in ("first", "second")]
        refuse_differing(*builds)
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(builds[0], dist)
    return sorted(dist.iterdir())


def refuse_differing(first: Path, second: Path) -> None:
    """Compare two folders of packages.

    Raises:
        ReleaseError: a file differs, or is in one only.
    """
    one, other = sums(sorted(first.iterdir())), sums(sorted(second.iterdir()))
    if one != other:
        names = sorted({line.split()[1] for line in set(one) ^ set(other)})
        raise ReleaseError(f"two builds of one commit differ in {', '.join(names)}")


def sums(files: list[Path]) -> list[str]:
    """The SHA-256 of each file, as `sha256sum --check` reads it."""
    return [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]


def release(root: Path, dist: Path, pythons: tuple[str, ...] = PYTHONS) -> None:
    """Make all files of the release whose version the last commit has.

    Raises:
        ReleaseError: something is not committed, the version has no section, or a check has failed.
    """
    if changed := _git(root, "status", "--porcelain"):
        raise ReleaseError(f"a release is made of what is committed; commit or remove first:\n{changed}")
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    changes = section((root / "CHANGELOG.md").read_text(), version)
    if not changes:
        raise ReleaseError(f"CHANGELOG.md has no section for {version}: run `make version VERSION={version}`")
    files = build_packages(root, dist)
    lock = root / "requirements.lock"
    checked = [python for python in pythons if _is_checked(python, lock, next(dist.glob("*.whl")))]
    if pythons and not checked:
        raise ReleaseError(f"none of Python {', '.join(pythons)} is to be had: the wheel was tried nowhere")
    files.append(_write_bill(root, dist / f"deskbell-{version}.cdx.json"))
    (dist / "SHA256SUMS").write_text("\n".join(sums(files)) + "\n")
    (dist / "CHANGES.md").write_text(changes + "\n")
    (dist / "TAG.txt").write_text(f"Deskbell {version}\n\n{changes}\n\nSHA-256:\n\n" + "\n".join(sums(files)) + "\n")
    commit = _git(root, "rev-parse", "HEAD")
    _say(f"{', '.join(sorted(path.name for path in dist.iterdir()))} in {dist}")
    _say(f"git tag -s --cleanup=whitespace -F {dist}/TAG.txt v{version} {commit}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _build(root: Path, folder: Path, epoch: str) -> Path:
    (folder / "tree").mkdir(parents=True)
    _git(root, "archive", "--format=tar", "-o", str(folder / "tree.tar"), "HEAD")
    _run("tar", "-xf", str(folder / "tree.tar"), "-C", str(folder / "tree"))
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "tree"))
    _run(*command, SOURCE_DATE_EPOCH=epoch)
    return folder / "dist"


def _is_checked(python: str, lock: Path, wheel: Path) -> bool:
    """Install the wheel with what the lock file names, and nothing else, and play the demo; False: no such Python."""
    uv = str(_BIN / "uv")
    with tempfile.TemporaryDirectory() as scratch:
        venv, empty = Path(scratch) / "venv", Path(scratch) / "empty"
        empty.mkdir()
        command = (uv, "venv", "-q", "--python", python, str(venv))
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - uv
        if made.returncode:
            _say(f"Python {python}: NOT CHECKED, uv does not find it or get it: {' '.join(made.stderr.split())}")
            return False
        install = (uv, "pip", "install", "-q", "--python", str(venv))
        _run(*install, "--require-hashes", "-r", str(lock))
        _run(*install, "--no-deps", str(wheel))
        _run(uv, "pip", "check", "-q", "--python", str(venv))
        deskbell = str(venv / "bin" / "deskbell")
        _run(deskbell, "--version", cwd=empty)
        _run(deskbell, "demo", cwd=empty)
    _say(f"Python {python}: the wheel is installed in an empty environment, and the demo has run there")
    return True


def _write_bill(root: Path, path: Path) -> Path:
    """CycloneDX, of all that the lock file names: what every extra needs, and what builds the wheel.

    Hashes are the lock file's. Licences, and who needs whom, are what the packages say that are installed here.
    """
    bill, here = _told(root, "requirements", root / "requirements.lock"), _told(root, "environment", sys.executable)
    installed = {each["purl"]: each for each in here["components"] if "purl" in each}
    for component in bill["components"]:
        component["bom-ref"] = component["purl"]
        same = installed.get(component["purl"], {})
        component |= {key: same[key] for key in ("description", "licenses") if key in same}
    bill["dependencies"] = list(_graph(here, {each["purl"] for each in bill["components"]}))
    text = json.dumps(bill, indent=1, sort_keys=True)
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ReleaseError(f"the bill of materials is not CycloneDX: {problem}")
    path.write_text(text + "\n")
    return path


def _told(root: Path, *of: object) -> dict[str, Any]:
    options = ("--pyproject", str(root / "pyproject.toml"), "--mc-type", "library", "--output-reproducible")
    command = (str(_BIN / "cyclonedx-py"), *map(str, of), *options, "--no-validate", "-o", "-")
    found: dict[str, Any] = json.loads(_run(*command, PYTHONWARNINGS="ignore"))
    return found


def _graph(here: dict[str, Any], purls: set[str]) -> Iterator[dict[str, Any]]:
    """What the project and each package needs, of these; needs of an extra that nobody asks for are left out."""
    known = {each["bom-ref"]: each for each in here["components"] if each.get("purl") in purls}
    project = here["metadata"]["component"]["bom-ref"]
    for each in here["dependencies"]:
        ref, others = each["ref"], [known[other] for other in each.get("dependsOn", []) if other in known]
        if ref == project:
            yield {"ref": ref, "dependsOn": [other["purl"] for other in others]}
        elif ref in known:
            needed = _needed(known[ref])
            needs = [other["purl"] for other in others if canonicalize_name(other["name"]) in needed]
            yield {"ref": known[ref]["purl"], "dependsOn": needs}


def _needed(component: dict[str, Any]) -> set[str]:
    extras = [each["value"] for each in component.get("properties", []) if each["name"].endswith(":required-extra")]
    return {
        canonicalize_name(needed.name)
        for needed in map(Requirement, requires(component["name"]) or ())
        if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    }


def _git(root: Path, *words: str) -> str:
    # CI may check out as another user: Git then asks whether this folder is trusted, whose scripts run already.
    return _run("git", "-c", f"safe.directory={root.resolve()}", "-C", str(root), *words).strip()


def _run(*command: str, cwd: Path | None = None, **variables: str) -> str:
    done = subprocess.run(  # noqa: S603 - the commands of this module
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"`{' '.join(command)}` has failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"release: {text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Do one of the three.

    Raises:
        ReleaseError: see there; or the arguments are none of the three.
    """
    root = Path.cwd()
    match arguments:
        case ["version", version]:
            give_version(root, version, dt.datetime.now(dt.UTC).date())
        case ["release", dist]:
            release(root, Path(dist))
        case ["packages", dist]:
            build_packages(root, Path(dist))
        case _:
            raise ReleaseError("expected `version X.Y.Z`, `release FOLDER` or `packages FOLDER`")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ReleaseError as error:
        sys.exit(f"release: {error}")

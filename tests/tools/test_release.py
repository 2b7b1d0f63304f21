"""A release: two builds that are one, a changelog that is dated once, a tag whose text Git keeps."""

import datetime as dt
import json
import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tools.release import ReleaseError, give_version, refuse_differing, release, section

ROOT = Path(__file__).parents[2]
DAY = dt.date(2030, 1, 2)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A bell.\n\n## [0.1.0] - 2029-01-01\n\n- The desk.\n"
LOCKED = ("rich", "pygments", "httpx")
PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "desk"
version = "0.1.0"
dependencies = ["rich"]
"""


def git(root: Path, *words: str) -> str:
    """What Git says, as a committer of its own."""
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@acme.example")
    return subprocess.run(["git", *person, *words], cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with an unreleased change and a page on upgrading to 0.2.0, and no repository yet."""
    root = tmp_path / "project"
    (root / "docs" / "how-to").mkdir(parents=True)
    (root / "docs" / "how-to" / "upgrade.md").write_text("# Upgrade\n\n## 0.2.0\n\nNothing.\n\n## 0.1.0\n")
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "desk.py").write_text('"""A desk."""\n')
    (root / ".gitignore").write_text("dist/\n")
    pins = (f"rich=={version('rich')} ; sys_platform != 'win32'", *(f"{name}=={version(name)}" for name in LOCKED[1:]))
    (root / "requirements.lock").write_text("".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n" for pin in pins))
    return root


def test_a_version_dates_what_was_unreleased_and_leaves_the_rest(project: Path) -> None:
    """The changelog's next "Unreleased" is empty, and the project has the version."""
    give_version(project, "0.2.0", DAY)

    changelog = (project / "CHANGELOG.md").read_text()
    assert "## [0.2.0] - 2030-01-02\n\n### Added\n\n- A bell.\n" in changelog
    assert section(changelog, "Unreleased") == ""
    assert section(changelog, "0.1.0") == "- The desk."
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"] == "0.2.0"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("", "a version such as 0.2.0"),
        ("0.2", "a version such as 0.2.0"),
        ("0.1.0", "0.1.0 is not higher than 0.1.0"),
        ("0.0.10", "0.0.10 is not higher than 0.1.0"),
        ("0.10.0", "upgrade.md has no section 0.10.0"),
    ],
)
def test_a_version_that_cannot_be_the_next_is_refused(project: Path, version: str, said: str) -> None:
    """And nothing is written."""
    with pytest.raises(ReleaseError, match=re.escape(said)):
        give_version(project, version, DAY)

    assert (project / "CHANGELOG.md").read_text() == CHANGELOG


def test_a_version_without_changes_is_refused(project: Path) -> None:
    """Twice the same, for instance."""
    give_version(project, "0.2.0", DAY)

    with pytest.raises(ReleaseError, match='nothing under "Unreleased"'):
        give_version(project, "0.3.0", DAY)


def test_a_release_is_made_of_what_is_committed(project: Path) -> None:
    """Packages, bill of materials, sums and the tag's text, which Git keeps as it is."""
    git(project.parent, "init", "-q", project.name)
    git(project, "add", ".")
    git(project, "commit", "-qm", "a desk")
    give_version(project, "0.2.0", DAY)
    with pytest.raises(ReleaseError, match=r"(?s)commit or remove first:.*CHANGELOG\.md"):
        release(project, project / "dist", pythons=())
    git(project, "commit", "-qam", "0.2.0")

    release(project, project / "dist", pythons=())

    made = {path.name: path.read_bytes() for path in (project / "dist").iterdir()}
    packages = {"desk-0.2.0-py2.py3-none-any.whl", "desk-0.2.0.tar.gz"}
    assert set(made) == packages | {"CHANGES.md", "SHA256SUMS", "TAG.txt", "deskbell-0.2.0.cdx.json"}
    git(project, "tag", "-a", "--cleanup=whitespace", "-F", "dist/TAG.txt", "v0.2.0")
    text = git(project, "tag", "-l", "--format=%(contents)", "v0.2.0")
    assert text.startswith("Deskbell 0.2.0\n\n### Added\n\n- A bell.\n\nSHA-256:\n\n")
    assert text.strip().endswith(made["SHA256SUMS"].decode().strip())
    bill = json.loads(made["deskbell-0.2.0.cdx.json"])
    assert bill["bomFormat"] == "CycloneDX"
    assert {each["name"]: each["version"] for each in bill["components"]} == {name: version(name) for name in LOCKED}
    assert all(each["externalReferences"][0]["hashes"] and each["licenses"] for each in bill["components"])
    refs = [f"pkg:pypi/{name}@{version(name)}" for name in LOCKED]
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}  # httpx needs Rich for its command alone
    assert needs == {"root-component": refs[:1], refs[0]: refs[1:2], refs[1]: [], refs[2]: []}


def test_builds_that_differ_are_refused(tmp_path: Path) -> None:
    """By a byte, or by a file; the message names it."""
    for folder, files in {"a": {"x": "1", "y": "2"}, "b": {"x": "1", "y": "3"}}.items():
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)

    with pytest.raises(ReleaseError, match=r"differ in y$"):
        refuse_differing(tmp_path / "a", tmp_path / "b")


def test_the_forges_run_what_the_project_calls_ci() -> None:
    """On a bare Debian 12, and nothing else is judged there."""
    github = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["ci"]
    gitlab = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())["ci"]

    assert github["container"] == gitlab["image"] == "debian:12"
    assert github["steps"][-1]["run"] == gitlab["script"][-1] == ".ci/run"
    assert github["steps"][0]["run"] == gitlab["script"][0]


def test_the_version_of_the_project_has_a_section_on_upgrading() -> None:
    """Who comes from the release before finds what to do."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"## {version}\n" in (ROOT / "docs" / "how-to" / "upgrade.md").read_text()


def test_the_page_on_what_is_public_names_all_that_the_package_calls_public() -> None:
    """The modules that the docstring of `deskbell` lists as public, and every page of the reference."""
    page = (ROOT / "docs" / "reference" / "public-api.md").read_text()
    public = page[: page.index("## Not public")]

    for module in ("testing", "cache", "desk", "jobs", "adapters", "http"):
        assert f"`deskbell.{module}`" in public
    for other in (ROOT / "docs" / "reference").glob("*.md"):
        assert other.name in {"protocol.md", "public-api.md"} or f"({other.name})" in public, other.name

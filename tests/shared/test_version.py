"""Which commit this is, by what an installation keeps of it."""

from pathlib import Path

import pytest

from shared import version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation in a folder of its own, with its records."""
    version.commit.cache_clear()
    monkeypatch.setattr(version, "_HERE", tmp_path / "shared")
    monkeypatch.setattr(version, "_COMMIT_FILE", tmp_path / "commit")


def test_a_commit_that_the_build_wrote_down_is_told(tmp_path: Path) -> None:
    """In an image there is no git."""
    tmp_path.joinpath("commit").write_text(f"{COMMIT}\n")

    assert version.commit() == COMMIT[:12]


@pytest.mark.parametrize("is_checkout", [False, True])
def test_a_commit_that_is_not_known_is_nothing(tmp_path: Path, is_checkout: bool) -> None:
    """An installed wheel, and a checkout that git cannot read."""
    if is_checkout:
        tmp_path.joinpath(".git").touch()

    assert version.commit() == ""

"""Which commit this is, by what an installation keeps of it."""

from pathlib import Path

import pytest

from shared import version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation in a folder of its own, with its records."""
    version.commit.cache_clear()
    monkeypatch.setattr(version, "COMMIT_FILE", tmp_path / "commit")


def test_a_commit_that_the_build_wrote_down_is_told(tmp_path: Path) -> None:
    """In an image there is no git."""
    tmp_path.joinpath("commit").write_text(f"{COMMIT}\n")

    assert version.commit() == COMMIT[:12]


def test_a_commit_that_is_not_known_is_nothing() -> None:
    """As in a wheel and in a checkout."""
    assert version.commit() == ""

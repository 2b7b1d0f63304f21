"""Files of another user."""

import os
from pathlib import Path

import pytest

_NOBODY = 65534


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file be another user's; where this process may not do that, it becomes another user itself."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: _NOBODY)

"""Which frame of a traceback is the integrator's."""

from pathlib import Path

import pytest

import shared
from shared.frames import Frame, integrators_frame

ROOT = Path(shared.__file__).parent.parent
OURS = Frame(f"{ROOT}/workers/perform.py", 50, "perform")
LIBRARY = Frame("/usr/lib/python3.11/site-packages/httpx/_client.py", 9, "send")
STANDARD = Frame("/usr/lib/python3.11/asyncio/tasks.py", 3, "wait_for")


@pytest.mark.parametrize(
    ("frames", "place"),
    [
        ([OURS, Frame("/app/acme/jobs.py", 1, "f"), STANDARD, LIBRARY], "acme/jobs.py:1 in f"),
        ([OURS, Frame("/app/acme/workers/perform.py", 1, "f"), LIBRARY], "workers/perform.py:1 in f"),
        ([OURS, Frame(f"{ROOT}/deskbell/jobs/crm.py", 1, "contact"), LIBRARY], "jobs/crm.py:1 in contact"),
        ([OURS, Frame("/v/site-packages/acme/jobs.py", 1, "f"), LIBRARY], "acme/jobs.py:1 in f"),
        ([LIBRARY, OURS, STANDARD], None),
        ([Frame("<frozen runpy>", 1, "f")], None),
        ([], None),
    ],
)
def test_the_frame_is_in_no_library_nor_in_deskbell(frames: list[Frame], place: str | None) -> None:
    """But the job types that ship, and an integrator's package that is installed, count as the integrator's."""
    found = integrators_frame(frames)

    assert (str(found) if found else None) == place

"""Stack frames: those that an exception passed through, and which of them is in the integrator's code."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType, TracebackType
from typing import NamedTuple

MOST = 30
"""How many frames of an exception are written, the last ones: a recursion passes through many."""

_HERE = f"{Path(__file__).resolve().parent.parent}/"
_SHIPPED = f"{_HERE}deskbell/jobs/"
_NEVER_THEIRS = re.compile(
    rf"{re.escape(_HERE)}(api|workers|shared|deskbell(?!/jobs/))/|<|.*/lib(64)?/python3[^/]*/(?!.*(site|dist)-packages/)"
)
_INSTALLED = re.compile(r".*/(site|dist)-packages/")


class Frame(NamedTuple):
    """A line of code that an exception passed through, or that a thread is at."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """The last two parts of the file's path, the line and the function: alike on every machine."""
        return f"{'/'.join(self.file.split('/')[-2:])}:{self.line} in {self.function}"

    @property
    def whole(self) -> str:
        """The file's whole path, the line and the function."""
        return f"{self.file}:{self.line} {self.function}"


def frames_of(trace: TracebackType | None) -> list[Frame]:
    """The frames of a traceback, the outermost first."""
    return _frames(walk_tb(trace))


def integrators_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame in the integrator's code on; all of it when there is none."""
    part = trace
    for frame in frames_of(trace):
        if is_integrators(frame.file):
            return part
        part = part and part.tb_next
    return trace


def integrators_frame(frames: Sequence[Frame]) -> Frame | None:
    """The last frame in the integrator's code; where that is installed as a library, the job's function."""
    first = next((at for at, frame in enumerate(frames) if frame.file.startswith(_HERE)), 0)
    called = frames[first:]  # frames before Deskbell's first are those of its callers: Python, RQ, uvicorn
    theirs = [frame for frame in called if is_integrators(frame.file)]
    return theirs[-1] if theirs else next((frame for frame in called if not _NEVER_THEIRS.match(frame.file)), None)


def frames_of_thread(thread_id: int) -> list[Frame]:
    """Where a thread of this process is, the outermost first."""
    innermost = sys._current_frames().get(thread_id)  # noqa: SLF001 - Python's only way
    return _frames(walk_stack(innermost))[::-1] if innermost else []


def is_integrators(file: str) -> bool:
    """Whether a file is neither Python's, nor installed, nor Deskbell's own; a job type that ships counts as theirs."""
    return file.startswith(_SHIPPED) or not (_INSTALLED.match(file) or _NEVER_THEIRS.match(file))


def location_in(frames: Sequence[Frame]) -> str:
    """The integrator's last line among a thread's frames, else the innermost; "" when there are none."""
    return str(integrators_frame(frames) or frames[-1]) if frames else ""


def _frames(walked: Iterable[tuple[FrameType, int]]) -> list[Frame]:
    return [Frame(at.f_code.co_filename, line, at.f_code.co_name) for at, line in walked]

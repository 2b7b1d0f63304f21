"""Stack frames: the places that an exception passed through, and which of them is in the integrator's code."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType, TracebackType
from typing import NamedTuple

MOST = 30
"""How many places of an exception are written, the last ones: a recursion passes through many."""

_HERE = f"{Path(__file__).resolve().parent.parent}/"
_ROOT = re.compile(r"(.*/)workers/(?:\w+/)*\w+\.py")
_OURS = re.compile(r"(api|workers|shared|deskbell(?!/jobs/))/")
_STANDARD = re.compile(r"<|.*/lib(64)?/python3[^/]*/(?!.*(site|dist)-packages/)")
_INSTALLED = re.compile(r".*/(site|dist)-packages/")


class Frame(NamedTuple):
    """A place that an exception passed through, or that a thread is at."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """The place with the last two parts of the file's path: alike on every machine."""
        return f"{'/'.join(self.file.split('/')[-2:])}:{self.line} in {self.function}"

    @property
    def whole(self) -> str:
        """The place with the file's whole path."""
        return f"{self.file}:{self.line} {self.function}"


def frames_of(trace: TracebackType | None) -> list[Frame]:
    """The places of a traceback, the outermost first."""
    return _frames(walk_tb(trace))


def integrators_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first place in the integrator's code on; all of it when there is none."""
    part = trace
    for frame in frames_of(trace):
        if is_integrators(frame.file):
            return part
        part = part and part.tb_next
    return trace


def integrators_frame(frames: Sequence[Frame]) -> Frame | None:
    """The last place in the integrator's code; where that is installed as a library, the job's function."""
    first, root = next(
        ((at, found[1]) for at, frame in enumerate(frames) if (found := _ROOT.fullmatch(frame.file))), (0, None)
    )
    # Before the first of ours there are only those of RQ, which called us.
    return _theirs(frames[first:], root)


def frames_of_thread(thread_id: int) -> list[Frame]:
    """Where a thread of this process is, the outermost first."""
    innermost = sys._current_frames().get(thread_id)  # noqa: SLF001 - Python's only way
    return _frames(walk_stack(innermost))[::-1] if innermost else []


def is_integrators(file: str, root: str | None = _HERE) -> bool:
    """Whether a file is neither Python's, nor installed, nor one of Deskbell's own.

    A job type that ships stands for the integrator's.

    Args:
        file: its path.
        root: the folder in which Deskbell's packages lie there; None when that is not known.
    """
    if root and file.startswith(f"{root}deskbell/jobs/"):
        return True
    return not (_INSTALLED.match(file) or _is_never_theirs(file, root))


def place_in(frames: Sequence[Frame]) -> str:
    """The integrator's last line among a thread's frames, else the innermost; "" when there are none."""
    first = next((at for at, frame in enumerate(frames) if frame.file.startswith(_HERE)), len(frames))
    place = _theirs(frames[first:], _HERE)
    return str(place or frames[-1]) if frames else ""


def _theirs(frames: Sequence[Frame], root: str | None) -> Frame | None:
    theirs = [frame for frame in frames if is_integrators(frame.file, root)]
    others = (frame for frame in frames if not _is_never_theirs(frame.file, root))
    return theirs[-1] if theirs else next(others, None)


def _is_never_theirs(file: str, root: str | None) -> bool:
    is_ours = root is not None and file.startswith(root) and _OURS.match(file, len(root))
    return bool(is_ours or _STANDARD.match(file))


def _frames(walked: Iterable[tuple[FrameType, int]]) -> list[Frame]:
    return [Frame(at.f_code.co_filename, line, at.f_code.co_name) for at, line in walked]

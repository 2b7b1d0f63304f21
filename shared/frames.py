"""Places in code, and which of them is the integrator's: what logs and dead letters name."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

_HERE = f"{Path(__file__).resolve().parent.parent}/"
_ROOT = re.compile(r"(.*/)workers/\w+\.py")
_OURS = re.compile(r"(api|workers(?!/jobs/)|shared|cli)/")
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


def integrators_frame(frames: Sequence[Frame]) -> Frame | None:
    """The last place in the integrator's code; where that is installed as a library, the job's function."""
    first, root = next(
        ((at, found[1]) for at, frame in enumerate(frames) if (found := _ROOT.fullmatch(frame.file))), (0, None)
    )
    # Before the first of ours there are only those of RQ, which called us.
    return _theirs(frames[first:], root)


def place_of_thread(innermost: FrameType | None) -> str:
    """Where a thread of this process is: the integrator's line if it is in one, else the innermost.

    Args:
        innermost: the thread's frame, as `sys._current_frames` has it.
    """
    frames: list[Frame] = []
    while innermost:
        frames.append(Frame(innermost.f_code.co_filename, innermost.f_lineno, innermost.f_code.co_name))
        innermost = innermost.f_back
    if not frames:
        return ""
    within = next((at for at in reversed(range(len(frames))) if frames[at].file.startswith(_HERE)), -1)
    return str(_theirs(frames[within::-1] if within >= 0 else [], _HERE) or frames[0])


def _theirs(frames: Sequence[Frame], root: str | None) -> Frame | None:
    others = [frame for frame in frames if not _STANDARD.match(frame.file) and not _is_ours(frame, root)]
    theirs = [frame for frame in others if not _INSTALLED.match(frame.file) or _is_ours_to_ship(frame, root)]
    return theirs[-1] if theirs else others[0] if others else None


def _is_ours(frame: Frame, root: str | None) -> bool:
    return root is not None and frame.file.startswith(root) and bool(_OURS.match(frame.file, len(root)))


def _is_ours_to_ship(frame: Frame, root: str | None) -> bool:
    """Whether it is a job type that ships, which stands for the integrator's."""
    return root is not None and frame.file.startswith(f"{root}workers/jobs/")

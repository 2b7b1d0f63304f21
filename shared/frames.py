"""Places in code, and which of them is the integrator's: what logs and dead letters name."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import walk_stack
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


def frames_of_thread(thread_id: int) -> list[Frame]:
    """Where a thread of this process is, the outermost first."""
    frames: list[Frame] = []
    innermost = sys._current_frames().get(thread_id)  # noqa: SLF001 - Python's only way
    for at, line in walk_stack(innermost) if innermost else ():
        frames.append(Frame(at.f_code.co_filename, line, at.f_code.co_name))
    return frames[::-1]


def is_integrators(file: str) -> bool:
    """Whether a file is neither Python's, nor installed, nor one of Deskbell's own."""
    return not (_STANDARD.match(file) or _INSTALLED.match(file) or _is_ours(Frame(file, 0, ""), _HERE))


def place_in(frames: Sequence[Frame]) -> str:
    """The integrator's last line among a thread's frames, else the innermost; "" when there are none."""
    first = next((at for at, frame in enumerate(frames) if frame.file.startswith(_HERE)), len(frames))
    place = _theirs(frames[first:], _HERE)
    return str(place or frames[-1]) if frames else ""


def _theirs(frames: Sequence[Frame], root: str | None) -> Frame | None:
    others = [frame for frame in frames if not _STANDARD.match(frame.file) and not _is_ours(frame, root)]
    theirs = [frame for frame in others if not _INSTALLED.match(frame.file) or _is_ours_to_ship(frame, root)]
    return theirs[-1] if theirs else others[0] if others else None


def _is_ours(frame: Frame, root: str | None) -> bool:
    return root is not None and frame.file.startswith(root) and bool(_OURS.match(frame.file, len(root)))


def _is_ours_to_ship(frame: Frame, root: str | None) -> bool:
    """Whether it is a job type that ships, which stands for the integrator's."""
    return root is not None and frame.file.startswith(f"{root}workers/jobs/")

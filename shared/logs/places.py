"""The places that an exception passed through, beginning with the integrator's code where it came as far as that."""

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

_MOST = 30  # the last ones, where a recursion passed through many
_ROOT = Path(__file__).parents[2]
_NOT_THEIRS = (
    *(f"{_ROOT / room}/" for room in ("api", "cli", "shared", "workers")),
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<",  # a module that is frozen into Python
)


def places(error: BaseException) -> list[str]:
    """The file, line and function of each place, the outermost first."""
    frames = traceback.walk_tb(integrators_part(error.__traceback__))
    return [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in frames][-_MOST:]


def integrators_part(whole: TracebackType | None) -> TracebackType | None:
    """A traceback from the first place in the integrator's code on; all of it when there is none."""
    part = whole
    while part and part.tb_frame.f_code.co_filename.startswith(_NOT_THEIRS):
        part = part.tb_next
    return part or whole

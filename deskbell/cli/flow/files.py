"""Which files and cases are meant: `FILE`, `FILE::CASE`, or every `flow_*.yaml` of a folder."""

from collections.abc import Sequence
from pathlib import Path

from deskbell.flow.loader import Flow, load_flow
from shared.declarations.nearest import advice
from shared.errors import FlowFileError

PATTERN = "flow_*.yaml"
"""What flow files are called, where a folder is given and for pytest."""

_BETWEEN = "::"
_LIBRARIES = ("site-packages", "node_modules")


def chosen(words: Sequence[str]) -> list[tuple[Flow, list[str]]]:
    """The files that are meant, each with the names of its cases.

    Args:
        words: as typed; none mean the current folder.

    Raises:
        FlowFileError: one of them cannot be played; the sentence names it.
    """
    found: dict[Path, tuple[Flow, list[str]]] = {}
    for word in words or ["."]:
        name, between, case = word.partition(_BETWEEN)
        for path in _files(Path(name)):
            if path not in found:
                found[path] = (load_flow(path), [])
            flow, cases = found[path]
            cases += [each for each in ([_known(flow, case)] if between else flow.content.cases) if each not in cases]
    return list(found.values())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [each for each in path.rglob(PATTERN) if not _is_foreign(each.relative_to(path))]
    if not files:
        raise FlowFileError(f"expected files {PATTERN} in {path.resolve()}, got none; name a file of another name")
    return sorted(files)


def _is_foreign(path: Path) -> bool:
    """Whether a file is hidden or a library's; ours has a flow file, too."""
    return any(part.startswith(".") or part in _LIBRARIES for part in path.parts)


def _known(flow: Flow, case: str) -> str:
    cases = flow.content.cases
    if case not in cases:
        hint = advice(case, cases, f"; the cases are {', '.join(cases)}")
        raise FlowFileError(f"{flow.path}: no case {case!r}{hint}")
    return case

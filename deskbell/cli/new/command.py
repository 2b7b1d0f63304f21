"""Writes an integrator's package: into a temporary folder, which gets its name when everything is in it."""

import keyword
import os
import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from deskbell.cli.exit import stop
from shared.own_packages import OWN

TEMPLATE = Path(__file__).parent / "template"
SAMPLE = "acme"
"""The name that stands in the template, in texts and paths."""

_SUFFIX, _DOT = ".in", "dot-"
_TESTS = "tests"  # the folder beside the package
_FORM = r"[a-z][a-z0-9_]*"


def new(name: str) -> None:
    """Make a folder with a package of that name, in the current one."""
    _check(name)
    folder = Path(name)
    if os.path.lexists(folder):
        stop(f"{folder.resolve()} is there already: choose another name, or remove it")
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=Path()))
    except OSError as error:
        stop(f"expected a folder that can be written, got {Path.cwd()} ({error.strerror}): go to another", 1)
    try:
        for template in sorted(TEMPLATE.rglob(f"*{_SUFFIX}")):
            _write(made, template, name)
        made.chmod(0o777 & ~_umask())
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"Made {folder}{os.sep}, a package with handlers, jobs and tests. Go on with", markup=False)
    for line in (f"cd {folder}", "deskbell dev", "python -m pytest"):
        console.print(f"    {line}", markup=False)
    console.print("and, while `deskbell dev` runs, in a second terminal")
    console.print("    deskbell send order_status OrderID=1002")


def _check(name: str) -> None:
    """Refuse a name that could not be imported, or that another package has."""
    expected = "NAME: expected a name that Python can import, of lower-case letters, digits and _"
    if not re.fullmatch(_FORM, name):
        proposed = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        advice = f"; write {proposed}" if proposed and not _is_taken(proposed) else ", such as acme"
        stop(f"{expected}, got {name!r}{advice}")
    if keyword.iskeyword(name):
        stop(f"{expected}, got {name!r}, which is a word of Python's own; write {name}_desk")
    if _is_taken(name):
        whose = "Deskbell's own" if name in OWN else "installed here" if name != _TESTS else "that of the tests"
        stop(f"NAME: expected a name of your own, got {name!r}, a package that is {whose}; write {name}_desk")


def _is_taken(name: str) -> bool:
    return keyword.iskeyword(name) or name in OWN or name == _TESTS or find_spec(name) is not None


def _write(folder: Path, template: Path, name: str) -> None:
    path = str(template.relative_to(TEMPLATE)).removesuffix(_SUFFIX).replace(SAMPLE, name)
    target = folder / path.replace(_DOT, ".")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(template.read_text().replace(SAMPLE, name))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

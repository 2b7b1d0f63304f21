"""Guards against import shadowing: an integrator's package with the name of one of Deskbell's.

Python loads one package for each name. Deskbell's code gets Deskbell's, whatever comes first on `sys.path`. When the
integrator's code imports a name that both have, the import is refused in a sentence that names both places. A folder
of such a name that his code does not import does no harm: most FastAPI projects have an `api`.
"""

import builtins
import importlib
import runpy
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from shared.errors import ConfigError

OWN = ("api", "console", "deskbell", "examples", "shared", "workers")
ROOT = Path(__file__).parent.parent  # not resolved: some installers make each file a link to elsewhere
"""The folder that Deskbell's packages lie in."""

_OWN_FOLDERS = [(ROOT / name).resolve() for name in OWN]
_import = builtins.__import__


def import_own(*names: str) -> None:
    """Import Deskbell's packages, whatever comes first on `sys.path`.

    Raises:
        ConfigError: another package has already been imported under the name.
    """
    sys.path.insert(0, str(ROOT))
    try:
        for name in names:
            importlib.import_module(name)
            if not _is_own(name):
                raise ConfigError(_sentence(name, Path(str(sys.modules[name].__file__))))
    finally:
        sys.path.remove(str(ROOT))


def command(module: str) -> list[str]:
    """The command that runs a module of Deskbell's as `python -P -m` does, whatever comes first on its `sys.path`."""
    own_first = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from shared.own_packages import run; run({module!r})"
    return [sys.executable, "-P", "-c", own_first]


def run(module: str) -> None:
    """Run a module of Deskbell's in a process that `command` started."""
    sys.path.remove(str(ROOT))
    import_own(module.partition(".")[0])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def another(name: str) -> Path | None:
    """The place on `sys.path` of a package or module that has a name of Deskbell's and is not Deskbell's."""
    # A folder without __init__.py never hides a package. Handlers import `deskbell` and always mean Deskbell's; who
    # imports `api` and has such a folder means that folder.
    files = "__init__.py" if name == "deskbell" else "*.py"
    for folder in sys.path:
        package, module = Path(folder, name), Path(folder, f"{name}.py")
        with suppress(OSError):  # a folder that cannot be read: Python passes over it, too
            if module.is_file():
                return module.resolve()
            if any(package.glob(files)) and not package.samefile(ROOT / name):
                return package.resolve()
    return None


def refuse_shadowed() -> None:
    """From now on, let an import raise ConfigError if other code than Deskbell's would get Deskbell's of two packages.

    If no other package on `sys.path` has a name of Deskbell's, imports stay as they are.
    """
    if builtins.__import__ is not _checked_import and any(map(another, OWN)):
        builtins.__import__ = _checked_import
        sys.meta_path.append(_LastFinder())


def check_import_string(module: str) -> None:
    """Refuse an import string that leads into a package of Deskbell's, other than to the job types and the example."""
    name = module.partition(".")[0]
    if name not in OWN:
        return
    if found := another(name):
        raise ConfigError(_sentence(name, found))
    if not module.startswith(("deskbell.jobs.", "examples.")):
        expected = "expected one of yours, deskbell.jobs.crm or deskbell.jobs.analytics"
        raise ConfigError(f"{name} is a package of Deskbell's own, {ROOT / name}; {expected}, got {module}")


def _checked_import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - the form of `__import__`
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    top = name.partition(".")[0]
    if level == 0 and top in OWN and _is_own(top) and (found := another(top)):
        importer = Path(str((globals or {}).get("__file__"))).parent.resolve()
        if not any(importer.is_relative_to(folder) for folder in _OWN_FOLDERS):
            raise ConfigError(_sentence(top, found))
    return _import(name, globals, locals, fromlist, level)


class _LastFinder(MetaPathFinder):
    """Is asked for what is not found: `importlib.import_module`, as pytest calls it, passes `__import__` by."""

    def find_spec(self, fullname: str, *_: object) -> None:
        top = fullname.partition(".")[0]
        if top in OWN and (found := another(top)):
            raise ImportError(_sentence(top, found))


def _is_own(name: str) -> bool:
    """Whether importing a name gives Deskbell's package."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded else find_spec(name)
    folder = Path(str(spec and spec.origin)).parent
    return folder.exists() and folder.samefile(ROOT / name)


def _sentence(name: str, found: Path) -> str:
    return f"two packages are named {name}, Deskbell's {ROOT / name} and your {found}: rename yours"

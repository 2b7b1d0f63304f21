"""The names of Deskbell's packages, and what becomes of an integrator's package that has one of them.

Python has one package of a name. Deskbell's own code gets Deskbell's, whatever comes first on `sys.path`. A folder
`api` of the integrator's that nothing imports is no matter; code of his that imports it, and would get the other one,
is refused in a sentence that names both.
"""

import builtins
import importlib
import runpy
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from shared.errors import ConfigError

OWN = ("api", "deskbell", "examples", "shared", "workers")
ROOT = Path(__file__).parent.parent
"""The folder that Deskbell's packages lie in."""

_OWN_CODE = tuple(f"{ROOT / name}/" for name in OWN)
_import = builtins.__import__


def import_own(*names: str) -> None:
    """Import packages of ours, whatever comes first on `sys.path`.

    Raises:
        ConfigError: another's has been imported under that name.
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
    """The command that runs a module of ours as `python -m` does, also where another package comes before ours."""
    own_first = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from shared.own_packages import run; run({module!r})"
    return [sys.executable, "-P", "-c", own_first]


def run(module: str) -> None:
    """Run a module of ours in a process that `command` started."""
    sys.path.remove(str(ROOT))
    import_own(module.partition(".")[0])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def another(name: str) -> Path | None:
    """Another package or module of a name of ours that lies on `sys.path`."""
    # Everybody imports `deskbell`, and a folder of that name with a script or two in it never comes before ours.
    files = "__init__.py" if name == "deskbell" else "*.py"
    for folder in sys.path:
        package, module = Path(folder, name), Path(folder, f"{name}.py")
        if module.is_file():
            return module.resolve()
        if any(package.glob(files)) and not package.samefile(ROOT / name):
            return package.resolve()
    return None


def refuse_shadowed() -> None:
    """Refuse, from now on, an import by code that is not ours of a name that both have, where it would get ours.

    Where no package but ours has such a name, nothing is done. The import raises ConfigError.
    """
    if any(map(another, OWN)):
        builtins.__import__ = _checked_import


def check_import_string(module: str) -> None:
    """Refuse an import string that leads into a package of ours, except to what ships for it.

    Args:
        module: `package.module`.

    Raises:
        ConfigError: says what to rename, or to write.
    """
    name = module.partition(".")[0]
    if name not in OWN:
        return
    if found := another(name):
        raise ConfigError(_sentence(name, found))
    if not module.startswith(("deskbell.jobs.", "examples.")):
        raise ConfigError(f"{name} is a package of Deskbell's own, {ROOT / name}; expected one of yours, got {module}")


def _checked_import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - the form of `__import__`
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    top = name.partition(".")[0]
    is_theirs = level == 0 and top in OWN and not str((globals or {}).get("__file__")).startswith(_OWN_CODE)
    if is_theirs and _is_own(top) and (found := another(top)):
        raise ConfigError(_sentence(top, found))
    return _import(name, globals, locals, fromlist, level)


def _is_own(name: str) -> bool:
    """Whether who imports a name gets our package."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded else find_spec(name)
    return spec is not None and Path(str(spec.origin)).parent == ROOT / name


def _sentence(name: str, found: Path) -> str:
    return f"two packages are named {name}, Deskbell's {ROOT / name} and your {found}: rename yours"

"""Import strings: `package.module:attribute`, as the settings CALLBACKS and JOBS hold them."""

import importlib
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self, TypeVar

from shared.declarations.functions import location
from shared.declarations.nearest import advice
from shared.errors import ConfigError, DeclarationError
from shared.frames import is_integrators
from shared.handlers.callbacks import Callbacks
from shared.jobs.jobs import Jobs
from shared.own_packages import OWN, check_import_string, refuse_shadowed
from shared.sentences import Sentence, sentence
from shared.settings.config import Settings
from shared.settings.environment import PREFIX


class _Composable(Protocol):
    def include(self, other: Self, /) -> None: ...


_Kind = TypeVar("_Kind", bound=_Composable)


def load_callbacks(settings: Settings) -> Callbacks:
    """The handlers that `DESKBELL_CALLBACKS` names, all in one; none when it is empty.

    Raises:
        ConfigError: one sentence that names the setting and what is wrong with it.
    """
    return _load(settings, "CALLBACKS", settings.callbacks, Callbacks)


def load_jobs(settings: Settings) -> Jobs:
    """The job types that `DESKBELL_JOBS` names, all in one, with the limits and breakers that settings give them.

    Raises:
        ConfigError: one sentence that names the setting and what is wrong with it.
    """
    if not settings.jobs:
        raise ConfigError("DESKBELL_JOBS: expected package.module:jobs, got nothing; a worker needs job types to run")
    jobs = _load(settings, "JOBS", settings.jobs, Jobs)
    _adjust(jobs, "LIMITS", "limit", settings.limits)
    _adjust(jobs, "BREAKERS", "breaker", settings.breakers)
    return jobs


def _adjust(jobs: Jobs, setting: str, option: str, given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if not jobs.get(name):
            hint = advice(name, jobs.names, sentence("; there are {names}", names=jobs.names))
            raise ConfigError(
                sentence(
                    "{setting}: there is no job type {name!r}{hint}", setting=PREFIX + setting, name=name, hint=hint
                )
            )
        jobs.adjust(name, **{option: value})


def _load(settings: Settings, setting: str, strings: str, kind: type[_Kind]) -> _Kind:
    folder = str(settings.app_dir.resolve())
    if folder not in sys.path:
        sys.path.append(folder)  # last: an integrator's folder must not hide a library's module
    refuse_shadowed()
    composed = kind()
    for string in filter(None, (part.strip() for part in strings.split(","))):
        part = _import(PREFIX + setting, string, kind)
        try:
            composed.include(part)
        except DeclarationError as error:
            raise ConfigError(_at(PREFIX + setting, error)) from error
    return composed


def _import(setting: str, string: str, kind: type[_Kind]) -> _Kind:
    module_name, _, attribute = string.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        form = f"package.module:{kind.__name__.lower()}"
        is_module = all(part.isidentifier() for part in string.split("."))
        write = sentence("; write {string}", string=f"{string}:{kind.__name__.lower()}") if is_module else ""
        raise ConfigError(
            sentence(
                "{setting}: expected {form}, got {got!r}{write}", setting=setting, form=form, got=string, write=write
            )
        )
    try:
        check_import_string(module_name)
    except ConfigError as error:
        raise ConfigError(_at(setting, error)) from None
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigError(
                sentence(
                    "{setting}: there is no module {name} in DESKBELL_APP_DIR, by default the current folder, or among "
                    "the installed packages",
                    setting=setting,
                    name=error.name,
                )
            ) from None
        raise ConfigError(
            sentence(
                "{setting}: {module} imports {name}, which is not installed ({where}){write}",
                setting=setting,
                module=module_name,
                name=error.name,
                where=_location(error, module_name),
                write=_public(error),
            )
        ) from error
    except (ConfigError, DeclarationError) as error:
        where = _location(error, module_name)
        raise ConfigError(_at(setting, error, "" if where in str(error) else f" ({where})")) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also of `sys.exit()`, or `pytest.skip()`
        where = _location(error, module_name)
        raise ConfigError(
            sentence(
                "{setting}: importing {module} failed at {where} with {error}{write}",
                setting=setting,
                module=module_name,
                where=where,
                error=f"{type(error).__name__}: {error}",
                write=_public(error),
            )
        ) from error
    try:
        found: Any = getattr(module, attribute)
    except AttributeError:
        raise ConfigError(
            sentence(
                "{setting}: {module} has no attribute {name}{write}",
                setting=setting,
                module=module_name,
                name=attribute,
                write=_another(module, kind),
            )
        ) from None
    if not isinstance(found, kind):
        raise ConfigError(
            sentence(
                "{setting}: expected {string} to be a {kind}, got {found}",
                setting=setting,
                string=string,
                kind=kind.__name__,
                found=_instead(found),
            )
        )
    return found


def _at(setting: str, error: Exception, where: str = "") -> Sentence:
    """What a declaration has been told, with the setting that led to it."""
    return sentence("{setting}: {error}{where}", setting=setting, error=str(error), where=where)


def _public(error: BaseException) -> str:
    """Where the name is that an integrator tried to import from a package of Deskbell's; "" for any other error."""
    if not isinstance(error, ImportError) or str(error.name).partition(".")[0] not in OWN:
        return ""
    wanted = "" if isinstance(error, ModuleNotFoundError) else error.msg.partition("'")[2].partition("'")[0]
    for name in getattr(sys.modules.get("deskbell"), "__all__", ()):
        if name.lower() == wanted.lower():
            return sentence("; write {string}", string=f"from deskbell import {name}")
    return sentence("; what you import of Deskbell is in deskbell, deskbell.jobs and deskbell.testing")


def _another(module: ModuleType, kind: type[Any]) -> str:
    """What to write where a module has no such attribute; "" when nothing is known."""
    names = vars(module)
    for name, value in names.items():
        if isinstance(value, kind):
            return sentence("; write {string}", string=f"{module.__name__}:{name}")
    for name in names:
        if kind is Jobs and name.endswith("_jobs"):  # as of deskbell.jobs.wecom
            own = module.__name__.rpartition(".")[2]
            include = f"jobs.include({own}.{name}(…))"
            return sentence("; in a module of yours, write {include}, and name its jobs", include=include)
    return ""


def _instead(found: Any) -> str:
    """What stands where the object should, and what to write."""
    if isinstance(found, Callbacks | Jobs):
        kind = type(found).__name__
        return sentence("a {kind}; is it meant for {setting}?", kind=kind, setting=PREFIX + kind.upper())
    if found in (Callbacks, Jobs):
        write = f"{found.__name__.lower()} = {found.__name__}()"
        return sentence("the class; write {write}, and name that", write=write)
    return sentence("a {kind}", kind=type(found).__name__)


def _location(error: BaseException, module_name: str) -> str:
    """The file and line at which an import ended: the integrator's last, not that of a library which it calls."""
    if isinstance(error, SyntaxError) and error.filename:
        return location(error.filename, error.lineno)
    frames = traceback.extract_tb(error.__traceback__)
    package = module_name.partition(".")[0]
    theirs = [
        frame
        for frame in frames
        if is_integrators(frame.filename)
        or package in Path(frame.filename).with_suffix("").parts  # also where installed
    ]
    last = (theirs or frames)[-1]
    return location(last.filename, last.lineno)

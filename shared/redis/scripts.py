"""The texts of Lua scripts, which lie beside the code that runs them."""

from functools import cache
from importlib.resources import files

from shared.keys import prefixed


@cache
def script_text(package: str, *names: str) -> str:
    """The scripts of a package by these names, one behind the other, with this process' keys."""
    return prefixed("".join(files(package).joinpath(f"{name}.lua").read_text() for name in names))

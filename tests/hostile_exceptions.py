"""Hostile exceptions of an integrator's: reading an attribute raises what would end the process."""

from typing import Any

from deskbell import Discard, Retry


def _exit(_: object) -> Any:
    raise SystemExit


class Silent(Exception):  # noqa: N818 - a test's
    __str__ = __repr__ = _exit


class Interrupting(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Answering(Exception):  # noqa: N818
    response = status_code = status = property(_exit)


class Printed(Exception):  # noqa: N818
    deskbell_text = __notes__ = property(_exit)


class Rootless(Exception):  # noqa: N818
    __traceback__ = __cause__ = __context__ = property(_exit)


class _Nameless(type):
    __name__ = property(_exit)


class Named(Exception, metaclass=_Nameless): ...  # noqa: N818


class Again(Retry):
    def __init__(self) -> None: ...


class Never(Discard):
    def __init__(self) -> None: ...


HOSTILE: list[type[Exception]] = [Silent, Interrupting, Answering, Printed, Rootless, Named, Again, Never]
IDS = ["str", "interrupt", "response", "text", "traceback", "name", "retry", "discard"]

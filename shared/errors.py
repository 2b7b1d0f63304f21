"""The errors of Deskbell, and the four exceptions that steer it.

    DeskbellError
    ├── ConfigError          a setting is wrong: start-up ends
    ├── DeclarationError     a handler or a job type is declared wrongly: importing it ends
    ├── LifespanError        what handlers or jobs share could not be opened: the process ends
    ├── PacketError          a body is not a packet of PROTOCOL §3
    ├── VariableError        a variable of an API call is missing or does not fit
    ├── ResultError          a handler returned what cannot become variables
    ├── CannotKeepError      neither Redis nor the disk took an event in time
    ├── LeftError            an event on Redis is of a newer release, whose workers run it
    │   └── UnknownJobError  a job names a job type this worker does not have
    ├── ForeignFunctionError a job in Redis names a function that is not one of our entry points
    ├── DamagedJobError      a job in Redis cannot be read, or holds no event
    ├── NotRunError          a job returned what has still to run and cannot be run
    ├── FlowFileError        a flow file cannot be read or played
    ├── ProcessDied          a job's own process ended before the job did
    └── OutOfTurnError       it is not an ordered job's turn yet: it is run a little later

    Refuse, Retry, Unavailable, Discard   raised by the integrator's functions; decisions, not errors

No message holds a value that came with a callback, a token or a Sign.
"""

import re


class DeskbellError(Exception):
    """The root of every error that Deskbell raises."""


class ConfigError(DeskbellError):
    """Raised when a setting, or the object that an import string names, cannot be used."""


class DeclarationError(DeskbellError):
    """Raised while a handler or a job type is declared, saying what to write instead."""


class LifespanError(DeskbellError):
    """Raised when a lifespan did not start: the process that needs it does not come up."""


class PacketError(DeskbellError):
    """Raised when a body cannot be read as a callback."""


class VariableError(DeskbellError):
    """Raised when a call's variables do not fit the handler's parameters; names them, never their values."""


class ResultError(DeskbellError):
    """Raised when a handler's result cannot be turned into variables."""


class CannotKeepError(DeskbellError):
    """Raised when an event could not be kept, on Redis or on the disk, within the time left."""


class LeftError(DeskbellError):
    """Raised for what a worker of another release is to run: it is left until one comes that has what it needs.

    Args:
        message: a sentence.
        need: what such a worker declares (`shared/redis/releases.py`); "" when that cannot be told.
    """

    def __init__(self, message: str, need: str = "") -> None:
        super().__init__(message)
        self.need = need


class UnknownJobError(LeftError):
    """Raised when a job in Redis names a job type that is not declared here."""


class ForeignFunctionError(DeskbellError):
    """Raised when a job in Redis names a function other than Deskbell's entry points."""


class DamagedJobError(DeskbellError):
    """Raised when a job in Redis cannot be read, or its arguments are not those of our entry points."""


class NotRunError(DeskbellError):
    """Raised when a job's function returned a generator, or a function: what it was written for has not been done."""


class FlowFileError(DeskbellError):
    """Raised when a flow file is not what `deskbell flow` plays; names the file and the line."""


class ProcessDied(DeskbellError):  # noqa: N818 - the cause under which RQ's own workers are listed, too
    """Raised for a job whose own process ended before it did.

    Args:
        how: the signal or the status: "SIGKILL", "status 7"; "" when that is not known.
        message: a sentence.
    """

    def __init__(self, how: str, message: str) -> None:
        super().__init__(message)
        self.how = how


class OutOfTurnError(DeskbellError):
    """Raised when it is not an ordered job's turn yet; names no key."""


_CODE_BITS = 31


class Refuse(Exception):  # noqa: N818 - a decision, read as a verb
    """Raised by a handler to answer FAIL, so that the flow takes its exception branch.

    Args:
        message: the answer's `ErrorInfo`, shown to the Desk administrator.
        code: the answer's `ErrorCode`, an integer other than 0 (PROTOCOL §3.1).
    """

    message: str = ""
    code: int = 1

    def __init__(self, message: str, *, code: int = 1) -> None:
        if type(code) is not int or code == 0 or code.bit_length() > _CODE_BITS:
            raise ValueError("Refuse(code=...): expected an integer of 32 bits other than 0, which means success")
        super().__init__(message)
        self.message = str(message).encode(errors="replace").decode()  # half a surrogate pair cannot be sent
        self.code = code


_CODE_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class JobDecision(Exception):  # noqa: N818 - what its subclasses have in common; nobody raises it
    """How a job ends otherwise than by failing.

    Args:
        reason: kept with a dead letter, and shown only on request; name the cause, not the customer.
        code: shown in logs, by breakers and as the cause of a dead letter: an HTTP status, or a word of your own of
            letters, digits, `_`, `.` and `-`; never a value that came with the event.
    """

    code: str | None = None

    def __init__(self, reason: str, *, code: str | int | None = None) -> None:
        if code is not None and not _CODE_FORM.fullmatch(str(code)):
            expected = "expected a status such as 422 or a word of at most 64 letters, digits, _, . and -"
            raise ValueError(f"{type(self).__name__}(code=...): {expected}")
        super().__init__(reason)
        self.reason = reason
        self.code = None if code is None else str(code)


class Retry(JobDecision):
    """Raised by a job to be tried again after `after` seconds.

    Args:
        after: seconds to wait, 0 or more; fractions are rounded up.
        counts: whether this uses up one of the job's attempts. Say False for a wait that was asked for, as by a 429
            with `Retry-After`: after a day of such waits the job is a dead letter.
        code: see `JobDecision`.
    """

    def __init__(self, *, after: float, counts: bool = True, code: str | int | None = None) -> None:
        if not 0 <= after < float("inf"):
            raise ValueError(f"Retry(after=...): expected seconds of 0 or more, got {after}")
        super().__init__(f"again after {after:g} s", code=code)
        self.after = after
        self.counts = counts


class Unavailable(JobDecision):
    """Raised by a job when what it calls is down for everybody, and the job is not at fault: a 401, 403 or 503.

    It uses up no attempt. A breaker of the job type pauses the queue at once; without one the job waits with the
    backoff of its type. After a day of such waits it is a dead letter.

    Args:
        reason: see `JobDecision`.
        code: see `JobDecision`.
        pause: whole seconds instead of the breaker's (without a breaker: instead of the backoff), 1 to 3,600: for what
            is not over in a minute, such as the quota of a day.
    """

    def __init__(self, reason: str, *, code: str | int | None = None, pause: int | None = None) -> None:
        if pause is not None and pause not in range(1, 3601):
            raise ValueError(f"Unavailable(pause=...): expected whole seconds, 1 to 3600, got {pause}")
        super().__init__(reason, code=code)
        self.pause = pause


class Discard(JobDecision):
    """Raised by a job that would fail at every attempt: it becomes a dead letter at once.

    Args:
        reason: see `JobDecision`.
        code: see `JobDecision`.
    """


FINAL = (Discard, DamagedJobError, ConfigError, NotRunError, LeftError)
"""What no further attempt at a job can help."""

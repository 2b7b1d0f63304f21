"""Where the value of an input variable comes from."""

from enum import StrEnum


class Kind(StrEnum):
    """Where an input variable has its value from (PROTOCOL §3.1): `Annotated[int, Kind.COLLECTED]`.

    Names that begin with `System` are system variables, those in `when=` fixed ones; the others may say theirs.
    """

    SYSTEM = "system"
    CUSTOM = "custom"
    COLLECTED = "collected"
    FIXED = "fixed"

"""What a person who misspelt a name may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def advice(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The question whether the nearest known name was meant, to be put behind a sentence.

    Args:
        name: as it was written.
        known: the names there are.
        otherwise: what is said when none of them is near.
    """
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else otherwise

"""Suggestions for a misspelt name: "did you mean"."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from shared.sentences import sentence


def advice(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The question whether the nearest known name was meant, to be put behind a sentence."""
    near = get_close_matches(name, sorted(known), n=1)
    return sentence("; did you mean {nearest}?", nearest=near[0]) if near else otherwise


def nearest(name: str, known: Mapping[str, str], cutoff: float) -> str | None:
    """The known name that a name is, or is likely to be meant as; None when it resembles none."""
    plain = name.lower().replace("_", "")
    if plain in known:
        return known[plain]
    near = get_close_matches(plain, known, n=1, cutoff=cutoff)
    return known[near[0]] if near else None

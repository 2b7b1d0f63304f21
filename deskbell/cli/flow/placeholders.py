"""Personal values replaced by placeholders of the same shape: one value has one placeholder, wherever it stands."""

import re
import uuid
from typing import Any

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PLAIN = re.compile(r"|[0-9]{1,6}|[a-z_][A-Za-z0-9_.-]{0,30}")
_HAN = "甲乙丙丁戊己庚辛壬癸"
_SHORTEST_PART = 4  # characters: a shorter value may stand in another one by chance
_LETTERS = 26


def looks_personal(value: str) -> bool:
    """Whether a variable's value may be a person's: all but short numbers and words that begin with a small letter."""
    return not _PLAIN.fullmatch(value)


class Placeholders:
    """The placeholders of one file."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, value: str) -> str:
        """The placeholder of a value; "" has none."""
        if value and value not in self._known:
            used = set(self._known.values())
            made = (_shaped(value, number) for number in range(len(used) + 1, 2 * len(used) + 1000))
            self._known[value] = next((text for text in made if text not in used and text != value), str(uuid.uuid4()))
        return self._known.get(value, "")

    def within(self, value: Any) -> Any:
        """A JSON value with the placeholders of the values that are known so far, also where one is part of a text."""
        if isinstance(value, dict):
            return {name: self.within(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.within(each) for each in value]
        if not isinstance(value, str) or value in self._known:
            return self._known.get(value, value) if isinstance(value, str) else value
        for original in sorted(self._known, key=len, reverse=True):
            if len(original) >= _SHORTEST_PART:
                value = value.replace(original, self._known[original])
        return value

    def everywhere(self, value: Any) -> Any:
        """A JSON value with a placeholder for each text in it, as what people write to each other."""
        if isinstance(value, dict):
            return {name: each if name == "MsgType" else self.everywhere(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.everywhere(each) for each in value]
        return self.of(value) if isinstance(value, str) else value

    def personal(self, value: Any) -> Any:
        """A JSON value with a placeholder for each text and each number in it that may be a person's."""
        if isinstance(value, dict):
            return {name: self.personal(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.personal(each) for each in value]
        if isinstance(value, str):
            return self.of(value) if looks_personal(value) else self.within(value)
        if type(value) is int and looks_personal(str(value)):
            return int(self.of(str(value)))
        return value


def _shaped(value: str, number: int) -> str:
    """A text of the same shape: letters for letters, digits for digits, the rest as it is."""
    if _UUID.fullmatch(value):
        return str(uuid.UUID(int=number))
    if _MAIL.fullmatch(value):
        return f"user{number}@example.com"
    digits = iter(str(number) * len(value))
    return "".join(_like(character, number, next(digits)) for character in value)


def _like(character: str, number: int, digit: str) -> str:
    if character.isdecimal():
        return digit
    if not character.isalpha():
        return character
    if not character.isascii():
        return _HAN[number % len(_HAN)]
    letter = chr(ord("a") + number % _LETTERS)
    return letter.upper() if character.isupper() else letter

"""Sentences that keep their form beside their text, as gettext's messages do: a table of forms can say them otherwise.

The text is English, and is all that the command, its JSON and the logs know. The console looks for the form in
`console/texts/findings.py`, and fills the same values into what stands there.
"""

from collections.abc import Mapping


class Sentence(str):
    """A text in English that can be said in another language.

    Attributes:
        form: with names of values in braces, as `str.format` takes them.
        values: what is filled in: texts, numbers, sentences, and lists of these, which are joined with commas.
    """

    __slots__ = ("form", "values")

    form: str
    values: Mapping[str, object]


def sentence(form: str, one: str = "", /, **values: object) -> Sentence:
    """A sentence, or a part of one that is filled into another.

    Args:
        form: a literal, so that a test finds it and asks for its translation.
        one: the form where the first value is 1, if that is another; in English alone, for Chinese has no plural.
        values: by the names in the form, the number that decides first.
    """
    is_one = bool(one) and next(iter(values.values())) == 1
    said = Sentence((one if is_one else form).format(**{name: _text(value) for name, value in values.items()}))
    said.form, said.values = form, values
    return said


def _text(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value

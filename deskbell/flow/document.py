"""A YAML file as values, with the line of each.

Scalars mean what YAML 1.2 says, as editors read them: `yes` is text, `007` and `1e3` are numbers. YAML 1.1, which
PyYAML follows by itself, would take some texts for times and octal numbers.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.errors import FlowFileError

_TAG = "tag:yaml.org,2002:"
_CORE = {  # YAML 1.2.2, §10.3.2: what a plain scalar means
    "null": (r"null|Null|NULL|~|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
_MOST_LEVELS = 50
_MOST_SHOWN = 20
_MOST_DIGITS = 400  # more than any float has


class _Loader(yaml.SafeLoader):
    """PyYAML's, with YAML 1.2's meaning of plain scalars."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own name and form


for _kind, (_form, _first) in _CORE.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_form})\Z"), [*_first.replace("\0", ""), ""])


class Document:
    """What a file holds.

    Attributes:
        path: the file, as messages name it.
        value: objects as dicts, whose keys are texts; lists; and scalars.
    """

    def __init__(self, path: Path, text: str) -> None:
        """Read a text.

        Raises:
            FlowFileError: it is not YAML, or YAML that JSON has no value for; with its line.
        """
        self.path = path
        try:
            root = yaml.compose(text, _Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{path}:{mark.line + 1}" if mark else path
            reason = error.problem or error.context
            raise FlowFileError(f"{place}: expected YAML; the parser says: {reason}") from None
        except (yaml.YAMLError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            raise FlowFileError(f"{path}: expected YAML; the parser says: {reason}") from None
        if root is None:
            raise FlowFileError(f"{path}: expected cases, got an empty file; write cases: and a case below it")
        self._root = root
        self.value = self._value(root, 0)

    def line(self, location: Sequence[str | int]) -> int:
        """The line, from 1, of what keys and positions lead to, or of the last on the way that is there."""
        node, line = self._root, 1
        for step in location:
            found = self._step(node, step)
            if found is None:
                break
            node, line = found
        return line

    def written(self, location: Sequence[str | int]) -> str:
        """A scalar as the file has it."""
        node = self._root
        for step in location:
            found = self._step(node, step)
            node = found[0] if found else node
        return node.value if isinstance(node, yaml.ScalarNode) else ""

    def at(self, location: Sequence[str | int]) -> str:
        """The file and the line, as a message begins."""
        return f"{self.path}:{self.line(location)}"

    @staticmethod
    def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
        """What a key or a position leads to, and the line on which that begins."""
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    return value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            return node.value[step], node.value[step].start_mark.line + 1
        return None

    def _value(self, node: yaml.Node, level: int) -> Any:
        place = f"{self.path}:{node.start_mark.line + 1}"
        if level > _MOST_LEVELS:
            raise FlowFileError(f"{place}: expected at most {_MOST_LEVELS} levels, got more, or an alias of itself")
        if isinstance(node, yaml.MappingNode):
            return self._object(node, level)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(each, level + 1) for each in node.value]
        kind = node.tag.removeprefix(_TAG)
        if kind not in {*_CORE, "str"}:
            raise FlowFileError(f"{place}: expected plain YAML, got the tag {node.tag}; leave it out")
        value = _scalar(kind, node.value)
        if isinstance(value, float) and not math.isfinite(value):
            raise FlowFileError(f"{place}: expected a number as JSON has it, got {node.value[:_MOST_SHOWN]}")
        return value

    def _object(self, node: yaml.MappingNode, level: int) -> dict[str, Any]:
        lines: dict[str, int] = {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str":
                raise FlowFileError(f"{self.path}:{line}: expected a name, got {_instead_of_name(key)}")
            if key.value in lines:
                raise FlowFileError(
                    f"{self.path}:{line}: {key.value} is here twice, first on line {lines[key.value]}; keep one"
                )
            lines[key.value] = line
            found[key.value] = self._value(value, level + 1)
        return found


def _instead_of_name(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        return "a list or an object"
    what = "the number " if key.tag in (_TAG + "int", _TAG + "float") else ""
    return f'{what}{key.value or "nothing"}; write it in quotes, "{key.value}"'


def _scalar(kind: str, text: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text) < _MOST_DIGITS:
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
    if kind in ("int", "float"):
        return float(re.sub(r"(?i)\.(inf|nan)", r"\1", text))
    return text

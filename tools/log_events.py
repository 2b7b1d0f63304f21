"""Static analysis of log calls: fills levels and fields of the tables in docs/reference/logs.md.

1. Each call of a logger is found in the syntax tree. When its event is a parameter of the function around it, that
   function is a wrapper, and the calls of it in the same module count instead.
2. Fields are the keywords of the call, and the keys of dictionaries behind `**` as far as the module shows them.
3. Event, level and fields of each row of logs.md are rewritten; what it means and what to do are kept as they stand.

    python -m tools.log_events
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "reference" / "logs.md"
ROOMS = ("api", "workers", "shared", "deskbell", "console")
HEAD = "| event | level | fields | what it means | what to do |\n|---|---|---|---|---|\n"
_LOGGER = re.compile(r"(?:(?:.*[._])?(?:log|get_log\(\))\.(info|warning|error|log)|_writer\.(sink))")
_ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|(.*)\|(.*)\|$", re.MULTILINE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class LogEvent:
    """An event as the code writes it.

    Attributes:
        levels: at which it is written; "" for a level that the code computes.
        fields: that are seen in the code.
        is_open: whether it may have more fields, which only a run shows.
    """

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    is_open: bool = False


def log_events() -> dict[str, LogEvent]:
    """All events of the code, by name."""
    found: dict[str, LogEvent] = {}
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        _Module(ast.parse(path.read_text())).read(found)
    return found


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
        self._around = {
            id(call): function
            for function in self._functions.values()
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
        }

    def read(self, found: dict[str, LogEvent]) -> None:
        for call in self._calls():
            if match := _LOGGER.fullmatch(ast.unparse(call.func)):
                given = call.args if match[1] in ("log", None) else [ast.Constant(match[1]), *call.args]
                self._add(found, call, *given[:2])

    def _add(self, found: dict[str, LogEvent], call: ast.Call, level: ast.expr, event: ast.expr) -> None:
        for name in _texts(event):
            known = found.setdefault(name, LogEvent())
            known.levels |= set(_texts(level)) or {""}
            self._add_fields(known, call)
        if isinstance(event, ast.Name):
            self._add_wrapped(found, self._around[id(call)], call, level, event)

    def _add_wrapped(
        self, found: dict[str, LogEvent], wrapper: Function, inner: ast.Call, level: ast.expr, event: ast.Name
    ) -> None:
        """The calls of a wrapper: what they pass on, and what the wrapper adds."""
        parameters = [each.arg for each in (*wrapper.args.posonlyargs, *wrapper.args.args) if each.arg != "self"]
        for call in self._calls():
            if ast.unparse(call.func).endswith(wrapper.name):
                given = dict(zip(parameters, call.args, strict=False))
                passed = given.get(level.id, level) if isinstance(level, ast.Name) else level
                self._add(found, call, passed, given[event.id])
                for name in _texts(given[event.id]):
                    self._add_fields(found[name], inner)

    def _add_fields(self, known: LogEvent, call: ast.Call) -> None:
        known.fields |= {key for given in call.args if isinstance(given, ast.Dict) for key in _keys(given)}
        for keyword in call.keywords:
            if keyword.arg:
                known.fields.add(keyword.arg)
                continue
            keys = self._keys_behind(keyword.value)
            known.fields |= keys
            known.is_open = True

    def _keys_behind(self, value: ast.expr) -> set[str]:
        """The keys that the module gives a dictionary, by its last name, wherever it is assigned."""
        name = ast.unparse(value).rpartition(".")[2]
        keys: set[str] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if ast.unparse(target).rpartition(".")[2] == name:
                        keys |= set(_keys(node.value))
                    elif isinstance(target, ast.Subscript) and ast.unparse(target.value).rpartition(".")[2] == name:
                        keys |= set(_texts(target.slice))
        return keys

    def _calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self._tree) if isinstance(node, ast.Call))


def _keys(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if key:
                    yield from _texts(key)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) != "field":
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def _texts(value: ast.expr) -> list[str]:
    """The text that an expression is, or the texts that it may be."""
    if isinstance(value, ast.IfExp):
        return [*_texts(value.body), *_texts(value.orelse)]
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def with_columns(document: str, events: dict[str, LogEvent]) -> str:
    """The document, its columns of levels and fields as the code has them."""

    def row(match: re.Match[str]) -> str:
        name, _, shown, meaning, action = match.groups()
        event = events.get(name, LogEvent(is_open=True))
        level = ", ".join(sorted(event.levels)) if "" not in event.levels else "by outcome"
        documented = re.findall(r"`(\w+)`", shown)
        fields = [each for each in documented if each in event.fields or event.is_open]
        fields += sorted(event.fields.difference(fields))
        cells = "".join(f" {cell} |" if cell else " |" for cell in (level, ", ".join(f"`{each}`" for each in fields)))
        return f"| `{name}` |{cells}{meaning}|{action}|"

    return _ROW.sub(row, document)


def main() -> None:
    """Rewrite the document."""
    DOCUMENT.write_text(with_columns(DOCUMENT.read_text(), log_events()))


if __name__ == "__main__":
    main()

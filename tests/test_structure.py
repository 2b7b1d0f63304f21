"""How the project is laid out: rooms that can be looked over, modules that can be read in one go, a small core."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PRODUCT = ("api", "console", "deskbell", "examples", "shared", "workers")
MOST_MODULES = 14
MOST_LINES = 400
MOST_CORE_LINES = 3000
CORE = {
    "api": "routes",
    "api/admission": "authentication",
    "api/acceptance": "deliveries intake accept accept.lua",
    "shared/handlers": "replies executor callbacks handler variables results",
    "workers": "fan_out fan_out.lua writes.lua perform attempt retries job lease",
    "workers/worker": "worker leases call execution outcomes rq_outcomes "
    "claim.lua renew.lua ack.lua release.lua reap.lua lease.lua success.lua attempts.lua",
    "shared": "errors",
    "shared/wire": "events commands protocol codes",
    "shared/jobs": "jobs job_type",
    "shared/redis": "queues",
}
"""The way of a callback and the life of a job, without what surrounds them: what a newcomer reads first."""


def folders() -> Iterator[Path]:
    """Every package of the product, the benchmarks and the tools."""
    for top in (*PRODUCT, "bench", "tools"):
        yield from (path.parent for path in sorted((ROOT / top).rglob("__init__.py")))


def code_lines(path: Path) -> int:
    """The lines of a file that are neither blank nor a comment nor a docstring."""
    text = path.read_text()
    if path.suffix == ".lua":
        return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("--"))
    texts = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = (token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in silent)
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - texts)


def test_a_folder_holds_few_modules() -> None:
    """More than can be taken in at a glance belong into rooms of their own."""
    count = {folder: len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) for folder in folders()}

    assert {str(folder.relative_to(ROOT)): n for folder, n in count.items() if n > MOST_MODULES} == {}


def test_a_module_can_be_read_in_one_go() -> None:
    """One that is longer holds more than one noun, be it of the product or of the tests."""
    paths = [*(path for folder in folders() for path in folder.glob("*.*")), *TESTS.rglob("*.py")]
    lines = {path: len(path.read_text().splitlines()) for path in paths if path.suffix in {".py", ".lua"}}

    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MOST_LINES} == {}


@pytest.mark.parametrize("top", PRODUCT)
def test_every_package_says_what_it_is_for(top: str) -> None:
    """And in which order to read its files: each module of a room with several is named."""
    for init in (ROOT / top).rglob("__init__.py"):
        text = ast.get_docstring(ast.parse(init.read_text())) or ""
        modules = [path.stem for path in init.parent.glob("*.py") if not path.stem.startswith("__")]
        assert text, init
        assert [name for name in modules if not re.search(rf"`(\w+\.)*{name}`", text)] == [], init


def test_the_core_is_small() -> None:
    """A newcomer can read all that a callback and its jobs pass through."""
    names = [f"{folder}/{name}" for folder, names in CORE.items() for name in names.split()]
    paths = [ROOT / (name if name.endswith(".lua") else f"{name}.py") for name in names]
    lines = {str(path.relative_to(ROOT)): code_lines(path) for path in paths}

    assert sum(lines.values()) < MOST_CORE_LINES, lines


def test_no_test_module_imports_another() -> None:
    """What two of them need is a plain module beside them: a helper is not edited for one and broken for the other."""
    imports = re.compile(r"^\s*(?:from|import) tests\.(?:\w+\.)*test_\w+", re.MULTILINE)

    assert not [path for path in TESTS.rglob("*.py") if imports.search(path.read_text())]


def test_no_test_replaces_a_private_name_of_ours() -> None:
    """What a test must set is public, or a parameter. ruff sees private names that are written out, and not those."""
    private = re.compile(r"(^|\.)_[A-Za-z]\w*$")

    found = {
        str(word.value)
        for path in TESTS.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and "attr" in call.func.attr
        for word in call.args[:2]
        if isinstance(word, ast.Constant) and private.search(str(word.value))
    }

    assert found == {"_execute_transaction"}  # redis-py's

"""How the project is laid out."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_no_test_module_imports_another() -> None:
    """What two of them need is a plain module beside them: a helper is not edited for one and broken for the other."""
    imports = re.compile(r"^\s*(?:from|import) tests\.(?:\w+\.)*test_\w+", re.MULTILINE)

    assert not [path for path in TESTS.rglob("*.py") if imports.search(path.read_text())]

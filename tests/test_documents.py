"""What the documents say is what the code does."""

import pkgutil
import re
import sys
import types
from pathlib import Path
from typing import Any, get_args

import pytest

from api.errors import Cause
from api.metrics import CallbackOutcome
from shared.jobs.declaration import JobOptions
from shared.loading import load_callbacks, load_jobs
from shared.settings.config import load_settings
from shared.settings.redis_url import RedisUrl
from shared.traces.spans import NAMES
from shared.wire.codes import Code
from tests.told_metrics import rendered
from tools import reference, walks
from tools.log_events import DOCUMENT, ROOMS, log_events, with_columns
from workers.attempt import LEVELS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text()


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose head begins with a word."""
    lines = text[text.index(f"| {first} |") :].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


@pytest.mark.parametrize("name", reference.PAGES)
def test_pages_of_the_reference_are_the_codes_own_words(name: str) -> None:
    """Settings, commands, handlers and events, as `make docs` writes them."""
    assert (reference.FOLDER / name).read_text() == reference.PAGES[name]()


def test_every_setting_every_option_and_every_attribute_has_a_description() -> None:
    """So that no row of the generated tables is a bare name, but for attributes that are called as their field is."""
    for page in ("settings.md", "commands.md", "handlers.md"):
        rows = re.findall(r"^\| `.*", (reference.FOLDER / page).read_text(), re.MULTILINE)
        assert rows
        assert not [row for row in rows if row.endswith("| |")], page


def test_the_readme_names_make_targets_that_there_are() -> None:
    """Each `make …` line, with a target of the Makefile behind it."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)

    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_file_and_module_that_a_document_or_the_code_names_exists() -> None:
    """Paths of the project and modules in backticks: readers follow them.

    The changelog may name former ones, and the tutorial those of its reader's.
    """
    documents = [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.[mt][dx]*")]
    code = [path for folder in (*ROOMS, "bench", "tools") for path in (ROOT / folder).rglob("*.*") if path.is_file()]
    tops = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isidentifier())

    documents.remove(ROOT / "CHANGELOG.md")
    documents.remove(ROOT / "docs" / "tutorial.md")
    for text_file in [*documents, *(path for path in code if path.suffix in {".py", ".lua"})]:
        text = text_file.read_text()
        for path in re.findall(rf"(?<![\w/.-])(?:{tops})/[\w/-]+\.(?:py|lua|md|svg|txt|c|json)\b", text):
            assert (ROOT / path).exists(), f"{text_file}: {path}"
        for name in re.findall(rf"`((?:{'|'.join(ROOMS)})(?:\.(?!py\b)\w+)+)`", text):
            if name not in NAMES.values():  # attributes of spans
                pkgutil.resolve_name(name)


def test_the_design_lists_every_key_on_redis() -> None:
    """Each of Deskbell's that the code and the scripts name, and no other."""
    code = [path for room in ROOMS for path in (ROOT / room).rglob("*.*") if path.suffix in {".py", ".lua"}]
    design = (ROOT / "docs" / "explanation" / "design.md").read_text()
    keys = r"\bdeskbell(?::[a-z]+)+(?!/)"

    texts = [path.read_text().replace("{DESKBELL}", "deskbell:") for path in code]
    named = {key for text in texts for key in re.findall(keys, text)}
    assert named == set(re.findall(keys, design[design.index("## Keys on Redis") :]))


def test_the_design_lists_every_room() -> None:
    """Each package of the product, and no other; those of the console's pages together."""
    rooms = {row[0].strip("`") for row in table((ROOT / "docs" / "explanation" / "design.md").read_text(), "room")}

    assert rooms == {
        str(path.parent.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
        if path.parent.parent != ROOT / "console" / "pages"
    }


@pytest.mark.parametrize("walk", sorted(walks.FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_the_pictures_of_the_walks_are_those_of_their_texts(walk: Path) -> None:
    """As `make docs` draws them; the design shows each."""
    assert walk.with_suffix(".svg").read_text() == walks.draw(walk.read_text())
    assert f"](../walks/{walk.stem}.svg)" in (ROOT / "docs" / "explanation" / "design.md").read_text()


def test_every_picture_is_shown_and_small() -> None:
    """What no document shows would be loaded by nobody and kept for ever."""
    documents = "".join(path.read_text() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    pictures = list((ROOT / "docs" / "images").iterdir())

    assert pictures
    assert [path.name for path in pictures if f"images/{path.name})" not in documents] == []
    assert sum(path.stat().st_size for path in pictures) < 3_000_000


def test_the_links_of_the_documents_lead_somewhere() -> None:
    """Every relative link names a file of the project."""
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_readme_code_is_an_integrators_package_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks, as files of a package `acme`, load by import string."""
    blocks = re.findall(r"```python\n# acme/(\w+\.py)\n(.*?)```", README, re.DOTALL)
    package = tmp_path / "acme"
    package.mkdir()
    for name, source in [*blocks, ("orders.py", "")]:
        (package / name).write_text(source)
    monkeypatch.setattr(sys, "path", [*sys.path])
    settings = load_settings(app_dir=tmp_path, callbacks="acme.callbacks:callbacks", jobs="acme.jobs:jobs")

    handlers = load_callbacks(settings).handlers
    jobs = load_jobs(settings)
    for name in [name for name in sys.modules if name.split(".")[0] == "acme"]:
        del sys.modules[name]

    assert [handler.name for handler in handlers] == ["order_status"]
    assert jobs.names == ["analytics.event", "analytics.forget", "crm.contact", "record_enquiry"]


def test_the_http_document_lists_every_error_code() -> None:
    """Each of Deskbell's codes with its status."""
    rows = {row[0]: row[1] for row in table((ROOT / "docs" / "reference" / "http.md").read_text(), "ErrorCode")}

    for code in Code:
        assert rows[str(code.number)] == str(code.status)


@pytest.mark.parametrize("document", ["docs/explanation/design.md", "SECURITY.md"])
def test_the_promises_name_tests_that_there_are(document: str) -> None:
    """Files and functions in the tables of what is promised and defended."""
    design = (ROOT / document).read_text()
    sources = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))

    for name in re.findall(r"`(tests/[\w/]+\.py)`", design):
        assert (ROOT / name).exists()
    for name in re.findall(r"`(test_\w+)`", design):
        assert f"def {name}(" in sources


def test_the_document_of_the_metrics_lists_every_one_with_its_labels() -> None:
    """What an operator builds alerts on, and nothing that there is not."""
    code: dict[str, set[str]] = {}
    for name, labels in re.findall(
        r"^(deskbell_\w+?)(?:_bucket|_sum|_count|_created)?(?:{(.*)})? ", rendered(), re.MULTILINE
    ):
        code.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    created = {name for name in code if f"{name}_total" in code}  # what `_created` leaves of a counter's name
    code = {name: labels - {"le"} for name, labels in code.items() if name not in created}

    listed = {
        name: set(filter(None, labels.split(", ")))
        for names, labels, _ in table(METRICS, "metric")
        for name in re.findall(r"`(deskbell_\w+)`", names)
    }

    assert listed == code


@pytest.mark.parametrize(("word", "words"), [("outcome | ErrorCode", CallbackOutcome), ("cause | ErrorCode", Cause)])
def test_the_document_of_the_metrics_lists_every_outcome_and_cause(word: str, words: Any) -> None:
    """As they stand in metrics and logs."""
    assert sorted(row[0].strip("`") for row in table(METRICS, word)) == sorted(get_args(words))


def test_the_document_of_the_log_lists_every_event_with_its_level_and_fields() -> None:
    """As `make docs` reads them in the code; every event has a meaning, and every documented field is in the code."""
    document = DOCUMENT.read_text()
    events = log_events()
    rows = [row for part in document.split("\n\n") if part.startswith("| event") for row in table(part, "event")]
    sources = "".join(path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py"))

    assert sorted(row[0].strip("`") for row in rows) == sorted(events)
    assert with_columns(document, events) == document
    assert all(meaning for _, _, _, meaning, _ in rows)
    for name in {name for row in rows for name in re.findall(r"`(\w+)`", row[2])}:
        assert re.search(rf"[\"']{name}[\"']|\b{name}=", sources), name
    assert {row[0].strip("`") for row in table(document, "outcome of an attempt")} == set(LEVELS)


def test_the_operations_document_lists_every_option_of_a_redis_url() -> None:
    """Those that the sentence about a wrong one names."""
    rows = table((ROOT / "docs" / "how-to" / "operate.md").read_text(), "option")
    with pytest.raises(ValueError, match="among") as caught:
        RedisUrl.parse("rediss+sentinel://host/mymaster?wrong=1")

    known = str(caught.value).partition("among ")[2].split(", ")
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == set(known)


def test_the_jobs_document_lists_every_option_and_its_code_runs() -> None:
    """As `Jobs.on` takes them; what is declared there is a job type."""
    document = (ROOT / "docs" / "reference" / "jobs.md").read_text()
    options = {name for row in table(document, "option") for name in re.findall(r"`(\w+)`", row[0])}
    names = []
    for source in re.findall(r"```python\n(.*?)```", document, re.DOTALL):
        module = types.ModuleType("jobs_document")
        exec(source, module.__dict__)  # noqa: S102 - the document's own code
        names += module.jobs.names

    assert options == JobOptions.__annotations__.keys()
    assert names == ["note_message"]

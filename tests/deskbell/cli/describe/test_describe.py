"""`deskbell describe`: what is mailed to the Desk administrator."""

import json
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import forked
from tests.processes import environment

Run = Callable[..., subprocess.CompletedProcess[str]]
SECRET = "0123456789abcdef"
TOKENS = ["a-token-of-desk", "the-next-token"]

CALLBACKS = """
from typing import Annotated, TypedDict

from pydantic import Field

from deskbell import Assignment, Callbacks, Kind

callbacks = Callbacks()


class Status(TypedDict):
    OrderStatus: Annotated[str, Field(description="Where it | is.")]


@callbacks.api_call("order_status", when={"type": "1"}, fallback={"OrderStatus": "unknown"}, app="1400000009")
def order_status(OrderID: Annotated[int, Kind.COLLECTED, Field(ge=1)], SystemClientUserID: str = "") -> Status:
    \"\"\"Tell the state of an order.

    More than a line.
    \"\"\"


@callbacks.api_call
def plain() -> dict[str, str]: ...


@callbacks.assign_agent(fallback=lambda event: Assignment(1))
def assign() -> None: ...


@callbacks.before_contact_user
def before() -> None: ...
"""

LATE = """
from typing import TypedDict

from deskbell import Callbacks

callbacks = Callbacks()


class Quote(TypedDict):
    Quote: str


@callbacks.api_call("quote", fallback={"Quote": ""}, late=True)
def quote(Weight: int) -> Quote: ...
"""

JOBS = """
from deskbell import ApiCall, AssignAgent, C2CSignal, Event, Jobs, SessionEvent

jobs = Jobs()


@jobs.on(SessionEvent, when={"Event": "SessionBegin"}, app="1400000009")
def greet(event: SessionEvent) -> None: ...


@jobs.on(ApiCall | AssignAgent | C2CSignal)
def note(event: ApiCall | AssignAgent | C2CSignal) -> None: ...


@jobs.on(Event)
def count(event: Event) -> None: ...
"""


@pytest.fixture
def describe(tmp_path: Path) -> Run:
    """Describe an integrator's package with handlers of three commands, and jobs."""
    (tmp_path / "acme.py").write_text(CALLBACKS)
    (tmp_path / "acme_jobs.py").write_text(JOBS)

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        given = {"CALLBACKS": "acme:callbacks", "PATH_SECRET": SECRET, "APPS": json.dumps({"1400000009": TOKENS})}
        given = {f"DESKBELL_{name}": value for name, value in (given | settings).items() if value}
        return forked.run("describe", *words, env=environment(**given), cwd=tmp_path)

    return run


class Text(HTMLParser):
    """What a page shows, and every address that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "style"}]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def test_describe_says_what_the_administrator_enters(describe: Run) -> None:
    """Page, URL, inputs, outputs, fallback, the exception switch, and when the answer is FAIL."""
    text = describe("--url", "https://bell.example/")

    assert text.returncode == 0, text.stderr
    assert "order_status  Tell the state of an order." in text.stdout
    assert "page: Desk Management Console: the API-call node of the task flow\n" in text.stdout
    assert "URL: https://bell.example/<DESKBELL_PATH_SECRET>/callback/order_status\n" in text.stdout
    assert "only for: 1400000009" in text.stdout
    assert "FAIL: when a variable is missing or does not fit, or the handler refuses\n" in text.stdout
    assert 'when it fails or is late: {"OrderStatus": "unknown"}' in text.stdout
    lines = [line.split() for line in text.stdout.splitlines()]
    assert ["type", "fixed", "yes", '"1"'] in lines
    assert ["OrderID", "collected", "yes", "integer,", "at", "least", "1"] in lines
    assert ["SystemClientUserID", "system", "no", "text"] in lines
    assert ["OrderStatus", "yes", "text", "Where", "it", "|", "is."] in lines
    assert "Outputs are not declared" in text.stdout
    assert "when it fails or is late: computed" in text.stdout


def test_only_nodes_have_an_exception_branch(describe: Run) -> None:
    """So only they are told to turn it on; each other command says what FAIL does there."""
    node, plain, assign, before = json.loads(describe("--json").stdout)["handlers"]
    sections = describe("--markdown").stdout.split("\n## ")

    assert ["exception handling: `on`" in section for section in sections[1:5]] == [True, True, False, False]
    assert "takes the node's exception branch" in node["on_fail"] == plain["on_fail"]
    assert assign["on_fail"].startswith("Desk ignores the answer")
    assert before["on_fail"].startswith("the agent may not write first")
    assert before["fails_when"] == ["the handler refuses", "it fails or is late"]


def test_describe_names_the_event_callbacks_that_jobs_need(describe: Run, tmp_path: Path) -> None:
    """With the page of each and the jobs; API calls have nodes; who takes all needs none in particular."""
    session, assign, signal = sorted(
        json.loads(describe("--json", JOBS="acme_jobs:jobs").stdout)["event_callbacks"],
        key=lambda each: ["SessionEvent" not in each["command"][0], each["command"]],
    )
    markdown = describe("--markdown", JOBS="acme_jobs:jobs").stdout
    (tmp_path / "none.py").write_text("from deskbell import Jobs\njobs = Jobs()\n")
    none = describe("--markdown", JOBS="none:jobs").stdout
    unset = describe("--markdown").stdout

    assert session["where"].startswith("Desk Management Console, Settings > Developer Settings")
    assert session["jobs"] == [{"name": "greet", "when": {"Event": "SessionBegin"}, "apps": ["1400000009"]}]
    assert [(each["lacks_handler"], [job["name"] for job in each["jobs"]]) for each in (assign, signal)] == [
        (False, ["note"]),
        (True, ["note"]),
    ]
    assert "greet (Event=SessionBegin, app 1400000009)" in markdown
    assert "No handler answers Chatbot.OnC2CSignalMessage" in markdown
    assert "these run for each: count." in markdown
    assert "None: no job type subscribes to one." in none
    assert "Not known here: DESKBELL_JOBS names no job types." in unset


@pytest.mark.parametrize("form", ["--json", "--markdown", "--html", None])
def test_secrets_are_written_out_only_when_that_is_asked_for(describe: Run, form: str | None) -> None:
    """A mail is read by many; a fingerprint tells which token is meant."""
    words = [form] if form else []
    hidden, secret, token = (describe(*words, *more).stdout for more in ([], ["--reveal-secret"], ["--reveal-token"]))

    assert [SECRET in text for text in (hidden, secret, token)] == [False, True, False]
    assert [[each in text for each in TOKENS] for text in (hidden, secret, token)] == [[False] * 2] * 2 + [[True] * 2]


def test_the_token_of_a_run_to_try_things_is_not_mailed_unnoticed(describe: Run) -> None:
    """Beside `deskbell dev` its app stands there, and without settings none: the reader is told what to set."""
    known = "This token is that of deskbell dev, which everybody knows: set DESKBELL_APPS"
    dev, revealed, none, own = (
        describe(*words, **settings).stdout
        for words, settings in [
            ([], {"APPS": '{"1400000001": ["dev-token"]}'}),
            (["--reveal-token"], {"APPS": '{"1400000001": ["dev-token"]}'}),
            ([], {"APPS": "{}"}),
            ([], {}),
        ]
    )

    assert [known in text for text in (dev, revealed, none, own)] == [True, True, False, False]
    assert ["No app is known here: set DESKBELL_APPS" in text for text in (dev, none, own)] == [False, True, False]


def test_the_html_is_one_file_that_loads_and_runs_nothing(describe: Run) -> None:
    """It shows what the Markdown says, with nothing of an integrator's taken for markup."""
    page = Text(describe("--html").stdout)

    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert page.addresses == []
    assert {"order_status", "Where it | is.", "https://your.host/<DESKBELL_PATH_SECRET>/callback"} <= {*page.shown}
    assert "url(" not in "".join(page.shown)


def test_json_and_markdown_hold_the_same_facts(describe: Run) -> None:
    """For programs and for documents; two forms at once are refused."""
    first, plain, assign, _ = json.loads(describe("--json").stdout)["handlers"]
    markdown = describe("--markdown").stdout
    both = describe("--json", "--html")

    assert first["command"] == ["Chatbot.InterfaceInvocation"]
    assert [each["name"] for each in first["inputs"]] == ["type", "OrderID", "SystemClientUserID"]
    assert first["inputs"][1] == {
        "name": "OrderID",
        "kind": "collected",
        "required": True,
        "type": "integer, at least 1",
        "description": "",
    }
    assert [each["name"] for each in first["outputs"]] == ["OrderStatus"]
    assert first["fallback"] == {"OrderStatus": "unknown"}
    assert (plain["outputs"], plain["fallback"]) == (None, None)
    assert (assign["url"], assign["fallback"]) == ("https://your.host/<DESKBELL_PATH_SECRET>/callback", "computed")
    assert "| OrderID | collected | yes | integer, at least 1 |  |" in markdown
    assert "| OrderStatus | yes | text | Where it \\| is. |" in markdown
    assert (both.returncode, both.stderr) == (2, "deskbell: --json and --html exclude each other\n")


def test_a_late_handler_is_two_nodes_to_draw(describe: Run, tmp_path: Path) -> None:
    """With the variables of each; both send the session, to which tickets are bound."""
    (tmp_path / "late.py").write_text(LATE)

    first, second = json.loads(describe("--json", CALLBACKS="late:callbacks").stdout)["handlers"]
    told = describe("--markdown", CALLBACKS="late:callbacks").stdout

    assert (first["name"], first["late"], second["name"], second["late"]) == ("quote", "quote.late", "quote.late", "")
    names = [[each["name"] for each in node[way]] for node in (first, second) for way in ("inputs", "outputs")]
    assert names == [
        ["Weight", "SystemSessionID"],
        ["Quote", "LateTicket", "LateState"],
        ["LateTicket", "SystemSessionID"],
        ["Quote", "LateState"],
    ]
    assert "Draw two nodes: this one, and behind it a condition on LateState." in told
    assert "one of ready, not_yet, failed, expired, used, unknown" in told


def test_describe_says_that_there_is_nothing_to_describe(describe: Run, tmp_path: Path) -> None:
    """An empty page would look like a file that has no handlers."""
    (tmp_path / "none.py").write_text("from deskbell import Callbacks\ncallbacks = Callbacks()\n")
    expected = "deskbell: DESKBELL_CALLBACKS: expected package.module:callbacks with handlers to describe, got "

    unset, empty = describe(CALLBACKS=""), describe(CALLBACKS="none:callbacks")

    assert (unset.returncode, unset.stderr) == (2, f"{expected}nothing: set it, in .env for example\n")
    assert (empty.returncode, empty.stderr) == (2, f"{expected}none in none:callbacks\n")


@pytest.mark.parametrize("url", ["your.host", "https://", "https://your.host/?a=1", "https://your host"])
def test_a_url_that_the_console_refuses_is_refused(describe: Run, url: str) -> None:
    """In a sentence that says how one is written."""
    refused = describe("--url", url)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith(f"such as https://your.host; got {url!r}\n")

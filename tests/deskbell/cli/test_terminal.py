"""What surrounds a command ends none of them in a traceback: encodings, streams, words, folders, proxies."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deskbell import Callbacks
from tests import forked
from tests.conftest import ApiFactory
from tests.desk import APP, TOKEN
from tests.processes import ALONE, environment

CALLBACKS = """
from typing import Annotated, TypedDict
from pydantic import Field
from deskbell import Callbacks

callbacks = Callbacks()

class Status(TypedDict):
    OrderStatus: Annotated[str, Field(description="订单 ☃")]

@callbacks.api_call("order_status", fallback={"OrderStatus": "未知"})
def order_status(OrderID: str) -> Status:
    \"\"\"Über 订单.\"\"\"
"""

ANEW = '"$@"'
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in the integrator's folder.

    `through` is a line of a shell in which `"$@"` is the command; it is then a process that is started anew.
    """
    (tmp_path / "acme.py").write_text(CALLBACKS)

    def run(*words: str, through: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        given = {"DESKBELL_APPS": json.dumps({APP: [TOKEN]}), "DESKBELL_CALLBACKS": "acme:callbacks"} | variables
        env = environment(**given)
        if not through:
            return forked.run(*words, env=env, cwd=tmp_path)
        command = ["bash", "-c", through, "bash", sys.executable, "-P", "-m", "deskbell", *words]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, errors="replace", check=False)

    return run


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "gbk"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_what_an_encoding_lacks_is_written_escaped(run: Run, variables: dict[str, str]) -> None:
    """Whatever the terminal is, the command ends as it should."""
    ended = run("describe", through=ANEW, **variables)

    assert ended.returncode == 0, ended.stderr
    assert r"\u2603" in ended.stdout


@pytest.mark.parametrize(
    ("through", "status", "said"),
    [
        ('"$@" >&-', 0, ""),
        ('"$@" | true; exit "${PIPESTATUS[0]}"', 1, ""),
        ('"$@" >/dev/full', 1, "deskbell: No space left on device\n"),
        ('"$@" <&-', 0, ""),
    ],
)
def test_a_stream_that_takes_nothing_is_a_sentence_at_most(run: Run, through: str, status: int, said: str) -> None:
    """Closed, no longer read, or a full disk."""
    ended = run("describe", "--json", through=through)

    assert (ended.returncode in {0, status}, ended.stderr) == (True, said)


def test_words_are_utf_8_also_where_the_locale_is_ascii(run: Run, start_api: ApiFactory) -> None:
    """The api gets what was typed; bytes that are no text are refused."""
    callbacks = Callbacks()

    @callbacks.api_call("echo")
    def echo(Said: str) -> dict[str, str]:
        return {"Said": Said}

    url = start_api(callbacks).url
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    sent = run("send", "echo", "Said=订单", "--url", url, "--token", TOKEN, through=ANEW, **ascii_locale)
    refused = run("send", "echo", "Said=\udcff", "--url", url, "--token", TOKEN)

    assert sent.returncode == 0, sent.stderr
    assert r"\u8ba2\u5355" in sent.stdout
    assert (refused.returncode, refused.stderr) == (2, "deskbell: expected text in UTF-8, got 'Said=\\udcff'\n")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks://127.0.0.1:9", "socks5://127.0.0.1:9", "://"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_what_goes_to_loopback_goes_directly(run: Run, start_api: ApiFactory, name: str, proxy: str) -> None:
    """Whatever proxy the environment names, and whether or not it could be used."""
    url = start_api().url

    sent = run("send", "--url", url, "--token", TOKEN, **{name: proxy})

    assert sent.returncode == 0, sent.stderr


@pytest.mark.parametrize(
    "proxy",
    ["socks://u:planted@127.0.0.1:9", "socks5://127.0.0.1:9", "://", "http://", "http://a b:9", "http://127.0.0.1:9 "],
)
def test_a_proxy_that_cannot_be_used_is_a_sentence(run: Run, proxy: str) -> None:
    """It names the variables, and shows no password."""
    sent = run("send", "--url", "http://desk.invalid", ALL_PROXY=proxy)
    crm = {"DESKBELL_JOBS": "examples.shop.jobs:jobs", "DESKBELL_CRM_URL": "http://crm.invalid"}
    worker = run("worker", *ALONE, ALL_PROXY=proxy, **crm)

    for ended in (sent, worker):
        assert ended.returncode == 2
        assert ended.stderr.startswith("deskbell: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY: expected http://host:port")
        assert len(ended.stderr.splitlines()) == 1
        assert "planted" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["api", "--host", "no-such-host.invalid", "--port", "0"],
            "deskbell: cannot listen on no-such-host.invalid:0: ",
        ),
        (["api", "--fd", "99"], "deskbell: --fd 99: Bad file descriptor\n"),
        (["dead", "list", "--since", "999999d"], "deskbell: "),
        (["send", "--url", "http://["], "deskbell: no answer from http://[/callback: "),
        (["send", "--body-file", "/proc/self/mem"], "deskbell: "),
        (
            ["api", "--fd", "-5"],
            "deskbell: Invalid value for '--fd': expected greater than or equal to 0, got '-5'; see ",
        ),
        (["worker", "--processes", "99999999999999999999"], "deskbell: Invalid value for '--processes': "),
        (
            ["send", "--wiat"],
            "deskbell: No such option: --wiat (Possible options: --rate, --wait); see deskbell send --",
        ),
        (["sendd"], "deskbell: No such command 'sendd'. Did you mean 'send'?; see deskbell --help"),
        (["dead", "show"], "deskbell: Missing argument 'ID'; see deskbell dead show --help"),
    ],
)
def test_what_a_person_typed_wrong_is_a_sentence(run: Run, words: list[str], sentence: str) -> None:
    """Also what only the system refuses."""
    ended = run(*words)

    assert ended.returncode in {1, 2}
    assert ended.stderr.startswith(sentence), ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "body", [b"[" * 10_000, rb'{"CallbackCommand":"\ud83d"}', b"\xff"], ids=["deep", "half a pair", "no text"]
)
def test_a_body_that_is_no_packet_is_sent_as_it_is(run: Run, tmp_path: Path, body: bytes) -> None:
    """To see what the api says of it is what the option is for."""
    (tmp_path / "body.json").write_bytes(body)

    ended = run("send", "--body-file", str(tmp_path / "body.json"), "--url", "http://127.0.0.1:1")

    assert ended.stderr.startswith("deskbell: no answer from "), ended.stderr


def test_a_temporary_folder_that_cannot_be_used_is_a_sentence(run: Run) -> None:
    """One whose path is too long for a socket; Python itself passes over one that is not there."""
    long = "/tmp/" + "x" * 120  # noqa: S108 - not made by a fixed name: see mktemp

    ended = run("demo", through=f'mkdir -p {long}; "$@"; status=$?; rmdir {long}; exit $status', TMPDIR=long)

    assert ended.returncode == 2
    assert ended.stderr.startswith("deskbell: the embedded Valkey does not start in ")
    assert len(ended.stderr.splitlines()) == 1

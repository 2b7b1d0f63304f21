"""What commands and the console say alike: each sentence has its Chinese, and what is filled in stands in both."""

import ast
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest
from redis import Redis

from console.texts.table import SENTENCES, said
from deskbell.cli.doctor import BESIDE_QUEUES
from deskbell.cli.doctor.findings import could_not_read
from deskbell.queues.reasons import held
from shared.redis.pauses import PausedQueue
from shared.sentences import sentence
from tests.console.conftest import ConsoleFactory

ROOT = Path(__file__).parents[2]
SHOWN = [
    *(ROOT / "deskbell/queues").glob("*.py"),
    *(
        ROOT / f"deskbell/cli/doctor/{name}.py"
        for name in ("server", "performance", "clocks", "hosts", "keys", "orphans", "findings")
    ),
]
"""Whose findings the console shows."""


def calls(path: Path, *names: str) -> Iterator[ast.Call]:
    """The calls of functions of these names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node


def forms() -> Iterator[tuple[Path, ast.expr]]:
    """The form of each sentence in the sources, where it stands."""
    for top in ("api", "console", "deskbell", "shared", "workers"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "from shared.sentences import" in path.read_text():
                yield from ((path, call.args[0]) for call in calls(path, "sentence"))
                partials = (call.args for call in calls(path, "partial"))
                yield from ((path, args[1]) for args in partials if ast.unparse(args[0]) == "sentence")


def test_every_sentence_has_its_chinese_and_no_other_stands_there() -> None:
    """The form is a literal where it is written, so that none is forgotten; a form that nobody says is no row."""
    found = {form.value for _, form in forms() if isinstance(form, ast.Constant)}
    checks = {(check.__doc__ or "").splitlines()[0] for check in BESIDE_QUEUES}

    others = [ast.unparse(form) for _, form in forms() if not isinstance(form, ast.Constant)]

    assert others == ["what.splitlines()[0]"]  # the docstring of a check that Redis did not let through
    assert SENTENCES.keys() == found | checks


def test_both_languages_fill_in_the_same_values_in_the_same_form() -> None:
    """A value that one of them lacks would be missed, or break the page."""
    for english, chinese in SENTENCES.items():
        named = [{(name, form) for _, name, form, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert named[0] == named[1], english
        assert chinese.strip(), english


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_what_the_console_shows_of_findings_is_sentences(path: Path) -> None:
    """A text that was put together where it is found could not be said otherwise."""
    for call in calls(path, "problem", "warning", "unknown"):
        assert not [each for each in call.args[:2] if isinstance(each, ast.JoinedStr | ast.Constant)], ast.unparse(call)


def test_a_sentence_is_its_english_and_is_said_in_chinese() -> None:
    """With the sentences and lists that are filled in; what is no sentence, such as a cause, stays as it is."""
    when = datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC)

    finding = held(PausedQueue("crm", "ann {x}", when))
    types = [sentence("{count} of {name}", count=2, name="a"), sentence("{count} of {name}", count=1, name="b")]
    listed = sentence("{types}, the first for {seconds:.0f} s", types=types, seconds=3.4)

    assert finding.text == "the queue crm is paused by ann {x} since 2026-11-27 01:02:03 UTC: no job of it is begun"
    assert str(finding) == f"{finding.text}; write `deskbell queues resume {shlex.quote('crm')}`"
    assert said("en", finding.whole) == str(finding)
    assert said("zh", finding.whole) == (
        "队列 crm 已暂停，操作人 ann {x}，自 2026-11-27 01:02:03（UTC）起：不会开始其中的任务；"
        "请执行 `deskbell queues resume crm`"
    )
    assert (listed, said("zh", listed)) == ("2 of a, 1 of b, the first for 3 s", "a×2、b×1，最早的已执行 3 秒")
    assert said("zh", "HTTPStatusError 401 at crm.py:9") == "HTTPStatusError 401 at crm.py:9"
    unread = could_not_read(BESIDE_QUEUES[0], ValueError("x"))
    assert said("zh", unread.text) == "服务器版本：Redis 未给出答复：ValueError: x"


def test_a_chinese_page_says_why_a_queue_does_not_move_in_chinese(open_console: ConsoleFactory, redis: Redis) -> None:
    """On Now, on the list of queues and on the page of one; nothing there is marked as English."""
    redis.rpush("rq:queue:crm", "a" * 32)
    redis.sadd("rq:queues", "rq:queue:crm")
    browser = open_console()

    pages = [browser.get(path, headers={"Accept-Language": "zh"}).text for path in ("/", "/queues", "/queues?name=crm")]

    for page in pages:
        assert "没有在线的工作进程读取队列 crm；请启动 <code>deskbell worker crm</code>" in page
        assert 'lang="en"' not in page.partition("<main")[2]

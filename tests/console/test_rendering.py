"""What comes from outside is shown as text."""

import pytest
from markupsafe import Markup

from console.rendering import LONGEST, TEMPLATES, age, labelled, ms, shown

HOSTILE = ["<script>alert(1)</script>", "\"' onmouseover=alert(1) x='", "a\x00\x1b[31mb", "a\u202eb\u2066c", "\ud800"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_text(value: str) -> None:
    """In an element and in an attribute; control characters and marks of direction are written out."""
    page = TEMPLATES.from_string("""<p title="{{ value }}">{{ value }}</p>""").render(value=value)

    assert page.count("<") == page.count(">") == 2
    assert page.count('"') == 2
    assert all(character.isprintable() for character in page)
    page.encode()


def test_a_long_value_is_cut_and_says_so() -> None:
    """A page stays small, whatever a customer wrote."""
    assert shown("x" * 200_000) == "x" * LONGEST + "… (+199,000)"


def test_a_number_that_python_does_not_write_out_is_no_defect() -> None:
    """JSON may hold an integer of any length."""
    assert shown(10**5000) == "±10^4300…"
    assert shown(1400000001_1400000001) == "14000000011400000001"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.4, "0 s"), (61, "1 min 1 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float | None, text: str) -> None:
    """Nobody counts 90,000 seconds."""
    assert age(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (7, "7 ms"), (1500, "1.5 s"), (float("inf"), "> 60 s")])
def test_a_buckets_bound_is_told_as_a_time(value: float | None, text: str) -> None:
    """The last bucket has none."""
    assert ms(value) == text


def test_a_command_of_a_sentence_stands_out_and_nothing_in_it_is_obeyed() -> None:
    """It stands between backticks, as in the documents."""
    page = TEMPLATES.from_string("{{ sentence | commands }}").render(sentence="write `deskbell <b>`, \u202e")

    assert page == "write <code>deskbell &lt;b&gt;</code>, \\u202e"


def test_each_cell_of_a_table_knows_its_head() -> None:
    """For phones, where a row is a list; a cell across all columns has none, and a value is no cell."""
    rows = Markup('<tr><th scope="row">{0}</th><td>{0}</td></tr><tr><td colspan="2">{0}</td></tr>').format("<td>")

    assert labelled(rows, {"a": "", "b": "n"}, {"a": "queue", "b": '"'}.__getitem__) == (
        '<tr><th data-label="Queue" scope="row">&lt;td&gt;</th><td data-label="&#34;">&lt;td&gt;</td></tr>'
        '<tr><td colspan="2">&lt;td&gt;</td></tr>'
    )

"""What Desk sends as arguments, and results as what Desk takes: as docs/reference/http.md says, and back."""

import enum
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from time import thread_time
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, AllowInfNan, AwareDatetime, BaseModel, ConfigDict, Field, PastDate, PositiveInt
from typing_extensions import TypedDict

from shared.errors import ResultError, VariableError
from shared.handlers.variables import Inputs, to_variables
from shared.wire.json_values import text

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "http.md"
MISFIT = "does not fit"


class Size(enum.Enum):
    SMALL = 1
    LARGE = "l"


class Address(BaseModel):
    city: str


NAMES = {
    "Decimal": Decimal,
    "Literal": Literal,
    "Size": Size,
    "Address": Address,
    "datetime": datetime,
    "date": date,
    "timedelta": timedelta,
    "UTC": UTC,
}


_made: list[tuple[Any, Inputs]] = []


def inputs_of(annotation: Any) -> Inputs:
    """The converter for a parameter of a type, made once: making one takes longer than many conversions."""
    for known, inputs in _made:
        if known is annotation:
            return inputs
    parameter = inspect.Parameter("Value", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    _made.append((annotation, Inputs("acme.handler", [parameter])))
    return _made[-1][1]


def argument(annotation: Any, came: Any) -> Any:
    """What a parameter gets for a value; MISFIT when that does not fit."""
    try:
        return inputs_of(annotation).bind({"Value": came}, blanks=True)["Value"]
    except VariableError as error:
        return MISFIT if MISFIT in str(error) else str(error)


def rows(header: str) -> Iterator[list[str]]:
    """The rows of a table of the document, by its first line."""
    lines = DOCUMENT.read_text().splitlines()
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def code(cell: str) -> str:
    """The code that a cell of a table begins with."""
    return cell.split("`")[1] if "`" in cell else ""


INPUTS = list(rows("| annotation | what comes | argument |"))
OUTPUTS = list(rows("| value | text |"))


@pytest.mark.parametrize("row", INPUTS, ids=" ".join)
def test_what_comes_is_converted_as_documented(row: list[str]) -> None:
    """Each row of the table."""
    annotation, came, expected = row

    bound = argument(eval(code(annotation), NAMES), json.loads(code(came)))  # noqa: S307 - our own document

    wanted = MISFIT if expected == MISFIT else eval(code(expected), NAMES)  # noqa: S307 - our own document
    assert (type(bound), bound) == (type(wanted), wanted)


@pytest.mark.parametrize("row", OUTPUTS, ids=" ".join)
def test_a_result_becomes_text_as_documented(row: list[str]) -> None:
    """Each row of the table."""
    value, expected = eval(code(row[0]), NAMES), row[1]  # noqa: S307 - our own document

    if expected.startswith("no text"):
        with pytest.raises(ResultError):
            to_variables({"Value": value})
    else:
        assert to_variables({"Value": value}) == {"Value": code(expected)}


def test_the_tables_are_there() -> None:
    """A test over no rows proves nothing."""
    assert (len(INPUTS), len(OUTPUTS)) == (30, 16)


class Strictly(BaseModel):
    model_config = ConfigDict(strict=True)

    day: date
    count: int


class Line(TypedDict):
    name: str
    count: int


@dataclass
class Point:
    x: int


class Tree(BaseModel):
    below: list["Tree"] = []


@pytest.mark.parametrize(
    ("annotation", "came", "expected"),
    [
        (str, " 1002 ", " 1002 "),
        (str, 1.5, "1.5"),
        (int, "-7", -7),
        (int, "9" * 100, int("9" * 100)),
        (float, 3, 3.0),
        (Decimal, 3, Decimal(3)),
        (bool, True, True),
        (Annotated[str, AfterValidator(str.upper)], "abc", "ABC"),
        (Strictly, '{"day":"2026-01-31","count":1}', Strictly(day=date(2026, 1, 31), count=1)),
        (Strictly, {"day": "2026-01-31", "count": 1}, Strictly(day=date(2026, 1, 31), count=1)),
        (Strictly, '{"day":"2026-01-31","count":"1"}', MISFIT),
        (Line, '{"name":5,"count":"1"}', {"name": "5", "count": 1}),
        (Line, '{"name":"a"}', MISFIT),
        (Point, ' {"x":"1"}', Point(1)),
        (Tree, '{"below":[{}]}', Tree(below=[Tree()])),
        (list[Line], '[{"name":"a","count":1}]', [{"name": "a", "count": 1}]),
        (list[Literal[1, 2]], ["1", 2.0], [1, 2]),
        (list[Literal[1, 2]], "[3]", MISFIT),
        (list[datetime], "[20260131]", MISFIT),
        (list[float], "[1e999]", MISFIT),
        (list[int], "[1,", MISFIT),
        (list[int], "[NaN]", MISFIT),
        (list[str], r'["Li \ud83d", "\ud83d\ude00"]', ["Li \ufffd", "😀"]),
        (list[int] | None, "[1]", [1]),
        (Annotated[list[datetime], Field(min_length=1)], "[20260131]", MISFIT),
        (tuple[int, str], '[1,"a"]', (1, "a")),
        (set[int], "[1,1]", {1}),
        (dict[int, Decimal], '{"1":1.5}', {1: Decimal("1.5")}),
        (Size, "l", Size.LARGE),
        (Size, 1.0, Size.SMALL),
        (Size, "2", MISFIT),
        (Literal[Size.SMALL, "x"], "1", Size.SMALL),
        (Literal[1, "1"], "1", "1"),
        (Literal[True], "true", True),
        (int | str, "5", "5"),
        (Annotated[Literal[1, 2], Field(description="Which.")], "2", 2),
        (Annotated[float, AllowInfNan(True)], "inf", float("inf")),
        (Annotated[int, Field(ge=1)], True, MISFIT),
        (PositiveInt, "7", 7),
        (PastDate, "20200101", MISFIT),
        (AwareDatetime, "20260131", MISFIT),
        (AwareDatetime, "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (datetime, "1769860800", MISFIT),
        (datetime, "20260131120000", MISFIT),
        (datetime, "2026.5", MISFIT),
        (time, "120000", MISFIT),
        (time, "12:00", time(12)),
        (timedelta, 30, MISFIT),
        (int, 1e22, 10**22),
        (Any, "[1]", "[1]"),
        (Any, [1, True], [1, True]),
        (bytes, "x", b"x"),
        (UUID, 10**31, UUID(f"{10**31}")),
    ],
)
def test_a_structure_and_its_parts_are_converted(annotation: Any, came: Any, expected: Any) -> None:
    """Out of JSON text or as JSON; numbers and texts alike at every depth that annotations say."""
    assert argument(annotation, came) == expected


@pytest.mark.parametrize(
    ("annotation", "came"),
    [
        (datetime, "1" * 250_000 + "x"),
        (timedelta, "1" * 250_000 + ".x"),
        (list[int], json.dumps([{}] * 80_000)),
        (list[int] | list[date] | None, json.dumps([{}] * 80_000)),
        (Annotated[tuple[int, ...], Field(min_length=1)], json.dumps([{}] * 80_000)),
        (dict[str, list[int]], json.dumps({"a": ["x"] * 60_000})),
    ],
    ids=lambda value: str(value)[:40],
)
def test_no_text_that_fits_a_body_holds_the_loop(annotation: Any, came: str) -> None:
    """What a customer wrote is converted on the event loop, where all other callbacks wait: never for half a budget."""
    began = thread_time()

    assert argument(annotation, came) == MISFIT

    assert thread_time() - began < 0.5


SCALARS = [
    *(str, int, float, Decimal, bool, datetime, date, time, timedelta, Size, UUID, bytes),
    *(Literal[1, 2], Literal["1", "true"], int | None, Annotated[int, Field(ge=0)]),
]


@pytest.mark.parametrize("annotation", SCALARS, ids=str)
@given(
    came=st.booleans()
    | st.integers()
    | st.integers(0, 3)
    | st.integers(10**12, 10**13)
    | st.floats(allow_nan=False)
    | st.sampled_from([0.0, 1.0, 20260131.0])
)
def test_a_number_and_its_text_are_the_same_argument(annotation: Any, came: Any) -> None:
    """Whatever the type, fitting or not: which of the two Desk sends is its own affair."""
    assert argument(annotation, came) == argument(annotation, text(came))


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXT),
    (int, st.integers()),
    (float, FINITE),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)),
    (bool, st.booleans()),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.just(UTC))),
    (timedelta, st.timedeltas(timedelta(days=-999), timedelta(days=999))),
    (UUID, st.uuids()),
    (Size, st.sampled_from(Size)),
    (Literal[1, "x"], st.sampled_from([1, "x"])),
    (list[str], st.lists(TEXT)),
    (list[int], st.lists(st.integers())),
    (list[float], st.lists(FINITE)),
    (list[date], st.lists(st.dates())),
    (set[int], st.sets(st.integers())),
    (tuple[int, str], st.tuples(st.integers(), TEXT)),
    (dict[str, bool], st.dictionaries(TEXT, st.booleans())),
    (list[list[int]], st.lists(st.lists(st.integers()))),
    (Address, st.builds(Address, city=TEXT)),
    (list[Size], st.lists(st.sampled_from(Size))),
]


@pytest.mark.parametrize(("annotation", "values"), VALUES, ids=[str(annotation) for annotation, _ in VALUES])
@given(data=st.data())
def test_what_one_node_answers_another_reads(annotation: Any, values: Any, data: st.DataObject) -> None:
    """A result that becomes text is the same value again where a parameter has its type."""
    value = data.draw(values)

    answered = to_variables({"Value": value})

    assert answered is not None
    assert argument(annotation, answered["Value"]) == value

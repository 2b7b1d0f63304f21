"""The wire."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from shared.errors import PacketError
from shared.redis.job_data import read_data
from shared.wire.protocol import API_CALL, RECEIPT, envelope, parse_packet, sign
from tests.conftest import PACKETS

APP = "1400000001"


def body(**fields: Any) -> bytes:
    """A packet's bytes; an API call unless the fields say otherwise."""
    return json.dumps({"CallbackCommand": API_CALL, "Body": {}, **fields}).encode()


VECTOR = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"  # of PROTOCOL §2


@pytest.mark.parametrize(
    ("token", "request_time", "expected"),
    [("xxxxyyyy", "1669872112", VECTOR), ("钥匙", "1", hashlib.sha256("钥匙1".encode()).hexdigest())],
)
def test_sign_is_the_documented_digest(token: str, request_time: str, expected: str) -> None:
    """It is taken over UTF-8, since a token may hold any text."""
    assert sign(token, request_time) == expected


def test_the_receipt_is_the_documented_one() -> None:
    """Three fields in the order of PROTOCOL §1, and no Body."""
    assert RECEIPT == b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


SAMPLE = PACKETS.joinpath("api_call.reply.json").read_bytes().strip()  # of PROTOCOL §3.1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (envelope(body={"testKey1": "value1", "testKey3": "10"}), SAMPLE),
        (envelope(body={}), b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"Body":{}}'),
        (envelope(1007, "a is missing"), b'{"ActionStatus":"FAIL","ErrorInfo":"a is missing","ErrorCode":1007}'),
    ],
)
def test_an_envelope_has_the_documented_order(answer: bytes, expected: bytes) -> None:
    """Three fields that agree, and variables last; an empty body of variables is kept apart from none."""
    assert answer == expected


@pytest.mark.parametrize(
    "packet", sorted(path.name for path in PACKETS.glob("*.json") if not path.name.endswith(".reply.json"))
)
def test_every_documented_packet_is_read(packet: str) -> None:
    """The samples of PROTOCOL §3 are packets, read without loss."""
    content = PACKETS.joinpath(packet).read_bytes()

    assert parse_packet(content) == json.loads(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"OrderID=1002", id="a form"),
        pytest.param(b'{"CallbackCommand":"A.B" // a comment\n}', id="a comment, as in the samples"),
        pytest.param(b"\x1f\x8b\x08\x00", id="gzip"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param(b'{"CallbackCommand":"A.B"', id="broken off"),
        pytest.param(b'{"CallbackCommand":"A.B"} {}', id="two values"),
        pytest.param(b'{"CallbackCommand":"A.B","n":NaN}', id="NaN"),
        pytest.param(b'{"CallbackCommand":"A.B","n":Infinity}', id="Infinity"),
        pytest.param(b'{"CallbackCommand":"A.B","n":-Infinity}', id="minus Infinity"),
        pytest.param(b'{"CallbackCommand":"A.B","s":"\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"CallbackCommand":"A.B","s":"\\ud80"}', id="half an escape"),
        pytest.param(b'{"CallbackCommand":"A.B","s":"\\ud800"', id="half a surrogate pair, broken off"),
        pytest.param('{"CallbackCommand":"A.B"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b"[" * 1_000_000, id="deep and broken off"),
        pytest.param(b'{"CallbackCommand":"A.B","x":' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep lists"),
        pytest.param(b'{"CallbackCommand":"A.B","x":' + b'{"x":' * 5000 + b"1" + b"}" * 5001, id="deep objects"),
        pytest.param(b'{"CallbackCommand":"A.B","n":' + b"9" * 5000 + b"}", id="a huge integer"),
    ],
)
def test_what_is_not_json_is_refused(content: bytes) -> None:
    """Whatever is wrong with the text, it is one error, and the message quotes nothing of it."""
    with pytest.raises(PacketError) as caught:
        parse_packet(content)

    assert str(caught.value) == "the body is not valid JSON"


@pytest.mark.parametrize(
    "command",
    [
        None,
        "",
        1,
        True,
        [API_CALL],
        {"CallbackCommand": API_CALL},
        " " + API_CALL,
        API_CALL + "\n",
        "A\0B",
        "1.Command",
        "../../etc/passwd",
        "Chatbot.接口",
        "{0.__class__}",
        "A" * 129,
    ],
)
def test_a_command_that_is_no_name_is_refused_unseen(command: Any) -> None:
    """It stands in job descriptions and logs, so only names get that far; the message does not quote it."""
    with pytest.raises(PacketError) as caught:
        parse_packet(body(CallbackCommand=command, Body={}))

    assert str(caught.value) == NAME


def test_a_command_may_have_128_characters() -> None:
    """One more is refused."""
    assert parse_packet(body(CallbackCommand="A" * 128))["CallbackCommand"] == "A" * 128


OBJECT = "the body is not a JSON object"
NAME = "CallbackCommand: expected a name of letters, digits, dots and underscores"
VARIABLES = "Body: expected an object of variables"
OF_OTHER_KINDS: list[Any] = [[1], ["OrderID"], [], "OrderID", "", 1, 0, True, False]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        *(
            (content, OBJECT)
            for content in (b"[]", b'["CallbackCommand"]', b"null", b"true", b"1", b'"CallbackCommand"')
        ),
        (b"{}", NAME),
        (b'{"CallbackCommand":"Chatbot.InterfaceInvocation","EventTime":1}', VARIABLES),
        *((body(Body=variables), VARIABLES) for variables in OF_OTHER_KINDS),
        *((body(CallbackCommand=API_CALL.upper(), Body=variables), VARIABLES) for variables in OF_OTHER_KINDS),
    ],
)
def test_a_packet_is_an_object_with_a_command_and_that_of_an_api_call_with_variables(
    content: bytes, sentence: str
) -> None:
    """In any spelling of the command (PROTOCOL §3.1); the message does not quote what came."""
    with pytest.raises(PacketError) as caught:
        parse_packet(content)

    assert str(caught.value) == sentence


def test_a_body_that_is_null_is_no_variables() -> None:
    """No page mentions it."""
    assert parse_packet(body(Body=None))["Body"] is None


PIECES = st.sampled_from(["\ud83d", "\ude00", "\udfff", "\ud800", "\\", "\\ud83d", "u", "d83d", '"', "é", "😀", "x"])


@pytest.mark.parametrize("escaped", [True, False])
@given(pieces=st.lists(PIECES))
def test_half_a_surrogate_pair_is_replaced(pieces: list[str], escaped: bool) -> None:
    """A chat client that cuts a name leaves one, and the callback comes once: the rest of it is kept as it is."""
    content = {"CallbackCommand": "A.B", "x": "".join(pieces)}
    sent = json.dumps(content, ensure_ascii=escaped).encode("utf-8", "surrogatepass")

    expected = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert parse_packet(sent)["x"] == expected


def test_half_a_surrogate_pair_is_replaced_in_names_too() -> None:
    """They are texts as well."""
    assert parse_packet(rb'{"CallbackCommand":"A.B","\ud83d!":{"\ude00":[]}}') == {
        "CallbackCommand": "A.B",
        "\ufffd!": {"\ufffd": []},
    }


def test_the_body_of_another_command_may_be_anything() -> None:
    """Only API calls have variables; what is unknown is kept (PROTOCOL §3)."""
    assert parse_packet(body(CallbackCommand="Other.Command", Body=[1]))["Body"] == [1]


def test_an_integer_that_is_read_can_be_written_as_text() -> None:
    """Python writes no integer of more than 4,300 digits, so none with more is let in."""
    longest = parse_packet(b'{"CallbackCommand":"A.B","n":-' + b"9" * 4300 + b"}")

    assert str(longest["n"]) == "-" + "9" * 4300
    with pytest.raises(PacketError):
        parse_packet(b'{"CallbackCommand":"A.B","n":' + b"9" * 4301 + b"}")


@pytest.mark.parametrize("pair", ["[]", "{}"])
@pytest.mark.parametrize("depth", [190, 194, 195, 196, 197, 198, 199, 200, 5000])
def test_what_is_taken_can_be_read_again_from_inside_its_job(pair: str, depth: int) -> None:
    """A packet as deep as JSON may be is refused, and not acknowledged only to be unreadable on Redis."""
    opening, closing = ('{"x":', "}") if pair == "{}" else ("[", "]")
    content = f'{{"CallbackCommand":"A.B","x":{opening * depth}1{closing * depth}}}'.encode()
    try:
        packet = parse_packet(content)
    except PacketError:
        assert depth > 194
        return

    assert read_data(to_json(["function", None, [{"packet": packet}], {}]))[2] == [{"packet": packet}]


def test_many_brackets_are_not_deep() -> None:
    """Lists beside each other, and brackets in text, are no levels."""
    wide = {"CallbackCommand": "A.B", "x": [[]] * 1000, "y": "[{" * 1000}

    assert parse_packet(json.dumps(wide).encode()) == wide


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["CallbackCommand", "Body", "x"]), inner),
    max_leaves=10,
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_are_read_as_anything_but_a_packet_or_an_error(content: bytes) -> None:
    """Whatever is posted, PacketError is the only exception."""
    try:
        packet = parse_packet(content)
    except PacketError:
        return
    assert isinstance(packet["CallbackCommand"], str)

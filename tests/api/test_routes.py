from shared import Callbacks
from tests.conftest import PACKETS, ApiFactory


def test_the_documented_packet_is_answered_with_variables_in_the_documented_order(start_api: ApiFactory) -> None:
    """The envelope of PROTOCOL §3.1, byte for byte as the sample has it."""
    callbacks = Callbacks()

    @callbacks.api_call("documented")
    def documented(testKey3: str = "10") -> dict[str, str]:
        return {"testKey1": "value1", "testKey3": testKey3}

    desk = start_api(callbacks)

    answer = desk.post(PACKETS.joinpath("api_call.json").read_bytes(), "documented")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == PACKETS.joinpath("api_call.reply.json").read_bytes().strip()

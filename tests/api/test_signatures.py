"""Who may ring, at the edges that a clock on the wall cannot hit."""

import pytest

from api.errors import Code, Refusal
from api.signatures import Doors
from shared.protocol import sign
from tests.conftest import SettingsFactory
from tests.desk import APP, TOKEN


@pytest.mark.parametrize(("seconds", "admitted"), [(-61, False), (-60, True), (0, True), (60, True), (61, False)])
def test_a_sign_is_good_for_a_minute_either_way(make_settings: SettingsFactory, seconds: int, admitted: bool) -> None:
    """RequestTime may be 60 s from now, not 61 (PROTOCOL §2)."""
    now = 1_669_872_112
    request_time = str(now + seconds)
    query = {"sdkappid": APP, "sign": sign(TOKEN, request_time), "requesttime": request_time}
    doors = Doors(make_settings())

    if admitted:
        assert doors.admit(query, now) == APP
    else:
        with pytest.raises(Refusal) as refused:
            doors.admit(query, now)
        assert refused.value.code is Code.BAD_SIGN


def test_the_documented_vector_is_admitted(make_settings: SettingsFactory) -> None:
    """Token, RequestTime and Sign of PROTOCOL §2."""
    query = {
        "sdkappid": APP,
        "requesttime": "1669872112",
        "sign": "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061",
    }

    assert Doors(make_settings()).admit(query, 1_669_872_112) == APP

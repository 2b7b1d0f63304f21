"""Who may ring: the app, the Sign and the path secret, and what is told of those who may not."""

from typing import Any

import pytest
from pydantic import SecretStr

from api.errors import Refusal
from api.signatures import Doors
from shared.codes import Code
from shared.protocol import fingerprint, sign
from tests.conftest import SettingsFactory
from tests.desk import APP, TOKEN

NOW = 1_669_872_112
OTHER = "1400000002"


def doors(make_settings: SettingsFactory, uses: list[Any] | None = None, **given: Any) -> Doors:
    """Doors for settings, which note the uses of tokens in a list."""
    noted = [] if uses is None else uses
    return Doors(make_settings(**given), lambda *use: noted.append(use))


def query(app_id: str = APP, token: str = TOKEN, seconds: int = 0) -> dict[str, str]:
    """A signed query, `seconds` from now."""
    request_time = str(NOW + seconds)
    return {"sdkappid": app_id, "sign": sign(token, request_time), "requesttime": request_time}


def refusal(doors: Doors, asked: dict[str, str]) -> Refusal:
    """How a query is refused."""
    with pytest.raises(Refusal) as refused:
        doors.admit(asked, NOW)
    return refused.value


@pytest.mark.parametrize(("seconds", "admitted"), [(-61, False), (-60, True), (0, True), (60, True), (61, False)])
def test_a_sign_is_good_for_a_minute_either_way(make_settings: SettingsFactory, seconds: int, admitted: bool) -> None:
    """RequestTime may be 60 s from now, not 61 (PROTOCOL §2); of a stale one the skew is told."""
    if admitted:
        assert doors(make_settings).admit(query(seconds=seconds), NOW) == APP
    else:
        refused = refusal(doors(make_settings), query(seconds=seconds))
        assert (refused.code, refused.cause) == (Code.BAD_SIGN, "sign_stale")
        assert refused.details == {"skew_seconds": -seconds, "app": APP}


def test_the_documented_vector_is_admitted(make_settings: SettingsFactory) -> None:
    """Token, RequestTime and Sign of PROTOCOL §2."""
    vector = {
        "sdkappid": APP,
        "requesttime": "1669872112",
        "sign": "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061",
    }

    assert doors(make_settings).admit(vector, NOW) == APP


@pytest.mark.parametrize(
    ("changed", "code", "cause"),
    [
        ({"sdkappid": "1"}, Code.NOT_OUR_APP, "unknown_app"),
        ({"sign": ""}, Code.BAD_SIGN, "sign_missing"),
        ({"requesttime": ""}, Code.BAD_SIGN, "sign_missing"),
        ({"requesttime": "soon"}, Code.BAD_SIGN, "sign_missing"),
        ({"requesttime": "٣"}, Code.BAD_SIGN, "sign_missing"),
        ({"requesttime": "9" * 400}, Code.BAD_SIGN, "sign_missing"),
        ({"sign": "0" * 64}, Code.BAD_SIGN, "sign_wrong"),
        ({"sign": "é"}, Code.BAD_SIGN, "sign_wrong"),
    ],
)
def test_each_refusal_has_a_cause(
    make_settings: SettingsFactory, changed: dict[str, str], code: Code, cause: str
) -> None:
    """What is wrong is counted apart."""
    refused = refusal(doors(make_settings), query() | changed)

    assert (refused.code, refused.cause) == (code, cause)


def test_a_token_is_good_for_its_own_app_alone(make_settings: SettingsFactory) -> None:
    """Two apps of one service do not share their tokens; one app may have several."""
    ours = doors(make_settings, apps={APP: [SecretStr("old"), SecretStr("new")], OTHER: [SecretStr("theirs")]})

    assert ours.admit(query(APP, "old"), NOW) == ours.admit(query(APP, "new"), NOW) == APP
    assert ours.admit(query(OTHER, "theirs"), NOW) == OTHER
    assert refusal(ours, query(APP, "theirs")).cause == "sign_wrong"
    assert refusal(ours, query(OTHER, "old")).cause == "sign_wrong"


def test_the_use_of_a_token_is_noted_once_it_has_proved_good(make_settings: SettingsFactory) -> None:
    """By fingerprint; a wrong or stale Sign uses none."""
    uses: list[tuple[str, str, float]] = []
    ours = doors(make_settings, uses, apps={APP: [SecretStr("old"), SecretStr("new")]})

    ours.admit(query(token="new"), NOW)
    refusal(ours, query(token="old", seconds=-61))
    refusal(ours, query(token="another"))

    assert uses == [(APP, fingerprint("new"), NOW)]


def test_a_sign_may_be_required_of_one_app_and_not_of_another(make_settings: SettingsFactory) -> None:
    """`SIGNATURE` by SdkAppid; an app it does not name needs one. A wrong one is refused everywhere."""
    ours = doors(
        make_settings,
        apps={APP: [SecretStr(TOKEN)], OTHER: [SecretStr(TOKEN)]},
        signature={OTHER: "when-present"},
    )

    assert ours.admit({"sdkappid": OTHER}, NOW) == OTHER
    assert refusal(ours, {"sdkappid": APP}).cause == "sign_missing"
    assert refusal(ours, query(OTHER) | {"sign": "0"}).cause == "sign_wrong"


def test_without_an_app_a_sign_must_fit_one_of_ours(make_settings: SettingsFactory) -> None:
    """The console's verify button may leave SdkAppid out; it is admitted as no app, and no token counts as used."""
    uses: list[Any] = []
    ours = doors(make_settings, uses, apps={APP: [SecretStr(TOKEN)], OTHER: [SecretStr("theirs")]})

    assert ours.admit(query("", "theirs"), NOW) == ""
    assert uses == []
    assert refusal(ours, query("", "nobody's")).cause == "sign_wrong"
    assert refusal(ours, {}).cause == "sign_missing"


def test_without_an_app_an_app_without_tokens_lets_in(make_settings: SettingsFactory) -> None:
    """Its lock is the path secret, which has been passed."""
    ours = doors(make_settings, apps={APP: [SecretStr(TOKEN)], OTHER: []}, path_secret=SecretStr("s" * 16))

    assert ours.admit({}, NOW) == ""

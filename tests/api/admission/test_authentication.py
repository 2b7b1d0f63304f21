"""Authentication: the app and the Sign, and the cause of each rejection."""

from typing import Any

import pytest
from pydantic import SecretStr

from api.admission.authentication import Authenticator
from api.errors import Rejection
from shared.wire.codes import Code
from shared.wire.protocol import fingerprint, sign
from tests.conftest import SettingsFactory
from tests.desk import APP, TOKEN

NOW = 1_669_872_112
OTHER = "1400000002"


def authenticator(make_settings: SettingsFactory, uses: list[Any] | None = None, **given: Any) -> Authenticator:
    """Authenticator for settings, which note the uses of tokens in a list."""
    noted = [] if uses is None else uses
    return Authenticator(make_settings(**given), lambda *use: noted.append(use))


def query(app_id: str = APP, token: str = TOKEN, seconds: int = 0) -> dict[str, str]:
    """A signed query, `seconds` from now."""
    request_time = str(NOW + seconds)
    return {"sdkappid": app_id, "sign": sign(token, request_time), "requesttime": request_time}


def rejection(ours: Authenticator, asked: dict[str, str]) -> Rejection:
    """How a query is rejected."""
    with pytest.raises(Rejection) as rejected:
        ours.authenticate(asked, NOW)
    return rejected.value


@pytest.mark.parametrize(("seconds", "admitted"), [(-61, False), (-60, True), (0, True), (60, True), (61, False)])
def test_a_sign_is_good_for_a_minute_either_way(make_settings: SettingsFactory, seconds: int, admitted: bool) -> None:
    """RequestTime may be 60 s from now, not 61 (PROTOCOL §2); the rejection of a stale one has the skew."""
    if admitted:
        assert authenticator(make_settings).authenticate(query(seconds=seconds), NOW) == APP
    else:
        rejected = rejection(authenticator(make_settings), query(seconds=seconds))
        assert (rejected.code, rejected.cause) == (Code.BAD_SIGN, "sign_stale")
        assert rejected.details == {"skew_seconds": -seconds, "app": APP}


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
def test_each_rejection_has_a_cause(
    make_settings: SettingsFactory, changed: dict[str, str], code: Code, cause: str
) -> None:
    """What is wrong is counted apart."""
    rejected = rejection(authenticator(make_settings), query() | changed)

    assert (rejected.code, rejected.cause) == (code, cause)


def test_a_token_is_good_for_its_own_app_alone(make_settings: SettingsFactory) -> None:
    """Two apps of one service do not share their tokens; one app may have several."""
    ours = authenticator(make_settings, apps={APP: [SecretStr("old"), SecretStr("new")], OTHER: [SecretStr("theirs")]})

    assert ours.authenticate(query(APP, "old"), NOW) == ours.authenticate(query(APP, "new"), NOW) == APP
    assert ours.authenticate(query(OTHER, "theirs"), NOW) == OTHER
    assert rejection(ours, query(APP, "theirs")).cause == "sign_wrong"
    assert rejection(ours, query(OTHER, "old")).cause == "sign_wrong"


def test_the_use_of_a_token_is_recorded_when_its_sign_is_valid(make_settings: SettingsFactory) -> None:
    """By fingerprint; a wrong or stale Sign uses none."""
    uses: list[tuple[str, str, float]] = []
    ours = authenticator(make_settings, uses, apps={APP: [SecretStr("old"), SecretStr("new")]})

    ours.authenticate(query(token="new"), NOW)
    rejection(ours, query(token="old", seconds=-61))
    rejection(ours, query(token="another"))

    assert uses == [(APP, fingerprint("new"), NOW)]


def test_a_sign_may_be_required_of_one_app_and_not_of_another(make_settings: SettingsFactory) -> None:
    """`SIGNATURE` by SdkAppid; an app it does not name needs one. A wrong one is refused everywhere."""
    ours = authenticator(
        make_settings,
        apps={APP: [SecretStr(TOKEN)], OTHER: [SecretStr(TOKEN)]},
        signature={OTHER: "when-present"},
    )

    assert ours.authenticate({"sdkappid": OTHER}, NOW) == OTHER
    assert rejection(ours, {"sdkappid": APP}).cause == "sign_missing"
    assert rejection(ours, query(OTHER) | {"sign": "0"}).cause == "sign_wrong"


def test_without_an_app_a_sign_must_fit_one_of_ours(make_settings: SettingsFactory) -> None:
    """The console's verify button may leave SdkAppid out; it is admitted as no app, and no token counts as used."""
    uses: list[Any] = []
    ours = authenticator(make_settings, uses, apps={APP: [SecretStr(TOKEN)], OTHER: [SecretStr("theirs")]})

    assert ours.authenticate(query("", "theirs"), NOW) == ""
    assert uses == []
    assert rejection(ours, query("", "nobody's")).cause == "sign_wrong"
    assert rejection(ours, {}).cause == "sign_missing"


def test_without_an_app_an_app_without_tokens_lets_in(make_settings: SettingsFactory) -> None:
    """The path secret, which has been checked before, authenticates it."""
    ours = authenticator(make_settings, apps={APP: [SecretStr(TOKEN)], OTHER: []}, path_secret=SecretStr("s" * 16))

    assert ours.authenticate({}, NOW) == ""

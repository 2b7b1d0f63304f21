"""UserSig, by which Tencent knows an account."""

import pytest
from pydantic import SecretStr

from deskbell.desk.user_sig import SECONDS, UserSigs, read_user_sig, user_sig

# Made once by Tencent's package tls-sig-api-v2 1.1, with a clock that stands still. It is source only, and would have
# to be built wherever the tests run.
VECTORS = [
    (
        ("1400000000", "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e", "xiaojun"),
        (1543393423, 15552000),
        (
            "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQWpYJkTE1NjRDiJZm5EFETY2NLYx"
            "MjY5hZmekgG7wsMkyMjBzNXCq8fP1KMrRL-MNDIv1Li5ySHZ3DIiI90hJ9-EsDg3LNM8ttlWoBCrwzVQ__"
        ),
    ),
    (
        ("1400000001", "a-key", "administrator"),
        (1669872112, 3600),
        (
            "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDCDAECqXWlGQWZQKlDE2MzCAipVk5o"
            "JEDM3MLC3MjQwNjWDmZKaD7CgyyAkzN-TX9vYJLQsPj0o1dsnNS8-xjKxwLdAONEh38oxy9PPzMHZ39Aq0VaoFAA2DNH4_"
        ),
    ),
    (
        ("20000123", "k", "管理员"),
        (1800000000, 86400),
        (
            "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkYkrNkxINgaSJgVlMqamJqQVMXXFKdmJBQWYKUJWRARAYGhlDZVIrCjKLUoHiFmYmBg"
            "ZQwZLMXJCQoYUBFMCMyUwH2RMa5Jmd7RwUZhCUFeli7BIaFpbnZlphGeKR5OMa6maYH15ZlpMe5JNnlppuq1QLAAsFNLw_"
        ),
    ),
]


@pytest.mark.parametrize(("account", "validity", "expected"), VECTORS)
def test_it_is_what_tencents_package_makes(
    account: tuple[str, str, str], validity: tuple[int, int], expected: str
) -> None:
    """Byte for byte: nobody else can tell whether a signature is right."""
    now, seconds = validity

    assert user_sig(*account, now=now, seconds=seconds) == expected
    assert read_user_sig(expected)["TLS.identifier"] == account[2]


@pytest.mark.parametrize("text", ["", "no base64!", "YQ__", "eJwDAAAAAAE_", "eJyzMFcAAABdADA_"])
def test_what_is_none_says_nothing(text: str) -> None:
    """A server that checks one must not fail at it."""
    assert read_user_sig(text) == {}


def test_one_is_used_until_it_is_about_to_expire() -> None:
    """Signing each request anew would be waste, and an expired one is refused."""
    now = [1_800_000_000.0]
    sigs = UserSigs("1400000001", SecretStr("a-key"), "administrator", clock=lambda: now[0])

    made = []
    for seconds in (0, SECONDS / 2, SECONDS - 1, 0):  # the clock is set back in the end
        now[0] = 1_800_000_000.0 + seconds
        made.append(sigs.current())

    assert made[0] == made[1] == made[3]
    assert made[0] != made[2]
    assert read_user_sig(made[2])["TLS.time"] == 1_800_000_000 + SECONDS - 1


def test_one_that_tencent_did_not_take_is_made_anew() -> None:
    """Its clock may be another; the next attempt must not send the same one."""
    now = [1_800_000_000.0]
    sigs = UserSigs("1400000001", SecretStr("a-key"), "administrator", clock=lambda: now[0])
    refused = sigs.current()
    now[0] += 1

    sigs.forget()

    assert sigs.current() != refused


def test_neither_the_key_nor_a_signature_is_shown() -> None:
    """A traceback's locals, a log line and a debugger show what `repr` says."""
    sigs = UserSigs("1400000001", SecretStr("a-key"), "administrator")

    assert "a-key" not in repr(vars(sigs))
    assert sigs.current() not in repr(sigs)

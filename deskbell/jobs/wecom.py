"""WeCom (企业微信): each API call writes what a member's remark says about a customer, `externalcontact/remark`.

WeCom knows no user of Desk: a function of the integrator's says which customer of which member an event is about, and
what to write. Every reply is HTTP 200 with an `errcode`, which decides what becomes of the job. The access token is
shared by all workers, an older event never overwrites a newer one, and five jobs run at once, in all workers together:
WeCom serves no more (45033).

Sources: developer.work.weixin.qq.com/document/path/96317 (the call), 91039 (the token), 90454 (rates), 90455 (codes);
developers.weixin.qq.com/community/enterprisewechat/doc/0000c80533033826589c94f6356400 (42001, 45033). From memory: the
codes 40091, 48002 and 60020, and that a field which is left out stays as it is.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from deskbell import ApiCall, Breaker, Concurrency, Discard, Jobs, Settings
from deskbell.adapters.contacts import Write, contact_key, redis_of
from deskbell.adapters.needs import require
from deskbell.adapters.once import Once
from deskbell.adapters.outcomes import Outcomes, away, away_for, failed, wait
from deskbell.adapters.tokens import Fetched, SharedToken, token_refused
from deskbell.http import Client, client
from shared.declarations.functions import check_plain_function

_MOST = {"remark": 20, "description": 150, "remark_company": 20}  # characters, not bytes: page 96317
_AT_ONCE = 5


def _errcode(body: Any) -> int | None:
    return body["errcode"] or None


wecom = Outcomes(
    "WeCom",
    {
        "-1": failed,  # it is busy
        "6000": failed,  # somebody else writes the same
        "40001": away,  # the secret
        "40013": away,  # the corp id
        "40014": token_refused,  # WeCom has ended it
        "40091": away,  # the secret
        "42001": token_refused,  # it has expired
        "45009": away_for(60),  # who exceeds the calls of a minute is blocked for 60 s, of an hour, for an hour: 90454
        "45033": wait(2),  # too many at once, other programs of the corp among them
        "48002": away,  # the app may not call this
        "60020": away,  # nor from this address
    },
    _errcode,
)
"""What each `errcode` means; any other is discarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a member's remark says about a customer; what is empty here stays as it is in WeCom.

    Attributes:
        userid: the member.
        external_userid: the customer, by the id that the app of `DESKBELL_WECOM_SECRET` is given.
        remark: the name that the member has for the customer; what exceeds 20 characters is cut off.
        description: what exceeds 150 characters is cut off.
        remark_company: the customer's company, of users of WeChat; what exceeds 20 characters is cut off.
        remark_mobiles: phone numbers, which replace those that are there.
    """

    userid: str
    external_userid: str
    remark: str = ""
    description: str = ""
    remark_company: str = ""
    remark_mobiles: tuple[str, ...] = ()


def remark_jobs(remark_of: Callable[[ApiCall], Remark | None]) -> Jobs:
    """The job type `wecom.remark` on the queue `wecom`: `jobs.include(wecom.remark_jobs(remark_of))`.

    Args:
        remark_of: a function that says what to write for an API call; None for nothing, as for a user who is no
            customer in WeCom. It runs in the job, in a thread, and may raise what a job may.

    Raises:
        DeclarationError: it is no function, or an `async def`.
    """
    check_plain_function(remark_of, "wecom.remark_jobs(remark_of)")
    jobs = Jobs()

    @jobs.on(
        ApiCall,
        name="wecom.remark",
        queue="wecom",
        attempts=8,
        timeout=50,
        ordered_by="SystemClientUserID",  # what a remark leaves out stays: an older call's may be all there is
        limit=Concurrency(_AT_ONCE),
        breaker=Breaker(failures=10, pause=30),
    )
    def write_remark(event: ApiCall, settings: Settings) -> None:
        remark = remark_of(event)
        if remark is not None:
            _write(remark, event, settings)

    return jobs


def _write(remark: Remark, event: ApiCall, settings: Settings) -> None:
    """Write a remark, unless a newer event has.

    Raises:
        Retry: WeCom answered 45033: again later, which is no attempt.
        Unavailable: it takes neither secret nor token, or no more calls (45009); the queue is paused.
        Discard: it answered another `errcode`, or the remark says nothing.
        OutOfTurnError: another job writes this remark or fetches the token; tried again in a second.
        HTTPError: it is busy, answered 5xx or not at all; tried again with backoff.
    """
    body = {name: value for name, value in asdict(remark).items() if value}
    body |= {name: body[name][:most] for name, most in _MOST.items() if name in body}
    if len(body) <= len(("userid", "external_userid")):
        raise Discard("the remark says nothing: WeCom takes none without remark, description, company and mobiles")
    url, redis = settings.wecom_url, redis_of(settings.redis_url.get_secret_value())
    key = contact_key(f"{url}\n{settings.wecom_corp_id}\n{remark.userid}", remark.external_userid)
    http = _client(url)

    def send(token: str) -> None:
        write = Write(redis, key, event.id)
        if write.begin():
            parameters = {"access_token": token}
            wecom.send(http, "POST", "/cgi-bin/externalcontact/remark", write=write, params=parameters, json=body)

    _token(settings).call(send)


def _token(settings: Settings) -> SharedToken:
    """The app's token, for all workers.

    Raises:
        ConfigError: a setting is missing.
    """
    require("wecom.remark", settings)
    url, corp, secret = settings.wecom_url, settings.wecom_corp_id, settings.wecom_secret.get_secret_value()

    def fetch() -> Fetched:
        reply = wecom.send(_client(url), "GET", "/cgi-bin/gettoken", params={"corpid": corp, "corpsecret": secret})
        body = reply.json()
        return Fetched(body["access_token"], body["expires_in"])

    return SharedToken(redis_of(settings.redis_url.get_secret_value()), f"{url}\n{corp}", secret, fetch)


_client = Once(client, Client.close)  # it keeps its connections

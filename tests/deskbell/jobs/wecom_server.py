"""A stand-in of WeCom's server API, as far as customer remarks go.

It answers every call with HTTP 200 and an `errcode`, and enforces what the pages say
(developer.work.weixin.qq.com/document/path/…):

- 91039: `gettoken` by `corpid` and `corpsecret`, 7,200 s. A token may end earlier. While one is valid, the same is
  given again (an observation: blog.csdn.net/sgx1825192/article/details/135520290).
- 96317: `externalcontact/remark`: its fields, 20 and 150 characters, and that they may not all be missing.
- 90454: so many calls of one API in a minute; who exceeds them is blocked for 60 s: 45009.
- developers.weixin.qq.com community 000ee4c8…: more than five calls at once of this API: 45033.
- 90455 has the codes. From memory is which of them an argument gets that does not fit (40058), and that a member who
  is not there is 60111.
"""

import itertools
import time
from collections import deque
from typing import Any

from tests.deskbell.jobs.stand_in import Reply, Request, StandIn

CORP, SECRET = "ww-a-corp", "a-corp-secret"
MEMBER, CUSTOMER = "zhangsan", "wmAAAAcustomer"
MOST_AT_ONCE = 5
BLOCKED_SECONDS = 60
MOST = {"remark": 20, "description": 150, "remark_company": 20}


class WeCom(StandIn):
    """The service.

    Attributes:
        written: of each customer, the descriptions that were written, in order.
        fetches: how many times a token was asked for.
        most_a_minute: of calls to write a remark.
        at_once, most_seen_at_once: how many calls to write a remark are under way, and were at the same time.
        pause: while it is cleared, a remark is not answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.secret = SECRET
        self.expires_in = 7200
        self.written: dict[str, list[str]] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.fetches = 0
        self.most_a_minute = 10_000
        self.most_seen_at_once = 0
        self._numbers = itertools.count(1)
        self._token, self._until = "", 0.0
        self._ended: set[str] = set()
        self.at_once = 0
        self._calls: deque[float] = deque()
        self._blocked_until = 0.0

    def expire(self) -> None:
        """Let the token's time be over: 42001."""
        with self.lock:
            self._until = 0.0

    def end_token(self) -> None:
        """End the token early, as an operation of WeCom's may: 40014."""
        with self.lock:
            self._ended.add(self._token)
            self._until = 0.0

    def unblock(self) -> None:
        """Let the minute pass for which who called too often is blocked."""
        with self.lock:
            self._calls.clear()
            self._blocked_until = 0.0

    def may_fail(self, request: Request) -> bool:
        """Faults are for remarks."""
        return request.path.endswith("/remark")

    def answer(self, request: Request) -> Reply:
        """Answer as WeCom does: always 200."""
        routes = {
            ("GET", "/cgi-bin/gettoken"): self._give_token,
            ("POST", "/cgi-bin/externalcontact/remark"): self._counted,
        }
        route = routes.get((request.method, request.path))
        return _error(404, "no such API") if route is None else route(request)

    def _give_token(self, request: Request) -> Reply:
        with self.lock:
            self.fetches += 1
            if request.query.get("corpid") != CORP:
                return _error(40013, "invalid corpid")
            if request.query.get("corpsecret") != self.secret:
                return _error(40001, "invalid credential")
            if time.monotonic() >= self._until:
                self._token, self._until = f"wecom-token-{next(self._numbers)}", time.monotonic() + self.expires_in
            return Reply(
                200, {"errcode": 0, "errmsg": "ok", "access_token": self._token, "expires_in": self.expires_in}
            )

    def _counted(self, request: Request) -> Reply:
        with self.lock:
            self.at_once += 1
            self.most_seen_at_once = max(self.most_seen_at_once, self.at_once)
            is_too_many = self.at_once > MOST_AT_ONCE
        try:
            if is_too_many:
                return _error(45033, "api concurrent out of limit")
            self.wait()
            return self._refusal(request) or self._write(request.body)
        finally:
            with self.lock:
                self.at_once -= 1

    def _refusal(self, request: Request) -> Reply | None:
        with self.lock:
            token, now = request.query.get("access_token"), time.monotonic()
            if token is None:
                return _error(41001, "access_token missing")
            if token != self._token or token in self._ended:
                return _error(40014, "invalid access_token")
            if now >= self._until:
                return _error(42001, "access_token expired")
            return self._blocked(now)

    def _blocked(self, now: float) -> Reply | None:
        while self._calls and self._calls[0] < now - 60:
            self._calls.popleft()
        self._calls.append(now)
        if len(self._calls) > self.most_a_minute:
            self._blocked_until = now + BLOCKED_SECONDS
        return _error(45009, "api freq out of limit") if now < self._blocked_until else None

    def _write(self, body: Any) -> Reply:
        if not isinstance(body, dict):
            return _error(47001, "data format error")
        if body.get("userid") != MEMBER:
            return _error(60111, "userid not found")
        customer = body.get("external_userid", "")
        if not customer.startswith(("wm", "wo")):
            return _error(40096, "invalid external userid")
        if not customer.startswith(CUSTOMER):
            return _error(84061, "not external contact")
        texts = {name: body[name] for name in (*MOST, "remark_mobiles") if name in body}
        if not texts or any(len(texts.get(name, "")) > most for name, most in MOST.items()):
            return _error(40058, "invalid Request Parameter")
        with self.lock:
            self.written.setdefault(customer, []).append(texts.get("description", ""))
            self.fields.setdefault(customer, {}).update(texts)
            self.count_write()
        return _error(0, "ok")


def _error(code: int, text: str) -> Reply:
    more = (
        ""
        if code == 0
        else f", hint: [1704941403], more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    )
    return Reply(200, {"errcode": code, "errmsg": text + more})

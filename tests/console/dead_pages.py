"""The pages of dead letters, as a test reads them."""

import html
import json
import re
from typing import Any

import httpx
from redis import Redis

from tests.console.browsing import Browser
from tests.waiting import until


def fields(page: httpx.Response, button: str) -> dict[str, str]:
    """The hidden fields of the form that has a button of this id."""
    form = next(each for each in re.findall(r"<form.*?</form>", page.text, re.DOTALL) if f'id="{button}"' in each)
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
    return {html.unescape(name): html.unescape(value) for name, value in found}


def link(page: httpx.Response, id_: str) -> str:
    """Where the link of this id leads."""
    (tag,) = re.findall(rf'<a [^>]*id="{id_}"[^>]*>', page.text)
    return html.unescape(re.findall(r'href="([^"]*)"', tag)[0])


def counted(browser: Browser, path: str) -> httpx.Response:
    """A page once what it counts is counted."""
    until(lambda: "They are being counted" not in browser.get(path).text)
    return browser.get(path)


def ended(browser: Browser, answer: httpx.Response) -> httpx.Response:
    """The page of a run, once it is over."""
    assert answer.status_code == 303, answer.text
    path = answer.headers["location"]
    assert path.startswith("/dead/run?id=")
    until(lambda: ">running<" not in browser.get(path).text)
    return browser.get(path)


def figures(page: httpx.Response) -> dict[str, str]:
    """The figures of a page by what they are called."""
    return dict(re.findall(r"<dt>([^<]*)</dt><dd[^>]*>([^<]*)</dd>", page.text))


def queued(redis: Redis) -> int:
    """How many jobs wait on the queue."""
    return int(redis.llen("rq:queue:crm"))


def meta(redis: Redis, letter: str, **given: Any) -> None:
    """Write another record of a failure."""
    redis.hset(f"rq:job:{letter}", "meta", json.dumps({"attempt": 0, "attempts": 8} | given))

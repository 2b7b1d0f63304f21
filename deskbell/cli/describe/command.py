"""`deskbell describe`: prints what the Desk administrator enters."""

import json
import re
import sys
from dataclasses import asdict

from deskbell.cli.defaults import DEV_TOKEN
from deskbell.cli.describe.forms import html, markdown, print_text
from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here
from deskbell.describe.document import URL_RULES, event_section, handler_section, token_section
from deskbell.describe.handlers import description_of
from deskbell.describe.loaded import callback_url, callbacks_to_describe, job_types_to_describe
from deskbell.describe.subscriptions import app_tokens, subscriptions, takers_of_all

_URL = re.compile(r"https?://[^\s!$&?#/]+[^\s!$&?#]*")  # PROTOCOL §1
_TITLE = "What to enter in Tencent Cloud Desk"


def describe(url: str, form: str, *, reveal_secret: bool, reveal_token: bool) -> None:
    """Print handlers, event callbacks and tokens as text, "json", "markdown" or "html"."""
    if not _URL.fullmatch(url):
        stop(
            "--url: expected https:// and the host where Desk reaches the api, without blanks and ! $ & ?, "
            f"such as https://your.host; got {url!r}"
        )
    settings = load_settings_here()
    base = callback_url(url, settings, reveal_secret=reveal_secret)
    handlers = callbacks_to_describe(settings).handlers
    job_types = job_types_to_describe(settings)
    described = [description_of(handler, base) for handler in handlers]
    wanted = subscriptions(job_types, handlers, base)
    tokens = app_tokens(settings, reveal=reveal_token)
    if form == "json":
        facts = {
            "handlers": [asdict(each) for each in described],
            "event_callbacks": [asdict(each) for each in wanted],
            "tokens": [asdict(each) for each in tokens],
        }
        json.dump(facts, sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
        return
    sections = [
        *map(handler_section, described),
        event_section(wanted, takers_of_all(job_types), knows_jobs=bool(settings.jobs)),
        token_section(tokens, DEV_TOKEN, revealed=reveal_token),
    ]
    if form == "text":
        print_text(_TITLE, URL_RULES, sections)
    else:
        sys.stdout.write((html if form == "html" else markdown)(_TITLE, URL_RULES, sections))

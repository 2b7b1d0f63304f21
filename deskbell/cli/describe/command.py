"""`deskbell describe`: prints what the Desk administrator enters."""

import json
import re
import sys
from dataclasses import asdict

from deskbell.cli.describe.document import URL_RULES, event_section, handler_section, token_section
from deskbell.cli.describe.forms import html, markdown, print_text
from deskbell.cli.describe.handlers import description_of
from deskbell.cli.describe.subscriptions import app_tokens, subscriptions, takers_of_all
from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here
from shared.loading import load_callbacks, load_jobs
from shared.settings.config import Settings
from shared.settings.environment import PREFIX

_SECRET = "<DESKBELL_PATH_SECRET>"  # noqa: S105 - what stands in its place
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
    base = _base(url, settings, reveal_secret=reveal_secret)
    handlers = load_callbacks(settings).handlers
    if not handlers:
        stop(
            f"{PREFIX}CALLBACKS: expected package.module:callbacks with handlers to describe, got "
            f"{'none in ' + settings.callbacks if settings.callbacks else 'nothing: set it, in .env for example'}"
        )
    job_types = load_jobs(settings).types if settings.jobs else []
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
        token_section(tokens, revealed=reveal_token),
    ]
    if form == "text":
        print_text(_TITLE, URL_RULES, sections)
    else:
        sys.stdout.write((html if form == "html" else markdown)(_TITLE, URL_RULES, sections))


def _base(url: str, settings: Settings, *, reveal_secret: bool) -> str:
    if settings.path_secret is None:
        return f"{url.rstrip('/')}/callback"
    secret = settings.path_secret.get_secret_value() if reveal_secret else _SECRET
    return f"{url.rstrip('/')}/{secret}/callback"

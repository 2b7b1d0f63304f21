"""One request: who asks, in which language, and how it is answered. Handlers are given it by their role."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from console.access.roles import LOCAL, Role, User
from console.rendering import TEMPLATES, shown
from console.state import State
from console.texts.table import DEFAULT_LANGUAGE, LANGUAGES, preferred, said, table, text
from shared.settings.config import Settings

INTERVALS = (2, 5, 15, 60, 0)
"""Seconds between two looks of a page; 0 stands still."""

THEMES = ("auto", "light", "dark")
_INTERVAL = 5
_LONGEST_NAME = 64


class SignedOutError(Exception):
    """Nobody has signed in."""


class ForbiddenError(Exception):
    """Who has signed in may not do this."""


@dataclass(frozen=True)
class Visit:
    """A request.

    Attributes:
        user: who has signed in; None on the few pages that anybody may see.
    """

    request: Request
    state: State
    user: User | None

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.state.settings

    @property
    def by(self) -> str:
        """Who it is, for the audit log."""
        return f"{self.user.name} (console)" if self.user else "nobody (console)"

    @property
    def address(self) -> str:
        """The request's own path and query, without the prefix: where to come back to, or "/" after a form."""
        if self.request.method != "GET":
            return "/"
        path, query = self.request.url.path, self.request.url.query
        return path + (f"?{query}" if query else "")

    @property
    def whole_address(self) -> str:
        """The same with the shard's part."""
        return self.state.below + self.address

    @property
    def is_update(self) -> bool:
        """Whether the page itself asks, to renew what it shows."""
        return "hx-request" in self.request.headers

    @cached_property
    def language(self) -> str:
        """The language: as chosen, else as the browser prefers."""
        chosen = self.request.cookies.get("deskbell_language", "")
        return chosen if chosen in LANGUAGES else preferred(self.request.headers.get("accept-language", ""))

    @property
    def theme(self) -> str:
        """`auto` follows the system."""
        chosen = self.request.cookies.get("deskbell_theme", "")
        return chosen if chosen in THEMES else THEMES[0]

    @property
    def interval(self) -> int:
        """Seconds between two looks."""
        chosen = self.request.cookies.get("deskbell_interval", "")
        return int(chosen) if chosen in map(str, INTERVALS) else _INTERVAL

    def has_ended(self) -> bool:
        """Whether who asks has signed out since.

        Raises:
            RedisError: Redis does not answer.
        """
        sessions = self.state.sessions
        return sessions.are_needed and sessions.has_ended(self.request)

    def may(self, role: str) -> bool:
        """Whether who asks has a role, by its name in lower case."""
        return self.user is not None and self.user.role >= Role[role.upper()]

    def text(self, key: str, **values: object) -> str:
        """A text in the language of the request."""
        return text(self.language, key, **values)

    def say(self, words: str) -> str:
        """What a command says, too, in the language of the request."""
        return said(self.language, words)

    def name(self, kind: str, word: str, longest: int = _LONGEST_NAME) -> str:
        """The name of an outcome, a state or an action in the language of the request, with that of logs as its title.

        Args:
            kind: see `texts/names.py`.
            word: one that the table does not have is shown as it is.
            longest: of such a one, how many characters.
        """
        key = f"name.{kind}.{word}"
        if self.language == DEFAULT_LANGUAGE or key not in table():
            return shown(word, longest)
        return Markup('<span title="{}">{}</span>').format(word, self.text(key))

    def choice(self, kind: str, word: str) -> str:
        """The same for a list from which one is chosen, where both are read."""
        key = f"name.{kind}.{word}"
        return word if self.language == DEFAULT_LANGUAGE else f"{self.text(key)} ({word})"

    def url(self, path: str, **query: str | int | None) -> Markup:
        """An address of the console, for an attribute."""
        return escape(self.state.url(path, query))

    def above(self, path: str, **query: str | int | None) -> Markup:
        """An address of the console that is no shard's, for an attribute."""
        return escape(self.state.above(path, query))

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page made of a template, in the layout."""
        notice = self.state.sessions.notice(self.request)
        done = self.text(notice[0], **notice[1]) if notice and not self.is_update else ""
        html = TEMPLATES.get_template(template).render(
            visit=self,
            t=self.text,
            say=self.say,
            url=self.url,
            asset=self.state.assets,
            notice=done,
            pages=self.request.app.state.pages,
            languages=LANGUAGES,
            themes=THEMES,
            intervals=INTERVALS,
            **values,
        )
        response = HTMLResponse(html, status)
        if done:
            self.state.sessions.forget_notice(response)
        return response

    def back(self, path: str, notice: str = "", **values: str | int) -> RedirectResponse:
        """The answer to an action: the way to a page, which says what was done."""
        response = RedirectResponse(self.state.prefix + path, 303)
        if notice:
            self.state.sessions.notify(response, notice, values)
        return response


def visit_of(request: Request) -> Visit:
    """A request of anybody."""
    state: State = request.scope["console"]
    return Visit(request, state, state.sessions.user(request) if state.sessions.are_needed else LOCAL)


class Requires:
    """The dependency that every handler has: it lets users of a role in, and gives the handler its visit.

    Attributes:
        role: the least role; None for the few pages that anybody may see.
    """

    def __init__(self, role: Role | None) -> None:
        self.role = role

    def __call__(self, request: Request) -> Visit:
        """The visit.

        Raises:
            SignedOutError: nobody has signed in, or who had has signed out.
            ForbiddenError: the role is another; the audit log has it.
            RedisError: Redis does not answer.
        """
        visit = visit_of(request)
        if self.role is None:
            return visit
        if visit.user is None or visit.has_ended():
            raise SignedOutError
        if visit.user.role < self.role:
            path = request.url.path.strip("/").replace("/", ".")
            visit.state.refusals.record(path[:_LONGEST_NAME], "", visit.by)
            raise ForbiddenError
        return visit


Anybody = Annotated[Visit, Depends(Requires(None))]
Viewer = Annotated[Visit, Depends(Requires(Role.VIEWER))]
Operator = Annotated[Visit, Depends(Requires(Role.OPERATOR))]
Admin = Annotated[Visit, Depends(Requires(Role.ADMIN))]

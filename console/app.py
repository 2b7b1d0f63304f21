"""The application: every page of `console/pages/`, and what stands before all of them."""

from fastapi import FastAPI, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from console.access.cookies import with_own_cookies
from console.access.headers import with_headers
from console.access.prefix import with_prefix
from console.access.same_origin import same_origin
from console.errors import add_error_pages
from console.page import all_pages
from console.state import State

_LEAST_COMPRESSED = 1000  # bytes of an answer; no page holds a secret that its length could tell


class _KeptFiles(StaticFiles):
    """Files whose address changes with their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """The file; a browser keeps it."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # as it is called
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def make_routes() -> FastAPI:
    """The pages, without what stands before them."""
    app = FastAPI(title="Deskbell console", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.pages = all_pages()
    for page in all_pages():
        app.include_router(page.router)
    app.mount("/static", _KeptFiles(packages=[("console", "static")]))
    add_error_pages(app)
    return app


def with_state(app: ASGIApp, state: State) -> ASGIApp:
    """The app, for requests that know their shard's state, or else that of the process."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            own, path = state.at(scope["path"])
            scope = {**scope, "console": own, "path": path}
        await app(scope, receive, send)

    return answer


def create_app(state: State) -> ASGIApp:
    """The console as an ASGI application.

    Each request is checked where it comes from, then its prefix is taken off, and that of a shard; each answer gets the
    headers that keep code and frames of others out.
    """
    routes = with_prefix(with_own_cookies(with_state(make_routes(), state)), state.base)
    pages = GZipMiddleware(routes, minimum_size=_LEAST_COMPRESSED)
    return with_headers(same_origin(pages, state.origin, local_only=not state.sessions.are_needed))

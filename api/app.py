"""The composition root of the HTTP process: makes its parts, starts them and ends them."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.status import HTTP_404_NOT_FOUND

from api.acceptance.deliveries import Deliveries
from api.admission.authentication import Authenticator
from api.admission.concurrency import ConcurrencyLimit
from api.admission.paths import CallbackPaths
from api.admission.rejections import RejectionLog
from api.admission.token_usage import TokenUsage
from api.errors import http_info
from api.lateness import Lateness
from api.metrics import CONTENT_TYPE, Metrics
from api.monitoring.drift import DriftLog
from api.monitoring.shards import Shards
from api.routes import CallbackRoutes
from api.server.answers import Answer
from api.server.arrival import SINCE
from api.server.connections import RECORD_REJECTION
from api.server.openapi import document
from shared.declarations.personal import is_personal
from shared.handlers.callbacks import Callbacks
from shared.handlers.replies import Replies
from shared.logs import get_log, on_lost_lines
from shared.records.packing import Packing
from shared.runtime.parent import Parent
from shared.settings.config import Settings
from shared.wire.protocol import envelope


def create_app(settings: Settings, callbacks: Callbacks, parent: Parent | None = None) -> CallbackRoutes:
    """The api for these settings and handlers.

    Raises:
        ConfigError: the settings would let anybody call.
    """
    settings.require_authentication()
    metrics = Metrics(handler.name for handler in callbacks.handlers)
    on_lost_lines(metrics.log_lines_lost.inc)
    rejections = RejectionLog(metrics)
    paths = CallbackPaths(settings)
    replies = Replies(callbacks, DriftLog(metrics))
    lateness = Lateness(metrics)
    shards = Shards(settings, replies, metrics, lateness, Packing(settings, public_variables(callbacks)), parent)
    token_usage = TokenUsage(shards.home)
    _warn_of_unknown_apps(settings, callbacks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        lateness.start()
        await shards.start()
        metrics.history.start(shards.home)
        token_usage.start()
        _tune_garbage_collector()
        yield {RECORD_REJECTION: rejections.record, SINCE: asyncio.get_running_loop().time()}
        await token_usage.close()
        await metrics.history.close(shards.home)
        await shards.close()
        rejections.close()
        replies.close()
        lateness.close()

    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        title="Deskbell",
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # a trace would hold the query, and with it Sign
    )

    async def answer_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTP_404_NOT_FOUND and (rejection := paths.rejection(request.scope)):
            rejections.record(rejection, status=HTTP_404_NOT_FOUND)
        return Answer(envelope(error.status_code, http_info(error.status_code)), error.status_code, error.headers)

    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(Exception, _answer_defect)

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether this process is alive."""
        return {"status": "alive"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether events can be kept, where, and what an acknowledgement is worth."""
        status, report = await shards.report()
        return JSONResponse(report, status)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        """What this api counts, for Prometheus."""
        try:
            return Response(metrics.render(*await shards.collect()), media_type=CONTENT_TYPE)
        except (OSError, ValueError) as error:  # the files that the processes share are gone or damaged
            get_log().error("no_metrics", error=error)
            return Response(status_code=503, media_type=CONTENT_TYPE)

    document(app, secret=settings.path_secret is not None)
    return CallbackRoutes(
        app,
        settings=settings,
        paths=paths,
        concurrency=ConcurrencyLimit(settings.max_in_flight),
        authenticator=Authenticator(settings, token_usage.record),
        rejections=rejections,
        replies=replies,
        deliveries=Deliveries(),
        intakes=shards.intakes,
        metrics=metrics,
        lateness=lateness,
    )


def public_variables(callbacks: Callbacks) -> frozenset[str]:
    """The variables of API calls that a handler takes or declares to answer, and none declares as personal."""
    public, personal = set[str](), set[str]()
    for handler in callbacks.handlers:
        for parameter in handler.inputs.parameters if handler.is_node else ():
            (personal if is_personal(parameter.name, parameter.annotation) else public).add(parameter.name)
        for shape in handler.outputs.shapes:
            public |= shape.names
            personal |= shape.personal
    return frozenset(public - personal)


def _warn_of_unknown_apps(settings: Settings, callbacks: Callbacks) -> None:
    for handler in callbacks.handlers:
        unknown = sorted(handler.apps - settings.apps.keys())
        if unknown:
            get_log().warning("unknown_app", handler=handler.name, app=unknown)


def _tune_garbage_collector() -> None:
    """Keep the collector from walking the objects that live as long as the process.

    On 2 cores its pauses were a quarter of the time spent and most of the p99.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _answer_defect(_: Request, __: Exception) -> Response:
    return Answer(envelope(500, "internal error"), 500)

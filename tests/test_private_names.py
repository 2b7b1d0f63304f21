"""The names of libraries that we use though nobody has promised them: a contract with each release that we take.

A name that a library drops would end in an AttributeError somewhere at night, or, where our class overrides it, in
nothing at all: the override would never be called again. `pyproject.toml` keeps other releases out; before one is let
in, these tests say what to look at.
"""

import ast
import asyncio
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.client
import redis.connection
import rq.job
import rq.queue
import rq.rate_limit
import rq.scheduler
import rq.suspension
import rq.worker_registration
import uvicorn
from fakeredis import FakeRedis
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.maint_notifications import MaintNotificationsConfig
from rq.executions import Execution
from rq.worker import BaseWorker
from rq_dashboard import cli as dashboard_cli
from rq_dashboard import web
from sqlalchemy import Row
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState


async def uvicorn_connection() -> HttpToolsProtocol:
    """Before it is made."""
    return HttpToolsProtocol(uvicorn.Config(_no_app, log_config=None), ServerState(), {})


async def uvicorn_answer() -> RequestResponseCycle:
    """A request and its answer, before it has begun."""
    arguments = list(inspect.signature(RequestResponseCycle).parameters)
    return RequestResponseCycle(**dict.fromkeys(arguments))  # type: ignore[arg-type]  # nothing is asked of them


async def uvicorn_server() -> uvicorn.Server:
    """One that has been started and stopped."""
    config = uvicorn.Config(_no_app, port=0, log_config=None, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    await server.shutdown()
    return server


def rq_queue() -> rq.queue.Queue:
    """An empty one."""
    return rq.queue.Queue("crm", connection=FakeRedis())


def rq_job() -> rq.job.Job:
    """Not enqueued."""
    return rq_queue().create_job("acme.work")


def rq_worker() -> BaseWorker:
    """Before it works."""
    return BaseWorker(["crm"], connection=FakeRedis())


def rq_scheduler() -> rq.scheduler.RQScheduler:
    """Before it schedules."""
    return rq.scheduler.RQScheduler(["crm"], connection=FakeRedis())


def sentinel_pool() -> SentinelConnectionPool:
    """Connections to a master that sentinels know."""
    return SentinelConnectionPool("mymaster", AsyncSentinel([]))


def _no_app() -> None: ...


WHAT: dict[str, tuple[Callable[[], Any], str]] = {
    "rq.job": (lambda: rq.job, "_current_job"),
    "rq.job.Job": (
        rq_job,
        (
            "_handle_failure _handle_success dependents_key func get_call_string instance"
            " redis_job_namespace_prefix refresh get_result_ttl get_retry_interval restore"
            " retries_left retry_intervals save_meta failure_callback send_webhooks serializer set_status"
            " should_retry stopped_callback success_callback"
        ),
    ),
    "rq.worker.BaseWorker": (
        rq_worker,
        (
            "_set_ip_address _state bootstrap clean_registries default_result_ttl increment_successful_job_count"
            " increment_failed_job_count increment_total_working_time last_cleaned_at register_death"
            " run_maintenance_tasks serialize"
            " set_state subscribe worker_ttl"
        ),
    ),
    "rq.queue.Queue": (
        rq_queue,
        (
            "_enqueue_job acquire_maintenance_lock deferred_job_registry enqueue_dependents failed_job_registry"
            " finished_job_registry intermediate_queue move_dependents_to_ready ready_job_registry"
            " redis_queue_namespace_prefix release_maintenance_lock scheduled_job_registry started_job_registry"
        ),
    ),
    "rq.scheduler.RQScheduler": (
        rq_scheduler,
        "acquire_locks enqueue_scheduled_jobs heartbeat register_birth stop",
    ),
    "rq.executions": (lambda: rq.executions, "WORKER_EXECUTIONS_KEY_TEMPLATE"),
    "rq.executions.Execution": (lambda: Execution("1", "2", FakeRedis(), "worker"), "created_at delete"),
    "rq.rate_limit": (lambda: rq.rate_limit, "RateLimitRegistry"),
    "rq.suspension": (lambda: rq.suspension, "WORKERS_SUSPENDED"),
    "rq.worker_registration": (lambda: rq.worker_registration, "clean_worker_registry register"),
    "redis.client.Pipeline": (lambda: redis.Redis().pipeline(), "explicit_transaction multi watch"),
    "redis.Redis": (redis.Redis, "connection_pool"),
    "redis.asyncio.sentinel.SentinelConnectionPool": (sentinel_pool, "aclose sentinel_manager"),
    "redis.connection": (lambda: redis.connection, "parse_url"),
    "redis.maint_notifications.MaintNotificationsConfig": (MaintNotificationsConfig, "enabled"),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol": (
        uvicorn_connection,
        (
            "_start_asgi_task app_state connection_lost connection_made cycle data_received logger loop"
            " on_headers_complete on_message_begin on_message_complete on_response_complete pause_writing pipeline"
            " resume_writing scope send_400_response transport"
        ),
    ),
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle": (
        uvicorn_answer,
        "disconnected keep_alive message_event response_complete transport",
    ),
    "uvicorn.Server": (
        uvicorn_server,
        "force_exit handle_exit lifespan serve server_state servers should_exit shutdown startup",
    ),
    "uvicorn.server.ServerState": (ServerState, "tasks"),
    "rq_dashboard.web": (lambda: web, "Job Worker config from_url setup_rq_connection"),
    "rq_dashboard.cli": (lambda: dashboard_cli, "make_flask_app"),
    "sqlalchemy.Row": (lambda: Row, "_mapping"),
}
PYTHONS = {"_current_frames", "_exit"}

ROOMS = ("api", "workers", "shared", "deskbell", "console")
PRODUCT = {str(path): path.read_text() for room in ROOMS for path in sorted(Path(room).rglob("*.py"))}


@pytest.mark.parametrize("owner", WHAT)
def test_a_library_still_has_the_names_that_we_reach_into(owner: str) -> None:
    """One that is gone breaks us, or is silently no longer called: the sentence says which, and where we use it."""
    make, names = WHAT[owner]

    async def there() -> list[str]:
        made = make()
        return dir(await made if inspect.isawaitable(made) else made)

    present = asyncio.run(there())
    for name in names.split():
        users = [path for path, text in PRODUCT.items() if re.search(rf"\b{name}\b", text)]
        assert users, f"nothing in Deskbell uses {owner}'s {name} any more: take it off this table"
        assert name in present, f"{owner} has no {name} any more, which is used in {', '.join(users)}"


def test_every_private_name_that_we_use_of_another_is_on_the_table() -> None:
    """`other._name` and `from library import _name`, in the whole product."""
    known = {name for _, names in WHAT.values() for name in names.split()}

    for path, text in PRODUCT.items():
        assert private_names(text) <= known | PYTHONS, path


def private_names(text: str) -> set[str]:
    """The names with an underscore that a module uses of what is neither its own class nor of our packages."""
    nodes = list(ast.walk(ast.parse(text)))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self"]
    imports = [
        node for node in nodes if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] not in ROOMS
    ]
    used = {node.attr for node in attributes} - functions | {name.name for node in imports for name in node.names}
    return {name for name in used if name.startswith("_") and not name.startswith("__")}

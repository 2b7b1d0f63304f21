"""The command `deskbell`, as a person types it.

Each command imports what it needs when it is called: a worker need not load the HTTP server.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from deskbell.cli import terminal
from deskbell.cli.dead import commands
from deskbell.cli.exit import stop
from deskbell.cli.flow.command import flow, record
from deskbell.cli.operating import queues
from deskbell.cli.personal_data.command import export, forget
from deskbell.cli.send.command import send
from deskbell.cli.words import AT_ONCE, common_first, parent_of, taken_out
from shared.errors import ConfigError, LifespanError
from shared.own_packages import import_own
from shared.settings.env_file import NAME as ENV_FILE
from shared.settings.environment import check_rq_prefix
from shared.settings.proxies import exempt_loopback

MOST_PROCESSES = 256  # a slip of the finger would take the machine

ParentFd = Annotated[
    int | None, typer.Option(hidden=True, help="A supervisor's socket; -1: be one of its processes, without it.")
]

app = typer.Typer(
    help="The back end that answers Tencent Cloud Desk's chatbot callbacks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(commands.app, name="dead")
app.add_typer(queues.app, name="queues")
app.command()(flow)
app.command()(record)
app.command()(send)
app.command()(forget)
app.command()(export)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from shared.version import commit, version

        typer.echo(f"deskbell {version()}" + (f" ({commit()})" if commit() else ""))
        raise typer.Exit


@app.callback()
def deskbell(
    context: typer.Context,
    *,
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and, if known, the commit.", callback=_print_version, is_eager=True
        ),
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="Read this file of settings instead of the package's .env; the environment takes precedence.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Of a Redis cluster: the shard to work on, or several, 0-7, or all.", metavar="NUMBER"),
    ] = None,
) -> None:
    """Refuse, before any command imports RQ, what RQ would stumble over."""
    if env_file:
        os.environ[ENV_FILE] = str(env_file)
    check_rq_prefix()
    if shard is not None or context.invoked_subcommand in AT_ONCE:
        from deskbell.cli.shards import run_on_shards

        run_on_shards(shard or "", context.invoked_subcommand or "", taken_out(sys.argv[1:], "--shard")[1])


@app.command()
def dev(
    show_values: Annotated[bool, typer.Option("--show-values", help="Print the values of variables, too.")] = False,
) -> None:
    """Run api, workers and rq-dashboard on an embedded server, with a CRM and a Desk to try; data in .deskbell/.

    It runs the package that DESKBELL_CALLBACKS and DESKBELL_JOBS name, in `.env` or the environment, as `deskbell new`
    makes one; without them, an example. It reloads when code changes; Ctrl-C ends it.
    """
    from deskbell.cli.dev.command import dev as run

    run(show_values=show_values)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the package, and of the folder that it is made in, here.")],
) -> None:
    """Make a package with handlers, jobs, tests, a flow file, settings and a Dockerfile, ready for `deskbell dev`."""
    from deskbell.cli.new.command import new as run

    run(name)


@app.command()
def demo() -> None:
    """Run the main job on an embedded server: two callbacks, their answers and their jobs."""
    from deskbell.cli.demo import demo as run

    run()


@app.command()
def api(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    processes: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=MOST_PROCESSES)] = 1,
    fd: Annotated[
        int | None, typer.Option(help="Listen on this inherited socket instead (socket activation).", min=0)
    ] = None,
    parent_fd: ParentFd = None,
) -> None:
    """Answer callbacks over HTTP and keep their events on Redis; SIGHUP replaces each process, with new settings."""
    if parent_fd is None:
        from deskbell.cli.api import api as run

        run(host, port, processes, fd)
    else:
        from deskbell.cli.processes.api_process import serve_api

        serve_api(host, port, fd, parent_of(parent_fd))


@app.command()
def worker(
    queues: Annotated[
        list[str] | None,
        typer.Argument(help="Queues to serve, the most urgent first; all of them by default.", metavar="[QUEUE]..."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Jobs that each process performs at once; 64 by default.", min=1)
    ] = None,
    processes: Annotated[
        int, typer.Option(help="Processes, each started again when it dies.", min=1, max=MOST_PROCESSES)
    ] = 1,
    shards: Annotated[
        str, typer.Option(help="Of a Redis cluster, those to work for, 0-7; so many processes for each.")
    ] = "",
    burst: Annotated[bool, typer.Option("--burst", help="End when the queues are empty.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Port for Prometheus, of what the processes count themselves; 0 takes a free one.", min=0, max=65535
        ),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address of that port.")] = "127.0.0.1",
    parent_fd: ParentFd = None,
) -> None:
    """Fan events out and perform jobs; SIGHUP replaces each process, with new settings."""
    if parent_fd is None:
        from deskbell.cli.worker import worker as run

        options = ["--concurrency", str(concurrency)] if concurrency else []
        metrics = None if metrics_port is None else (metrics_host, metrics_port)
        run(queues or [], options, processes, burst=burst, metrics=metrics, shards=shards)
    else:
        from deskbell.cli.processes.worker_process import work

        work(queues or [], concurrency=concurrency, burst=burst, parent=parent_of(parent_fd))


@app.command()
def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 9181,
    username: Annotated[str | None, typer.Option(help="Who may log in.", envvar="RQ_DASHBOARD_USERNAME")] = None,
    password: Annotated[str | None, typer.Option(help="The password.", envvar="RQ_DASHBOARD_PASSWORD")] = None,
) -> None:
    """Serve rq-dashboard: queues, jobs and workers in a browser, with buttons that requeue and delete."""
    from deskbell.cli.dashboard import dashboard as run

    run(host, port, username, password)


@app.command()
def console(
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's own needs users.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 9182,
    fd: Annotated[
        int | None, typer.Option(help="Listen on this inherited socket instead (socket activation).", min=0)
    ] = None,
    rq_dashboard: Annotated[str, typer.Option(help="Where rq-dashboard is, for links into it.", metavar="URL")] = "",
) -> None:
    """Serve the operator's console: what is wrong, calls, queues, dead letters, in a browser, with what to do about it.

    Who may sign in is set by DESKBELL_CONSOLE_USERS; without users, nobody but this machine may use it. Of a Redis
    cluster it shows all shards, or that of --shard.
    """
    from deskbell.cli.console import console as run

    run(host, port, fd, rq_dashboard)


@app.command()
def hash_password() -> None:
    """Ask for a password and print its hash, for DESKBELL_CONSOLE_USERS; a pipe's first line is the password."""
    from deskbell.cli.console import print_hash

    print_hash()


@app.command()
def describe(
    url: Annotated[str, typer.Option(help="Where Desk reaches the api.")] = "https://your.host",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="As one HTML file.")] = False,
    reveal_secret: Annotated[bool, typer.Option("--reveal-secret", help="Write the path secret out.")] = False,
    reveal_token: Annotated[
        bool, typer.Option("--reveal-token", help="Write tokens out, not their fingerprints.")
    ] = False,
) -> None:
    """Print what the Desk administrator must enter, as a text to be mailed.

    For each handler: page, URL, variables, exception handling, what FAIL does.
    Then the event callbacks that jobs need, and the token.
    """
    from deskbell.cli.describe.command import describe as run

    forms = ["json"] * as_json + ["markdown"] * as_markdown + ["html"] * as_html
    if len(forms) > 1:
        stop(f"--{forms[0]} and --{forms[1]} exclude each other")
    run(url, forms[0] if forms else "text", reveal_secret=reveal_secret, reveal_token=reveal_token)


@app.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Import handlers and job types and print what they declare; exit 1 if api or workers would not start with them."""
    from deskbell.cli.settings.check import check as run

    run(as_json=as_json)


@app.command()
def doctor(
    queue: Annotated[
        str | None, typer.Argument(help="The queue that does not move: how it stands and why, and nothing else.")
    ] = None,
    api_redis_url: Annotated[
        str | None,
        typer.Option(
            help="DESKBELL_REDIS_URL as the api has it, where this command goes as another user.",
            envvar="API_REDIS_URL",
            show_envvar=True,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="https:// and the host where Desk reaches the api: does it lead here, and its certificate."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ack_lost_writes: Annotated[bool, typer.Option(help="Acknowledge what Redis has lost, and do no more.")] = False,
) -> None:
    """Say why events or jobs do not move, or may be lost; exit 1 if there is a problem.

    Checks the settings, Redis, the queues and the spool; lists each app's tokens by fingerprint and last use.
    """
    from deskbell.cli.doctor import doctor as run

    run(queue, api_redis_url, url, as_json=as_json, ack_lost_writes=ack_lost_writes)


@app.command()
def top(
    interval: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds between two looks.")] = 2,
    once: Annotated[
        bool, typer.Option("--once", help="Show it once; so it is where the output is no terminal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Once, as JSON.")] = False,
) -> None:
    """Show what goes on, renewed until Ctrl-C: answers, queues, workers, and why a queue does not move.

    Of a Redis cluster it shows a line for each shard, or the queues of that of --shard.
    """
    from deskbell.cli.top.command import top as run

    run(interval, once=once, as_json=as_json)


@app.command()
def events(
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="The event to tell all about.")] = None,
    user: Annotated[str | None, typer.Option(help="Callbacks of this user.", metavar="ID")] = None,
    session: Annotated[str | None, typer.Option(help="Of this session.", metavar="ID")] = None,
    node: Annotated[str | None, typer.Option(help="Of this node.", metavar="NAME")] = None,
    command: Annotated[str | None, typer.Option(help="Of this command of Desk's.", metavar="COMMAND")] = None,
    app_id: Annotated[str | None, typer.Option("--app", help="Of this app.", metavar="SDKAPPID")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="With this outcome: answered, fallback, failed, …", metavar="OUTCOME")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Within two minutes of a time, 14:02 or an ISO date.", metavar="TIME")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Since 90s, 15m, 2h or 7d ago, a time or an ISO date.", metavar="TIME")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until then.", metavar="TIME")] = None,
    limit: Annotated[int, typer.Option(help="So many at most, the newest.", min=1, max=10_000)] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Those that come from now on, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --follow, an object a line.")] = False,
) -> None:
    """Tell what callbacks asked and were told, and, with an ID, which jobs and attempts followed.

    By user and session it finds one among millions; by node, outcome and time it looks back through the records, and
    says how far. Times are this machine's. Values that are not recorded are shown as their length.
    """
    from deskbell.calls.filters import Filters
    from deskbell.cli.events.command import events as run

    typed = (command, node, app_id, outcome, user, session, at, since, until)
    filters = Filters(*(each or "" for each in typed))
    run(id_, filters, limit=limit, follow=follow, as_json=as_json)


@app.command()
def audit(
    count: Annotated[int, typer.Option("--count", help="How many.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell who replayed or discarded dead letters, paused a queue, forgot a user, or was refused; for 90 days."""
    from deskbell.cli.operating.audit import audit as run

    run(count, as_json=as_json)


@app.command()
def unknowns(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List commands, events, fields and system variables that came and no page lists: names alone, to be sent to us.

    Reads the records of callbacks, and the packets of the jobs that Redis still keeps.
    """
    from deskbell.cli.unknowns.report import unknowns as run

    run(as_json=as_json)


def main() -> None:
    """Run the command; what a person typed or set ends it in one sentence."""
    try:
        import_own("api", "console", "examples", "workers")
        terminal.prepare()
        sys.argv[1:] = common_first(sys.argv[1:])
        exempt_loopback()
        try:
            status = app(standalone_mode=False)
        finally:
            terminal.flush()
    except TyperException as error:
        stop_usage(error)
    except typer.Abort:  # a question was not answered with yes
        stop("aborted", 1)
    except ConfigError as error:
        stop(str(error))
    except LifespanError as error:
        stop(str(error), 1)
    except BrokenPipeError:  # `| head` has read enough
        terminal.drop_output()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that is not there or not ours
        terminal.drop_output()
        place = f"{error.filename}: " if error.filename else ""
        stop(f"{place}{error.strerror or error}", 1)
    sys.exit(status)


def stop_usage(error: TyperException) -> NoReturn:
    """End with one sentence about a wrong option or argument; after the help where a command alone was typed."""
    from pydantic import ValidationError

    context = getattr(error, "ctx", None)
    sentence = error.format_message().strip().rstrip(".")
    if isinstance(error.__cause__, ValidationError):  # it says what was expected, and not what came
        first = error.__cause__.errors(include_url=False)[0]
        expected = first["msg"].replace("Input should be", "expected").partition(", unable to parse")[0]
        sentence = sentence.replace(first["msg"], f"{expected}, got {first['input']!r}")
    if not sentence:
        sys.exit(error.exit_code)
    stop(sentence + (f"; see {context.command_path} --help" if context else ""), error.exit_code)

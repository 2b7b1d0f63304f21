"""The command `deskbell`."""

import typer

from cli.api import api
from cli.demo import demo
from cli.dev import dev
from cli.errors import stop
from cli.send import send
from cli.worker import worker
from shared.errors import ConfigError

app = typer.Typer(
    help="The back end that answers Tencent Cloud Desk's chatbot callbacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (dev, demo, api, worker, send):
    app.command()(command)


def main() -> None:
    """Run the command; a wrong setting ends it in one sentence."""
    try:
        app()
    except ConfigError as error:
        stop(str(error))

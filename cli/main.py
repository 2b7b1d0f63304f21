"""The command `deskbell`."""

import typer

from cli.api import api
from cli.errors import stop
from cli.worker import worker
from shared.errors import ConfigError

app = typer.Typer(
    help="The back end that answers Tencent Cloud Desk's chatbot callbacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(api)
app.command()(worker)


@app.callback()
def _commands() -> None:
    pass


def main() -> None:
    """Run the command; a wrong setting ends it in one sentence."""
    try:
        app()
    except ConfigError as error:
        stop(str(error))

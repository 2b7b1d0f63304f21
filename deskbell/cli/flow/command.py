"""`deskbell flow` and `deskbell record`, as a person types them; `playing` and `recording` do it."""

from pathlib import Path
from typing import Annotated

import typer


def flow(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE[::CASE]", help="Files, or folders with flow_*.yaml; by default the current folder."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="The api to play against, with the path secret, if there is one; its Redis by the settings."),
    ] = None,
    app: Annotated[str | None, typer.Option(help="SdkAppid; by default the first of DESKBELL_APPS.")] = None,
    token: Annotated[str | None, typer.Option(help="The app's token; by default its first of DESKBELL_APPS.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit's XML.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each case.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the files, for editors.")] = False,
) -> None:
    """Play conversations of flow files as Desk leads them; exit 1 if anything is not as expected.

    Plays against the api at --url or the `deskbell dev` of this folder; without either, against a stack of its own.
    """
    from deskbell.cli.flow import playing

    if schema:
        playing.print_schema()
    else:
        playing.play(files or [], url, app, token, junit, as_json=as_json)


def record(
    id_: Annotated[str, typer.Argument(metavar="EVENT|SESSION", help="An event's id, or a session's.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new file, flow_….yaml; standard output by default.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Write this variable as it came; may be repeated.")
    ] = None,
    replace: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Put a placeholder for this variable; may be repeated.")
    ] = None,
) -> None:
    """Turn what happened into a flow file, with placeholders for personal values.

    Your handlers answer each event once more, here, with the placeholders, and the file expects those answers.
    """
    from deskbell.cli.flow import recording

    recording.record(id_, file, keep or [], replace or [])

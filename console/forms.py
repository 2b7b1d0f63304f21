"""What a form sends: bounded, and text only."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException
from starlette.requests import Request

from shared.sentences import sentence

MOST_BYTES = 64 * 1024
_MOST_FIELDS = 100


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name.

    Raises:
        HTTPException: it is no form, or too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, sentence("expected a form (application/x-www-form-urlencoded)"))
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, sentence("expected a form of {most:,} bytes or less", most=MOST_BYTES))
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(
            400, sentence("expected a form of {most} fields or less, in UTF-8", most=_MOST_FIELDS)
        ) from None


Fields = Annotated[dict[str, str], Depends(read_form)]


def local_path(text: str) -> str:
    """A path of the console that a form names, to go on to; the first page where it is none, or another site's."""
    is_local = text.startswith("/") and not text.startswith("//") and text.isascii() and text.isprintable()
    return text if is_local and "\\" not in text and len(text) <= MOST_BYTES // 8 else "/"

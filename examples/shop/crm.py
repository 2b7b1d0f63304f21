"""A small CRM over HTTP, to have something to write contacts to: `python -m examples.shop.crm [HOST [PORT]]`."""

import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import JsonValue, TypeAdapter

from shared.logs import configure_logs

_SCHEMA = """
create table if not exists contacts (id text primary key, fields text not null);
create table if not exists enquiries (key text primary key, contact text not null, fields text not null);
"""
_json: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class Database:
    """SQLite: one connection, and a turn for each request; connections of their own would find the file locked."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        self._connection.execute("pragma journal_mode=wal")  # who looks into the file need not wait, nor be waited for
        self._connection.executescript(_SCHEMA)
        self._turn = Lock()

    def ask(self, query: str, *values: str) -> list[tuple[str, ...]]:
        """Carry a query out, kept on the disk when this returns; the rows it gives."""
        with self._turn, self._connection:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def create_app() -> FastAPI:
    """The CRM; `CRM_DATABASE` is its SQLite file, `DESKBELL_CRM_TOKEN` the bearer token it asks for."""
    database = Database(Path(os.environ.get("CRM_DATABASE", ".deskbell/crm.db")))
    expected = "Bearer " + os.environ["DESKBELL_CRM_TOKEN"]

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401)

    @asynccontextmanager
    async def closed_at_the_end(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(dependencies=[Depends(check_token)], lifespan=closed_at_the_end)

    @app.put("/contacts/{contact}", status_code=204)
    def put_contact(contact: str, fields: dict[str, JsonValue]) -> None:
        database.ask("insert or replace into contacts values (?, ?)", contact, _json.dump_json(fields).decode())

    @app.post("/contacts/{contact}/enquiries", status_code=204)
    def post_enquiry(contact: str, fields: dict[str, JsonValue], idempotency_key: Annotated[str, Header()]) -> None:
        text = _json.dump_json(fields).decode()
        database.ask("insert or ignore into enquiries values (?, ?, ?)", idempotency_key, contact, text)

    @app.get("/contacts/{contact}")
    def get_contact(contact: str) -> dict[str, Any]:
        found = database.ask("select fields from contacts where id = ?", contact)
        if not found:
            raise HTTPException(404)
        enquiries = database.ask("select fields from enquiries where contact = ?", contact)
        return _json.validate_json(found[0][0]) | {"enquiries": [_json.validate_json(text) for (text,) in enquiries]}

    return app


def main(host: str = "127.0.0.1", port: str = "8010") -> None:
    """Serve the CRM until SIGTERM."""
    configure_logs("json")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it once more in the end
    uvicorn.run(create_app, factory=True, host=host, port=int(port), access_log=False, log_config=None)


if __name__ == "__main__":
    main(*sys.argv[1:])

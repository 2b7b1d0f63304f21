"""A small CRM over HTTP, to have something to write contacts to: `uvicorn shop.crm:create_app --factory`."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import JsonValue, TypeAdapter

_SCHEMA = """
create table if not exists contacts (id text primary key, fields text not null);
create table if not exists enquiries (key text primary key, contact text not null, fields text not null);
"""
_json: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def create_app() -> FastAPI:
    """The CRM; `CRM_DATABASE` is its SQLite file, `DESKBELL_CRM_TOKEN` the bearer token it asks for."""
    path = Path(os.environ.get("CRM_DATABASE", ".deskbell/crm.db"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.executescript(_SCHEMA)
    expected = "Bearer " + os.environ["DESKBELL_CRM_TOKEN"]

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401)

    def open_database() -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(path, check_same_thread=False)
        with database:
            yield database
        database.close()

    app = FastAPI(dependencies=[Depends(check_token)])
    database_of_request = Annotated[sqlite3.Connection, Depends(open_database)]

    @app.put("/contacts/{contact}", status_code=204)
    def put_contact(contact: str, fields: dict[str, JsonValue], database: database_of_request) -> None:
        database.execute("insert or replace into contacts values (?, ?)", [contact, _json.dump_json(fields).decode()])

    @app.post("/contacts/{contact}/enquiries", status_code=204)
    def post_enquiry(
        contact: str,
        fields: dict[str, JsonValue],
        database: database_of_request,
        idempotency_key: Annotated[str, Header()],
    ) -> None:
        database.execute(
            "insert or ignore into enquiries values (?, ?, ?)",
            [idempotency_key, contact, _json.dump_json(fields).decode()],
        )

    @app.get("/contacts/{contact}")
    def get_contact(contact: str, database: database_of_request) -> dict[str, Any]:
        row = database.execute("select fields from contacts where id = ?", [contact]).fetchone()
        if row is None:
            raise HTTPException(404)
        enquiries = database.execute("select fields from enquiries where contact = ?", [contact]).fetchall()
        return _json.validate_json(row[0]) | {"enquiries": [_json.validate_json(fields) for (fields,) in enquiries]}

    return app

"""The shop's database of orders: SQLite, made with a few orders when it is not there."""

import atexit
import os
import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

_SCHEMA = """
create table if not exists orders (
    id integer primary key, customer text not null, status text not null, carrier text not null
)
"""
_FIRST_ORDERS = [
    (1001, "user517", "delivered", "SF Express"),
    (1002, "user517", "shipped", "YTO Express"),
    (1003, "user842", "paid", ""),
]
_turn = Lock()  # the connection is shared by all threads, one at a time


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a customer."""

    id: int
    customer: str
    status: str
    carrier: str


def find(order_id: int) -> Order | None:
    """The order of a number, or None."""
    found = _select("select * from orders where id = ?", order_id)
    return found[0] if found else None


def of_customer(customer: str) -> list[Order]:
    """A customer's orders, the newest first."""
    return _select("select * from orders where customer = ? order by id desc", customer)


def _select(query: str, value: str | int) -> list[Order]:
    with _turn:
        return [Order(*row) for row in _database(_path()).execute(query, [value]).fetchall()]


def _path() -> Path:
    return Path(os.environ.get("SHOP_DATABASE", ".deskbell/shop.db"))


@cache
def _database(path: Path) -> sqlite3.Connection:
    """The connection of this process, made when it is first asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, check_same_thread=False)
    atexit.register(database.close)
    with database:
        database.execute(_SCHEMA)
        database.executemany("insert or ignore into orders values (?, ?, ?, ?)", _FIRST_ORDERS)
    return database

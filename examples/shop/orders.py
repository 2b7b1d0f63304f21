"""The shop's database of orders: SQLite, made with a few orders when it is not there."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a customer."""

    id: int
    customer: str
    status: str
    carrier: str


def find(order_id: int) -> Order | None:
    """The order of a number, or None."""
    with closing(_open()) as database:
        row = database.execute("select * from orders where id = ?", [order_id]).fetchone()
    return Order(*row) if row else None


def of_customer(customer: str) -> list[Order]:
    """A customer's orders, the newest first."""
    with closing(_open()) as database:
        rows = database.execute("select * from orders where customer = ? order by id desc", [customer]).fetchall()
    return [Order(*row) for row in rows]


def _open() -> sqlite3.Connection:
    path = Path(os.environ.get("SHOP_DATABASE", ".deskbell/shop.db"))
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path)
    with database:
        database.execute(_SCHEMA)
        database.executemany("insert or ignore into orders values (?, ?, ?, ?)", _FIRST_ORDERS)
    return database

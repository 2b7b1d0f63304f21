"""A job's data as RQ keeps it, JSON, compressed or not; bounded against a decompression bomb."""

import zlib
from contextlib import suppress
from typing import Any

from pydantic_core import from_json

MOST_BYTES = 8 * 1024 * 1024
"""The most that a job's data may unpack to: many times what an accepted callback can hold."""


def unpack(data: bytes) -> bytes:
    """The bytes that were compressed; those given where they are not compressed, as RQ has it.

    Raises:
        ValueError: they are too many, or not all there.
    """
    unpacked = data
    if not data.startswith(b"["):  # as a zlib stream never does
        unpacking = zlib.decompressobj()
        with suppress(zlib.error):
            unpacked = unpacking.decompress(data, MOST_BYTES)
            if not unpacking.eof:
                raise ValueError("the data are too large, or cut off")
    if len(unpacked) > MOST_BYTES:
        raise ValueError("the data are too large")
    return unpacked


def read_data(data: bytes) -> Any:
    """What a job calls: a function's name, an instance, positional and named arguments.

    Raises:
        ValueError: the data are not readable JSON, or too much of it.
    """
    return from_json(unpack(data))

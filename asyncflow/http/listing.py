"""Definitions in and out: what costs something to read or render is done in threads, lists are streamed.

What is rendered must not change meanwhile; definitions do not. Executions are shown by
`app/showing`, which keeps to the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from pydantic_core import to_json

from asyncflow.http.call import Call
from asyncflow.http.reply import JSON, Reply, reply_bytes, reply_json, reply_stream

T = TypeVar("T")

_LARGE_BYTES = 32 << 10
_AT_ONCE = 200
"""Rendered in one go; more of them are sent as they come."""


async def read(call: Call, reading: Callable[[], T]) -> T:
    """What `reading` makes of the body of a call, in a thread if that is large; raises what it raises."""
    if len(await call.content()) > _LARGE_BYTES:
        return await asyncio.to_thread(reading)
    return reading()


BULK_DONE = "Bulk Request has been processed."


def reply_bulk(done: Sequence[object], failed: Mapping[str, str]) -> Reply:
    """Conductor's answer to an operation on many: which it was done on, and why not on the others."""
    return reply_json({"bulkErrorResults": failed, "bulkSuccessfulResults": done, "message": BULK_DONE})


async def reply_listed(items: Sequence[T], shown: Callable[[T], object]) -> Reply:
    """A JSON list of what `shown` makes of each item, in a thread."""
    if len(items) > _AT_ONCE:
        return reply_stream(_pieces(items, shown), JSON)
    return reply_bytes(b"[" + await asyncio.to_thread(_joined, items, shown) + b"]", JSON)


async def reply_shown(item: T, shown: Callable[[T], object]) -> Reply:
    """What `shown` makes of one item, in a thread."""
    return reply_bytes(await asyncio.to_thread(_joined, [item], shown), JSON)


async def _pieces(items: Sequence[T], shown: Callable[[T], object]) -> AsyncIterator[bytes]:
    before = b"["
    for first in range(0, len(items), _AT_ONCE):
        yield before + await asyncio.to_thread(_joined, items[first : first + _AT_ONCE], shown)
        before = b","
    yield b"]"


def _joined(items: Sequence[T], shown: Callable[[T], object]) -> bytes:
    return b",".join(to_json(shown(item), inf_nan_mode="null") for item in items)

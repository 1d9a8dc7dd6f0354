"""Server-sent events: committed events of all executions or of one, to be taken up where they were left.

A stream is a route that is held: it ends with its client, its credentials and the server. Which events
there are, and who keeps up, is `app/streams`.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Self

from asyncflow.app.streams import Streams
from asyncflow.app.watching import Ended, Gap, News, Position, Shown, Watcher, Wish
from asyncflow.errors import InvalidInput
from asyncflow.http.routing import (
    VIEWER,
    Call,
    HttpError,
    Reply,
    Routes,
    empty_answer,
    reply_empty,
    reply_stream,
    stream_answer,
    word,
    words,
)

CONTENT_TYPE = "text/event-stream"
BEAT_S = 15.0
_AGAIN_MS = 1_000

routes = Routes("Events")

_ANSWERS = (
    stream_answer(CONTENT_TYPE, about="One message for each event; its data is JSON."),
    empty_answer(204, about="The execution has ended, and all its events were shown: do not come again."),
)
_FROM = word("from", about="Show what comes behind this id; the header Last-Event-ID goes before it.")
_KIND = words("kind", about="Show only events of these kinds, such as TaskEnded.")


@routes.get(
    "/api/asyncflow/events",
    role=VIEWER,
    query=(
        word("execution", about="Show events of this execution only; ids are places in it then."),
        words("workflow", about="Show executions of these workflows only."),
        _KIND,
        _FROM,
    ),
    answers=_ANSWERS,
    errors=(404,),
    held=True,
    begins=True,
)
async def get_events(call: Call) -> Reply:
    """Committed events of all executions, from now on or behind an id, as server-sent events.

    An id is the number of a turn and a place in it; `from=0` begins with the oldest that is held. A
    comment comes after 15 s of silence. A client that is 1 MiB behind is sent `gap` and cut; it goes on
    by its last id. `gap` also tells of turns that were trimmed, and of an id that the journal never came
    to (`ahead`, as after a backup was restored): the stream goes on with what there is.
    """
    execution = call.word("execution")
    if execution:
        return await _of_one(call, execution, frozenset(call.words("workflow")))
    streams = call.services.streams
    given = _last_id(call)
    start = Position.parse(given) if given else None
    watcher = _enter(streams, Wish("", frozenset(call.words("workflow")), frozenset(call.words("kind"))))
    return _reply(streams, watcher, streams.of_all(watcher, start, beat_s=BEAT_S))


@routes.get(
    "/api/asyncflow/workflow/{id}/events",
    role=VIEWER,
    query=(_KIND, _FROM),
    answers=_ANSWERS,
    errors=(404,),
    held=True,
    begins=True,
)
async def get_events_of_workflow(call: Call) -> Reply:
    """Committed events of one execution, from its first or behind an id, to its end.

    An id is a place in the events of the execution, from 1. The last message is `end`. An id that the
    execution never came to is told as `gap`, `ahead`; what comes goes on behind the event it names.
    """
    return await _of_one(call, call.path["id"], frozenset())


async def _of_one(call: Call, execution: str, workflows: frozenset[str]) -> Reply:
    given = _last_id(call)
    if not (given or "0").isdecimal() or not given.isascii() or len(given) > 18:
        raise InvalidInput(f"the number of an event is expected, not {given[:80]!r}", field="from")
    after = int(given or 0)
    state = await call.services.executions.engine.state(execution)
    if state.is_ended and after == state.seq:
        return reply_empty(204)
    if workflows and state.name not in workflows:
        return reply_empty(204)
    streams = call.services.streams
    watcher = _enter(streams, Wish(execution, frozenset(), frozenset(call.words("kind"))))
    return _reply(streams, watcher, streams.of_one(watcher, after, beat_s=BEAT_S))


def _last_id(call: Call) -> str:
    return call.header("Last-Event-ID").strip() or call.word("from")


def _enter(streams: Streams, wish: Wish) -> Watcher:
    if not streams.has_room:
        raise HttpError(503, f"event_streams: at most {streams.count}", retryable=True)
    return streams.enter(wish)


def _reply(streams: Streams, watcher: Watcher, news: AsyncIterator[News]) -> Reply:
    leave = partial(streams.leave, watcher)
    feed = _Feed(_pieces(news), leave)
    weakref.finalize(feed, leave)  # should nobody ever come to send it
    return reply_stream(feed, CONTENT_TYPE, headers={"X-Accel-Buffering": "no"})


class _Feed:
    """The pieces of one stream."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], leave: Callable[[], None]) -> None:
        self._pieces, self._leave = pieces, leave

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End it."""
        self._leave()
        await self._pieces.aclose()


async def _pieces(news: AsyncIterator[News]) -> AsyncGenerator[bytes, None]:
    yield f"retry: {_AGAIN_MS}\n\n".encode()
    async for each in news:
        yield _piece(each)


def _piece(news: News) -> bytes:
    match news:
        case None:
            return b": still here\n\n"
        case Shown(shown_id, "", _):
            return f"id: {shown_id}\n\n".encode()
        case Shown(shown_id, kind, data):
            return b"id: %b\nevent: %b\ndata: %b\n\n" % (shown_id.encode(), kind.encode(), data)
        case Gap(reason, resume):
            return _message("gap", {"reason": reason, "resume": resume})
        case Ended("closing"):
            return _message("closing", {})
        case Ended():
            return _message("end", {})


def _message(kind: str, data: dict[str, str]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

"""Calls to one resource manager: bounded in time, told apart by what they raise, never twice at once.

It decides nothing: which calls are made, and what an answer means, is in `decide/lifecycle_calls`; when
they are made, in `runtime/resource_keeper`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import get_args

from asyncflow.decide.lifecycle_calls import Call, Failed, Listed, Standing
from asyncflow.plugins.errors import (
    CredentialsRefused,
    Duplicate,
    InstanceGone,
    OutcomeOpen,
    Rejected,
    ServiceError,
    Throttled,
)
from asyncflow.plugins.jobs import MOST_HANDLE_CHARACTERS, Found, InstanceOrder, InstanceStatus, InstanceWord
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime import points

MOST_RETRY_AFTER_MS = 900_000
_MOST_REASON = 1_000

Answer = str | list[Listed] | Standing | Failed | None
"""A handle, a listing, how an instance stands, what went wrong, or that an order was taken."""


async def ask(manager: ResourceManager, call: Call, order: InstanceOrder, since_ms: int) -> Answer:
    """Make a call and say what came of it; whatever a plugin raises is an answer, too."""
    try:
        async with asyncio.timeout(_timeout_s(manager, call)):
            return await _ask(manager, call, order, since_ms)
    except TimeoutError:
        return Failed("open", f"no answer to {call.kind} in {_timeout_s(manager, call):g} s")
    except Duplicate as there:
        return there.handle or Failed("open", readable(there))
    except InstanceGone as gone:
        return Standing("gone", readable(gone))
    except Throttled as busy:
        return Failed("throttled", readable(busy), _pause_ms(busy.retry_after_s))
    except CredentialsRefused as refused:
        return Failed("credentials", readable(refused))
    except Rejected as refused:
        return Failed("refused", readable(refused))
    except asyncio.CancelledError:
        asker = asyncio.current_task()
        if asker is None or asker.cancelling():
            raise
        return Failed("open", f"{call.kind} was broken off from within")  # nobody here asked for that
    except (Exception, SystemExit) as error:  # noqa: BLE001 - of a plugin: it says nothing, so it is open
        return Failed("open", readable(error))


async def _ask(manager: ResourceManager, call: Call, order: InstanceOrder, since_ms: int) -> Answer:
    points.reach(points.BEFORE_INSTANCE)
    answer = await _made(manager, call, order, since_ms)
    points.reach(points.AFTER_INSTANCE)
    return answer


async def _made(manager: ResourceManager, call: Call, order: InstanceOrder, since_ms: int) -> Answer:
    match call.kind:
        case "create":
            return _handle(await manager.create(order))
        case "find":
            return _listed(await manager.find_instance(order, since_ms))
        case "check":
            return _standing(await manager.check(call.handle))
        case "destroy" | "destroy_double":
            await manager.destroy(call.handle)
            return None


def _timeout_s(manager: ResourceManager, call: Call) -> float:
    return manager.submit_timeout if call.kind == "create" else manager.poll_timeout


def _pause_ms(seconds: object) -> int:
    """How long a service asks to be left alone, as far as it says anything sensible."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return 0
    return round(max(0.0, min(seconds * 1_000, MOST_RETRY_AFTER_MS)))


def _handle(answer: object) -> str:
    if not isinstance(answer, str) or not 0 < len(answer.strip()) <= MOST_HANDLE_CHARACTERS:
        raise OutcomeOpen("the answer to create has no usable handle")
    return answer


def _listed(answer: Sequence[object]) -> list[Listed]:
    return [_found(each) for each in answer]


def _found(each: object) -> Listed:
    created_ms: object = getattr(each, "created_ms", None)
    if not isinstance(each, Found) or not isinstance(created_ms, int):
        raise ServiceError("find_instance answered something else than instances")
    return Listed(_handle(each.handle), created_ms, each.is_open)


def _standing(answer: object) -> Standing:
    if not isinstance(answer, InstanceStatus) or answer.word not in get_args(InstanceWord):
        raise ServiceError("check answered something else than how the instance stands")
    return Standing(answer.word, text(answer.reason), text(answer.raw), _facts(answer.facts))


def _facts(facts: Mapping[str, object]) -> dict[str, object]:
    return {text(str(key))[:100]: text(str(value)) for key, value in list(facts.items())[:50]}


def readable(error: BaseException) -> str:
    """What an exception says, so that it can be stored."""
    said = str(error) if isinstance(error, ServiceError) else f"{type(error).__name__}: {error}"
    return text(said)


def text(said: str) -> str:
    """A text that can be stored: not too long, and without lone surrogates."""
    return said[:_MOST_REASON].encode("utf-8", "replace").decode()

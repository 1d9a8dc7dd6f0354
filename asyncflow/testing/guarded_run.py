"""Whether a plugin holds up the loop, without tests of its own: what can be called of it without knowing it.

`asyncflow plugin check` runs it in a process of its own: `python -m asyncflow.testing.guarded_run KIND NAME
VALUE`. A task type or a listener is run where its model takes what can be guessed; of a manager only opening
and closing, since nobody here knows what else would cost. It prints one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from importlib.metadata import EntryPoint

from pydantic import BaseModel, ValidationError

from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.resources import ResourceContext, ResourceManager
from asyncflow.plugins.tasks import TaskType
from asyncflow.testing.loop_guard import MOST_COMPUTED_S, Hold, holds
from asyncflow.testing.task_contract import Attempt

_PATIENCE_S = 10.0
_EVENT = CommittedEvent("execution-1:7", "task.timed_out", 0, "execution-1", {})
_SIMPLEST: dict[str, object] = {
    "string": "x", "integer": 1, "number": 1.0, "boolean": False, "array": [], "object": {}, "null": None,
}  # fmt: skip


class NotRun(Exception):
    """There is nothing that could be run."""


def guessed(model: type[BaseModel]) -> BaseModel:
    """An instance with the simplest value of every field that has no default; raises NotRun."""
    schema = model.model_json_schema()
    fields = schema.get("properties", {})
    given = {name: _SIMPLEST.get(str(fields[name].get("type"))) for name in schema.get("required", ())}
    try:
        return model.model_validate(given)
    except (ValidationError, ValueError) as error:
        raise NotRun(f"{model.__name__} needs values that cannot be guessed") from error


async def run(kind: object, name: str) -> list[Hold]:
    """What it holds up, of every try; raises NotRun."""
    if isinstance(kind, type) and issubclass(kind, TaskType):
        task = kind
        given: BaseModel | JsonObject = {} if task.Input is None else guessed(task.Input)
        return await holds(lambda _: _quietly(lambda: task().run(Attempt(), given)))
    if not isinstance(kind, type) or not issubclass(kind, Listener | ResourceManager):
        raise NotRun("it is no plugin")
    config = guessed(kind.Config)
    assert isinstance(config, kind.Config)
    made = kind
    return await holds(lambda _: _quietly(lambda: _from_open_to_close(made, name, config)))


async def _from_open_to_close(kind: type, name: str, config: object) -> None:
    is_listener = issubclass(kind, Listener)
    plugin = kind(name, config) if is_listener else kind(config, ResourceContext(name))
    try:
        await plugin.open()
        if is_listener:
            await plugin.on_event(_EVENT)
    finally:
        await plugin.close()


async def _quietly(work: object) -> None:
    """Run it as far as it goes: whether it works is not asked here."""
    assert callable(work)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_PATIENCE_S):
            await work()


def main(kind: str, name: str, value: str) -> None:
    """Print how long it held up the loop at best, or why it was not run."""
    del kind
    try:
        held = asyncio.run(run(EntryPoint(name, value, "").load(), name))
        best = min(held, key=lambda each: (not each.is_short, each.computed_s))
        told: dict[str, object] = {
            "short": best.is_short,
            "held_s": round(max(best.computed_s, best.waited_s), 3),
            "most_s": MOST_COMPUTED_S,
        }
    except NotRun as error:
        told = {"not_run": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])

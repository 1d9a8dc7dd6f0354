"""A database as a release leaves it, and what it shows of its executions: kept, and opened by all later ones.

`python -m tests.histories.make` writes the files of this release into `tests/histories`, named by its schema.
As a script it also runs against an older checkout, and takes what there is: only what every release had is
imported at its head.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncflow as af
from asyncflow.app.build import open_engine
from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import AsyncflowError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.events import EVENTS
from asyncflow.runtime.attempts import LocalFunction
from asyncflow.store import schema
from asyncflow.store.codec import Codec
from asyncflow.store.sqlite import SqliteReader

Json = dict[str, object]

SIGNAL = "gate"
"""The task that every execution waits at which has not ended; a signal ends it."""


def task(kind: str, ref: str, **more: object) -> Json:
    """A task of a definition."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **more}


def gate(ref: str = SIGNAL) -> Json:
    return task("WAIT", ref)


def quick(ref: str, **more: object) -> Json:
    return task("SIMPLE", ref, name="echo", inputParameters={"value": "${workflow.input.value}"}, **more)


def workflow(name: str, *tasks: Json, **more: object) -> Json:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": [*tasks], **more}


FLAKY = {"name": "flaky", "retryCount": 2, "retryDelaySeconds": 0}
ONCE = {"name": "broken", "retryCount": 0}
SCRIPT = "(function () { return $.n * 2; })()"
DEFINITIONS: dict[str, Json] = {
    "steps": workflow("steps", quick("one"), quick("two"), outputParameters={"last": "${two.output.value}"}),
    "flaky": workflow("flaky", task("SIMPLE", "flaky", taskDefinition=FLAKY), gate()),
    "fork": workflow(
        "fork",
        task("FORK_JOIN", "fork", forkTasks=[[quick("left")], [quick("right"), gate()]]),
        task("JOIN", "join", joinOn=["left", SIGNAL]),
    ),
    "switch": workflow(
        "switch",
        task("SET_VARIABLE", "set", inputParameters={"kind": "${workflow.input.value}"}),
        task(
            "SWITCH",
            "switch",
            evaluatorType="value-param",
            expression="kind",
            inputParameters={"kind": "${workflow.input.value}"},
            decisionCases={"a": [quick("of_a")]},
            defaultCase=[quick("other")],
        ),
        gate(),
    ),
    "loop": workflow(
        "loop",
        task(
            "DO_WHILE",
            "loop",
            loopCondition="if ($.loop['iteration'] < 3) { true; } else { false; }",
            loopOver=[quick("inside")],
        ),
        task(
            "INLINE", "script", inputParameters={"evaluatorType": "javascript", "expression": SCRIPT, "n": 4}
        ),
        gate(),
    ),
    "parent": workflow(
        "parent",
        task("SUB_WORKFLOW", "child", subWorkflowParam={"name": "child", "version": 1}),
        quick("after"),
    ),
    "child": workflow("child", quick("inner"), gate()),
    "failing": workflow("failing", quick("before"), task("SIMPLE", "broken", taskDefinition=ONCE)),
    "held": workflow("held", quick("first"), gate(), quick("late")),
}


@af.task(retries=0)
async def echo(value: str = "") -> dict[str, str]:
    """Give back what it was given."""
    return {"value": value}


@af.task(retries=2)
async def flaky(ctx: af.TaskContext) -> dict[str, int]:
    """Fail the first time."""
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return {"attempt": ctx.attempt}


@af.task(retries=0)
async def broken() -> None:
    """Fail."""
    raise ValueError("for good")


FUNCTIONS: dict[str, LocalFunction] = {"echo": echo, "flaky": flaky, "broken": broken}


async def tour(service: Service) -> list[str]:
    """Executions of all kinds; those that have not ended wait at the gate, or are paused before it."""
    for definition in DEFINITIONS.values():
        await service.register_workflow(parse_workflow(definition))
    made = {
        name: await service.start(StartRequest(name=name, input={"value": "a"}, correlation_id=f"c-{name}"))
        for name in DEFINITIONS
        if name != "child"
    }
    await service.ended(made["steps"])
    await service.ended(made["failing"])
    again = await service.start(StartRequest(name="steps", input={"value": "b"}))
    await service.ended(again)
    await service.restart(again)
    await service.ended(again)
    await service.rerun(again, workflow_input={"value": "c"})
    await service.ended(again)
    await service.retry(made["failing"])
    await service.ended(made["failing"])
    await at_gate(service, made["held"])
    await service.set_variables(made["held"], {"seen": [1, 2.5, None, "é"]})
    await service.skip(made["held"], "late", output={"skipped": True})
    await service.pause(made["held"], "for the night")
    await service.resume(made["held"])
    ended = await service.start(StartRequest(name="held", input={"value": "x"}))
    await at_gate(service, ended)
    await service.terminate(ended, "not needed")
    for name in ("flaky", "fork", "switch", "loop"):
        await at_gate(service, made[name])
    await at_gate(service, await child_of(service, made["parent"]))
    done = await service.start(StartRequest(name="switch", input={"value": "z"}))
    await at_gate(service, done)
    await service.signal(done, SIGNAL, {"by": "hand"})
    await service.ended(done)
    return [*made.values(), again, ended, done]


async def child_of(service: Service, stream: str) -> str:
    """Wait until the first task of an execution has a sub-workflow, and give its id."""
    while True:
        state = await service.engine.state(stream)
        ids = [each.more.child_id for each in state.tasks.values() if each.more is not None]
        if ids and ids[0]:
            return ids[0]
        await asyncio.sleep(0)


async def at_gate(service: Service, stream: str) -> None:
    """Wait until the execution stands at the gate and nothing else of it goes on."""
    while True:
        state = await service.engine.state(stream)
        open_refs = [each.ref for each in state.tasks.values() if not each.is_ended]
        if SIGNAL in open_refs and set(open_refs) <= {SIGNAL, "join"}:
            return
        await asyncio.sleep(0)


def shown(execution: Json) -> Json:
    """What must never change: of an execution and its tasks, without the times."""
    tasks = execution["tasks"]
    assert isinstance(tasks, list)
    names = ("workflowName", "workflowVersion", "status", "input", "output", "variables", "correlationId")
    parts = ("referenceTaskName", "status", "taskType", "iteration", "retryCount", "outputData")
    return {
        **{name: execution.get(name) for name in names},
        "tasks": [{part: each.get(part) for part in parts} for each in tasks],
    }


async def make(folder: Path) -> Path:
    """Write the files of this release; the name that they have in common."""
    name = f"schema-{schema.migrations()[-1].number:04}"
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "flow.db"
        async with open_engine(path, functions=FUNCTIONS) as (engine, _):
            service = Service(engine)
            await tour(service)
            await engine.compaction.compact()
            await service.ended(await service.start(StartRequest(name="steps", input={"value": "last"})))
            await engine.views_caught_up()
        expected = await read(path)
        await write_journals(path, folder, name, expected)
        (folder / f"{name}.db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    text = json.dumps(
        {"executions": expected, "events": events()}, indent=1, ensure_ascii=False, sort_keys=True
    )
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return folder / name


async def write_journals(path: Path, folder: Path, name: str, expected: dict[str, Json]) -> None:
    """Journal files of an execution that ended and of one that did not, with its sub-workflow."""
    with contextlib.suppress(ImportError):  # releases before had none
        from asyncflow.app.recovering import export  # noqa: PLC0415 - as above

        for workflow_name in ("steps", "parent"):
            stream = next(s for s, one in expected.items() if one["workflowName"] == workflow_name)
            with tempfile.TemporaryDirectory() as root:
                written = await export(path, stream, Path(root))
                (folder / f"{name}.{workflow_name}.log").write_bytes(written.read_bytes())


async def read(path: Path) -> dict[str, Json]:
    """What an engine of this release shows of every execution in a file, before anything goes on."""
    found: dict[str, Json] = {}
    async with SqliteReader.open(path) as reader:
        streams = [row.execution_id for row in await reader.list_executions()]
    async with open_engine(path, functions=FUNCTIONS) as (engine, _):
        for stream in streams:
            found[stream] = shown(await Service(engine).get(stream))
    return found


def events() -> list[object]:
    """One event of each kind, as the codec of this release writes it, with something in every field."""
    codec, found = Codec(), []
    for name, kind in sorted(EVENTS.items()):
        hints = typing.get_type_hints(kind)
        made: Callable[..., object] = kind
        fields: tuple[str, ...] = kind._fields
        event = made(*(_sample(hints[field]) for field in fields))
        with contextlib.suppress(AsyncflowError):
            text = codec.encode_entries([("s", 1, [event])])  # type: ignore[list-item]  # older releases took tuples
            found.append(json.loads(text)[0][2][0])
            assert found[-1][0] == name
    return found


def _sample(hint: object) -> object:
    """A value of a type."""
    simple: dict[object, object] = {int: 7, float: 1.5, str: "text", bool: True, type(None): None}
    if hint in simple:
        return simple[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return inner[0]
    if origin in {list, tuple} or hint in {list, tuple}:
        return [_sample(each) for each in _elements(inner)]
    if origin is dict or hint is dict:
        return {"key": 1}
    if inner:
        return _sample(next((each for each in inner if each is not type(None)), type(None)))
    fields = getattr(hint, "_fields", None)
    if fields:
        hints = typing.get_type_hints(hint)
        return [_sample(hints[field]) for field in fields]
    return {"key": 1}


def _elements(inner: tuple[object, ...]) -> Iterator[object]:
    return (each for each in inner[:4] if each is not ...)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    sys.stdout.write(f"{asyncio.run(make(target))}\n")

"""The contract of task types as a suite: a plugin's tests inherit it and say which inputs fit, and which not.

Each test runs the type in an engine of its own, in memory. What a task type may do is in `plugins/tasks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from pydantic import BaseModel

from asyncflow.app.options import EngineSettings, Registry
from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.model.values import JsonObject
from asyncflow.plugins.inspection import faults_of
from asyncflow.plugins.tasks import TaskType
from asyncflow.testing.loop_guard import holds

_AT_ONCE = 5


@dataclass
class Attempt:
    """An attempt without an engine; it remembers what it was told.

    Attributes:
        lines: what was logged.
        beats: how often it was said that it is alive.
        volumes: rows and bytes told of.
    """

    execution_id: str = "00000000-0000-4000-8000-000000000000"
    ref: str = "it"
    attempt: int = 1
    token: str = "af_contract"  # noqa: S105 - the name of an attempt, no secret
    lines: list[str] = field(default_factory=list)
    beats: int = 0
    volumes: list[tuple[int, int, str]] = field(default_factory=list)

    def heartbeat(self) -> None:
        """See `plugins/tasks.Context`."""
        self.beats += 1

    def log(self, message: str, **fields: object) -> None:
        """See `plugins/tasks.Context`."""
        self.lines.append(f"{message} {fields}" if fields else message)

    def record_io(self, *, rows: int = 0, bytes: int = 0, direction: str = "out") -> None:  # noqa: A002
        """See `plugins/tasks.Context`."""
        self.volumes.append((rows, bytes, direction))


class TaskTypeContract:
    """What every task type promises. Subclass it, and say at least `kind` and `input`.

    Attributes:
        kind: the class.
        input: one that fits; running it twice does no harm.
        output: what it gives for `input`; None where that is not the same each time.
        misfits: inputs that do not fit its model.
        secrets: texts that may stand in no output and no reason.
    """

    kind: ClassVar[type[TaskType]]
    input: ClassVar[JsonObject] = {}
    output: ClassVar[JsonObject | None] = None
    misfits: ClassVar[Sequence[JsonObject]] = ()
    secrets: ClassVar[Sequence[str]] = ()

    async def test_class_is_a_plugin(self) -> None:
        """Its version, its name and the schema of its input are in order."""
        assert faults_of("task", self.kind.name, self.kind) == []

    async def test_it_does_its_work_in_an_engine(self) -> None:
        """A task of this type with a fitting input COMPLETED, with a JSON object as its output."""
        (task,) = await self._tasks([self.input])
        assert task["status"] == "COMPLETED", task.get("reasonForIncompletion")
        assert isinstance(task["outputData"], dict)
        assert self.output is None or task["outputData"] == self.output

    async def test_it_does_its_work_many_times_at_once(self) -> None:
        """Attempts share one object of the class, and do not get into each other's way."""
        tasks = await self._tasks([self.input] * _AT_ONCE)
        assert [task["status"] for task in tasks] == ["COMPLETED"] * _AT_ONCE
        assert self.output is None or [task["outputData"] for task in tasks] == [self.output] * _AT_ONCE

    async def test_an_input_that_does_not_fit_fails_for_good(self) -> None:
        """It is never tried again: it will not fit then, either."""
        if not self.misfits:
            pytest.skip("no input is said not to fit")
        for task in await self._tasks(self.misfits):
            assert task["status"] == "FAILED_WITH_TERMINAL_ERROR", task
            assert task["reasonForIncompletion"]

    async def test_secrets_are_told_nowhere(self) -> None:
        """Neither outputs nor reasons have one."""
        told = repr(await self._tasks([self.input, *self.misfits]))
        assert [each for each in self.secrets if each in told] == []

    async def test_loop_is_never_held_up(self) -> None:
        """No attempt computes for 50 ms at a stretch or waits without letting others have a turn."""
        held = await holds(lambda _: self.perform())
        assert any(each.is_short for each in held), held

    async def test_it_can_be_broken_off(self) -> None:
        """An attempt that is cancelled ends; it may clean up, but does not go on."""
        work = asyncio.ensure_future(self.perform())  # noqa: TID251 - ends with this test
        await asyncio.sleep(0)  # noqa: TID251 - it begins
        work.cancel()
        _, running = await asyncio.wait([work], timeout=60)
        assert not running

    async def perform(self) -> object:
        """One attempt without an engine, with `input`."""
        model = self.kind.Input
        given: BaseModel | JsonObject = self.input if model is None else model.model_validate(self.input)
        return await self.kind().run(Attempt(), given)

    async def _tasks(self, inputs: Iterable[JsonObject]) -> list[JsonObject]:
        """The task of an execution for each input, after its end; all of them at once."""
        settings = EngineSettings(registry=Registry.built_in().with_classes(tasks=[self.kind]))
        async with open_services(settings=settings) as services:
            service = services.executions
            ids = []
            for given in inputs:
                await service.register_workflow(self._workflow(given), overwrite=True)
                ids.append(await service.start(StartRequest("try")))
            for each in ids:
                await service.ended(each)
            found = [await service.get(each) for each in ids]
        return [task for each in found for task in _listed(each["tasks"])]

    def _workflow(self, given: JsonObject) -> JsonObject:
        task = {
            "name": "it",
            "taskReferenceName": "it",
            "type": self.kind.name,
            "inputParameters": given,
            "taskDefinition": {"name": "it", "retryCount": 1, "retryDelaySeconds": 0},
        }
        return {"name": "try", "version": 1, "schemaVersion": 2, "tasks": [task]}


def _listed(tasks: object) -> list[JsonObject]:
    return [each for each in tasks if isinstance(each, dict)] if isinstance(tasks, list) else []

"""One definition run in this process: what may be set from outside, and what is taken up again.

Settings come in as plain words and numbers, so that a surface needs to know no class below `app`.
Read `build` for how an engine is opened, `following` for how an execution is watched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from asyncflow.app.build import MEMORY, open_service
from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import DefinitionError, InvalidInput, Violation
from asyncflow.model.definition import TaskDefinition, WorkflowDefinition
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.attempts import LocalFunction
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.scripts.evaluator import ScriptSettings
from asyncflow.store.records import StoreSettings


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What whoever starts the process may allow and limit.

    Attributes:
        durability: "full" survives a power cut, "normal" a crash of the process.
        scripts: where JavaScript and jq run; "off" refuses them by name.
        http_allow: hosts and networks that HTTP tasks may reach although they are not public.
        command_root: working directories of COMMAND tasks lie in it; None refuses the tasks.
        resources: weights that may be held at once, by resource.
        payloads: the folder for inputs and outputs over the limit; None refuses them.
        journal: the folder of journal files; None writes none.
        lock_wait_s: seconds to wait for another process to let go of the file.
        journal_names: names of journal files that have another name than the rule says, by execution.
    """

    durability: Literal["full", "normal"] = "full"
    scripts: Literal["thread", "process", "off"] = "thread"
    http_allow: tuple[str, ...] = ()
    command_root: Path | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    payloads: Path | None = None
    journal: Path | None = None
    journal_names: Mapping[str, str] = field(default_factory=dict)
    lock_wait_s: float = 0.0

    def settings(self) -> EngineSettings:
        """The engine's settings that say the same.

        Raises:
            InvalidInput: an entry of `http_allow` is no host and no network.
        """
        try:
            AddressPolicy(self.http_allow)
        except ValueError as error:
            raise InvalidInput(str(error), field="http_allow") from error
        return EngineSettings(
            scripts=ScriptSettings(mode=self.scripts),
            http_allow=self.http_allow,
            commands=CommandPolicy(enabled=self.command_root is not None, root=self.command_root),
            resources={name: ResourceLimit(limit) for name, limit in self.resources.items()},
            payload_folder=self.payloads,
        )


@asynccontextmanager
async def open_local(
    database: str | Path | None, functions: Mapping[str, LocalFunction], options: LocalOptions
) -> AsyncIterator[Service]:
    """A service on an engine of this process, on a file or, with None, in memory.

    Raises:
        StoreLocked: another process has the file.
        StoreError: the file cannot be used as it is.
        InvalidInput: an entry of `http_allow` is no host and no network.
    """
    async with open_service(
        MEMORY if database is None else database,
        functions=functions,
        settings=options.settings(),
        store=StoreSettings(
            durability=options.durability,
            takeover_wait_s=options.lock_wait_s,
            journal=options.journal,
            journal_must=True,
            journal_names=options.journal_names,
        ),
    ) as service:
        yield service


async def register_all(
    service: Service, workflows: Sequence[WorkflowDefinition], tasks: Sequence[TaskDefinition]
) -> None:
    """Store definitions under their names; those that are stored already cost nothing.

    Raises:
        DefinitionError: the first definition that is refused, with all its violations; it is named.
    """
    for task in tasks:
        if service.engine.catalog.tasks.get(task.name) != task:
            with _naming(f"task definition {task.name!r}"):
                await service.register_task(task)
    for workflow in workflows:
        with _naming(f"workflow {workflow.name!r}"):
            await service.register_workflow(workflow)


@contextmanager
def _naming(definition: str) -> Iterator[None]:
    """Say of a refusal which of several definitions it means."""
    try:
        yield
    except DefinitionError as error:
        found = [Violation(f"{definition} {each.path}".rstrip(), each.message) for each in error.violations]
        raise DefinitionError(found) from error


def find_unfinished(service: Service, definition: WorkflowDefinition, given: JsonObject) -> str | None:
    """The id of the newest execution of this very definition and input that has not ended, or None.

    Definitions are compared by content, bound to the task definitions that are registered now.
    """
    wanted = service.engine.catalog.inline(definition).hash
    found = [
        state
        for state in service.engine.turns.states.values()
        if not state.is_ended
        and state.parent_id is None
        and state.graph.hash == wanted
        and state.input == given
    ]
    newest = max(found, key=lambda state: (state.created_ms, state.execution_id), default=None)
    return None if newest is None else newest.execution_id


async def start_or_take_up(
    service: Service, definition: WorkflowDefinition, given: JsonObject, *, anew: bool = False
) -> tuple[str, bool]:
    """An execution of the definition: the unfinished one, or a new one; and whether it was taken up.

    Raises:
        DefinitionError, InvalidInput, LimitExceeded, NotFound: as `Service.start`.
    """
    checked, _ = await service.accepted_payload(given, "input")
    if not anew:
        found = find_unfinished(service, definition, checked)
        if found is not None:
            return found, True
    request = StartRequest(definition=definition, input=checked, created_by="command line")
    return await service.start(request), False

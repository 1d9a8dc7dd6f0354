"""The engine as a Python program embeds it: start, watch and command executions in a few lines.

Everything goes through `app/service`, as it does for the REST API and the command line. Nothing
is global: two engines on two files live side by side in one program.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

from asyncflow.app.build import MEMORY, open_service
from asyncflow.app.options import (
    Clock,
    Durability,
    EngineSettings,
    LocalFunction,
    Registry,
    ResourceSettings,
    StoreSettings,
)
from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import ExecutionFailed, InvalidInput
from asyncflow.model.definition import WorkflowDefinition, parse_workflow
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.plugins.listeners import Listener
from asyncflow.sdk.listeners import listener_settings
from asyncflow.sdk.resources import Plugins, Resource, Resources, resource_settings, with_plugins
from asyncflow.sdk.tasks import TaskFunction
from asyncflow.sdk.workflow import Workflow

AnyWorkflow = Workflow | WorkflowDefinition | JsonObject | str
"""What can be run: a built workflow, a definition, its JSON, or the name of a registered one."""


class Execution:
    """One execution, as a handle: it holds an id and asks the engine."""

    def __init__(self, service: Service, execution_id: str) -> None:
        """A handle on an execution that may or may not exist."""
        self._service = service
        self.id = execution_id

    def __repr__(self) -> str:
        """The id."""
        return f"<execution {self.id}>"

    async def result(self) -> JsonObject:
        """Wait for the end and give the output.

        Raises:
            ExecutionFailed: it ended FAILED, TIMED_OUT or TERMINATED; the reason is in it.
            NotFound: there is no such execution.
        """
        state = await self.ended()
        if state.status != COMPLETED:
            raise ExecutionFailed(self.id, state.status, state.reason, output=state.output)
        return state.output

    async def ended(self) -> ExecutionState:
        """Wait for the end, whatever it is."""
        return await self._service.ended(self.id)

    async def status(self) -> str:
        """The present status: RUNNING, PAUSED, COMPLETED, FAILED, TIMED_OUT or TERMINATED."""
        return str((await self.get(include_tasks=False))["status"])

    async def get(self, *, include_tasks: bool = True) -> JsonObject:
        """The whole execution in Conductor's Workflow shape."""
        return await self._service.get(self.id, include_tasks=include_tasks)

    async def why(self) -> list[dict[str, JsonValue]]:
        """What open tasks wait for, 200 at most."""
        return await self._service.why(self.id)

    async def pause(self, reason: str = "") -> None:
        """Schedule no follow-ups; what runs goes on."""
        await self._service.pause(self.id, reason)

    async def resume(self) -> None:
        """Go on after a pause."""
        await self._service.resume(self.id)

    async def cancel(self, reason: str = "") -> None:
        """End it TERMINATED, and its children with it."""
        await self._service.terminate(self.id, reason)

    async def retry(self, *, resume_children: bool = False) -> None:
        """Try again what was unsuccessful."""
        await self._service.retry(self.id, resume_children=resume_children)

    async def restart(self, *, latest_definition: bool = False) -> None:
        """Begin again from nothing."""
        await self._service.restart(self.id, latest_definition=latest_definition)

    async def rerun(
        self,
        *,
        from_task: str | None = None,
        task_input: JsonObject | None = None,
        workflow_input: JsonObject | None = None,
    ) -> None:
        """Run again, whole or from the task with this id."""
        await self._service.rerun(
            self.id, from_task=from_task, task_input=task_input, workflow_input=workflow_input
        )

    async def skip(self, ref: str, output: JsonObject | None = None) -> None:
        """Count a task as done before it is scheduled."""
        await self._service.skip(self.id, ref, output=output)

    async def signal(
        self,
        ref: str,
        output: JsonObject | None = None,
        *,
        status: str = COMPLETED,
        reason: str | None = None,
    ) -> None:
        """Update a waiting task from outside; with the default status it ends successfully."""
        await self._service.signal(self.id, ref, output, status=status, reason=reason)

    async def set_variables(self, **variables: JsonValue) -> None:
        """Merge workflow variables in."""
        await self._service.set_variables(self.id, variables)

    def events(self) -> AsyncIterator[Recorded]:
        """The recorded events, from the first to the end, as they become durable."""
        return self._service.events(self.id)


class Engine:
    """A durable workflow engine in this program, on one SQLite file; an async context manager.

    With the default file, `:memory:`, nothing outlives the program; everything else is the same.
    """

    def __init__(  # noqa: PLR0913 - what a program may say of its engine, each by name
        self,
        database: str | Path = MEMORY,
        *,
        tasks: Iterable[TaskFunction[..., object]] = (),
        durability: Durability = "full",
        resources: Resources | None = None,
        plugins: Plugins = (),
        listeners: Iterable[Listener] = (),
        settings: EngineSettings | None = None,
        clock: Clock | None = None,
        payloads: str | Path | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            database: the file; it is made if it does not exist.
            tasks: functions for workflows that only name them; those of a `Workflow` come with it.
            durability: "full" survives a power cut, "normal" a crash of the process.
            resources: what tasks may ask for by name: `Resource`s, or limits by name.
            plugins: classes of types of task, or of any plugins by name; those that are built in are there.
            listeners: who is told of committed events, each with a cursor of its own under its name.
            settings: limits and policies, where the defaults do not suit.
            clock: for tests.
            payloads: a folder for inputs and outputs over the limit, which are refused without one.

        Raises:
            InvalidInput: an argument is not what it should be; the message names it.
        """
        _refuse_no_file(database)
        if durability not in get_args(Durability):
            raise InvalidInput(f"one of {', '.join(get_args(Durability))}", field="durability")
        self._database = database
        self._functions = _functions(tasks, "tasks")
        chosen = settings or EngineSettings()
        if plugins != ():
            chosen = replace(chosen, registry=with_plugins(chosen.registry or Registry.built_in(), plugins))
        if resources is not None:
            chosen = replace(chosen, resources=_resources(resources, chosen))
        chosen = replace(chosen, listeners={**chosen.listeners, **listener_settings(listeners)})
        self._settings = chosen if payloads is None else replace(chosen, payload_folder=Path(payloads))
        self._store = StoreSettings(durability=durability)
        self._clock = clock
        self._stack = AsyncExitStack()
        self._open: Service | None = None

    async def __aenter__(self) -> Self:
        """Open the file and take up everything that was unfinished.

        Raises:
            StoreLocked: another process has the file.
            StoreError: the file cannot be used.
            RuntimeError: this engine is open already.
        """
        if self._open is not None:
            raise RuntimeError("the engine is open already")
        self._open = await self._stack.enter_async_context(
            open_service(
                self._database,
                functions=self._functions,
                settings=self._settings,
                store=self._store,
                clock=self._clock,
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is decided and close; unfinished executions go on at the next start."""
        self._open = None
        await self._stack.aclose()

    @property
    def service(self) -> Service:
        """All commands and queries.

        Raises:
            RuntimeError: the engine is not open.
        """
        if self._open is None:
            raise RuntimeError("the engine is not open: use it in `async with Engine(...) as engine`")
        return self._open

    async def register(self, workflow: Workflow | WorkflowDefinition | JsonObject) -> None:
        """Store a workflow under its name and version, and make its functions known."""
        if isinstance(workflow, Workflow):
            self.load(workflow)
        await self.service.register_workflow(_definition(workflow))

    def load(self, *sources: Workflow | TaskFunction[..., object]) -> None:
        """Make functions known: of workflows, or task functions themselves.

        Raises:
            InvalidInput: something is neither.
        """
        self._load(_functions(sources, "load"))

    def _load(self, found: dict[str, LocalFunction]) -> None:
        if found:
            self.service.engine.load_functions(found)

    async def start(
        self,
        workflow: AnyWorkflow,
        given: JsonObject | None = None,
        *,
        version: int | None = None,
        correlation_id: str | None = None,
        priority: int | None = None,
        task_to_domain: Mapping[str, str] | None = None,
    ) -> Execution:
        """Start an execution; it is durable when this returns.

        A name runs the registered version asked for, the highest by default; anything else is
        run as it is, without being registered.

        Raises:
            NotFound, DefinitionError, InvalidInput, LimitExceeded: nothing was started.
        """
        if isinstance(workflow, Workflow):
            self.load(workflow)
        named = isinstance(workflow, str)
        if version is not None and not named:
            raise InvalidInput("goes with the name of a registered workflow", field="version")
        if not isinstance(task_to_domain, Mapping | None):
            raise InvalidInput("must be a mapping of task names to domains", field="task_to_domain")
        request = StartRequest(
            name=workflow if isinstance(workflow, str) else "",
            version=version,
            definition=None if named else _definition(workflow),  # type: ignore[arg-type]
            input=given,
            correlation_id=correlation_id,
            priority=priority,
            task_to_domain=task_to_domain,
        )
        return Execution(self.service, await self.service.start(request))

    async def run(self, workflow: AnyWorkflow, given: JsonObject | None = None) -> JsonObject:
        """Start an execution, wait for its end, and give its output; raises as `Execution.result`."""
        execution = await self.start(workflow, given)
        return await execution.result()

    async def hydrate(self, value: JsonValue) -> JsonValue:
        """A value, such as a result, with stored payloads in place of the references to them.

        Raises:
            PayloadUnavailable: one cannot be had; its code says why.
            LimitExceeded: all of them together are above `stored_payload_bytes`.
        """
        return await self.service.hydrate(value)

    def execution(self, execution_id: str) -> Execution:
        """A handle on an execution that was started before, here or in an earlier process."""
        return Execution(self.service, execution_id)


def _functions(sources: object, field: str) -> dict[str, LocalFunction]:
    """The functions of tasks and workflows, by task name."""
    if not isinstance(sources, Iterable):
        raise InvalidInput(f"{sources!r} is no list of tasks", field=field)
    found: dict[str, LocalFunction] = {}
    for source in sources:
        if isinstance(source, Workflow):
            found.update(source.functions())
        elif isinstance(source, TaskFunction):
            found[source.name] = source
        else:
            raise InvalidInput(f"{source!r} is no task: decorate it with @task", field=field)
    return found


def _refuse_no_file(database: object) -> None:
    if not isinstance(database, str | Path) or not str(database):
        raise InvalidInput(f"{database!r} is no file name", field="database")


def _resources(given: Resources, settings: EngineSettings) -> dict[str, ResourceSettings | ResourceLimit]:
    """What is said of resources, looked at by their plugins."""
    listed = given if isinstance(given, Mapping) else [*given]
    found = resource_settings(listed)
    registry = settings.registry or Registry.built_in()
    for each in listed:
        if isinstance(each, Resource):
            each.check(registry, settings.secrets)
    return found


def _definition(workflow: Workflow | WorkflowDefinition | JsonObject) -> WorkflowDefinition:
    if isinstance(workflow, WorkflowDefinition):
        return workflow
    return parse_workflow(workflow.to_definition() if isinstance(workflow, Workflow) else workflow)

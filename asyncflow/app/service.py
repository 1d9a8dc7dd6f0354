"""Every command and query as a method: the only door to an engine, for all surfaces alike.

Input is checked here, whole, before it reaches the deciding core. Ids are drawn here. Shapes on
the wire are the business of the surfaces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from pydantic_core import PydanticSerializationError, from_json, to_json

from asyncflow.app.identities import draw_execution_id
from asyncflow.decide.catalog import evolve_catalog


def waits_for(state: ExecutionState) -> list[dict[str, JsonValue]]:  # TEMP
    return []


from asyncflow.errors import Conflict, DefinitionError, InvalidInput, LimitExceeded, NotFound, Violation
from asyncflow.ids import content_hash, task_number
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    canonical_json,
    iterate_tasks,
    parse_task_definition,
    parse_workflow,
    to_json as definition_json,
)
from asyncflow.model.graph import Graph
from asyncflow.model.json_values import find_fault, text_fault

from asyncflow.model.shape import path_of
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Recorded
from asyncflow.model.validation import validate_task_definition, validate_workflow
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.runtime.engine import Engine

_HIGHEST_PRIORITY = 99


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What to start, and with what.

    `definition` is run without being registered; otherwise `name` and `version` (None: the
    highest) choose a registered one. `priority` is 0 to 99, the larger first; None leaves it to
    the definition.
    """

    name: str = ""
    version: int | None = None
    definition: WorkflowDefinition | None = None
    input: JsonObject | None = None
    correlation_id: str | None = None
    priority: int | None = None
    task_to_domain: Mapping[str, str] | None = None
    created_by: str = ""


class Service:
    """Commands and queries on one engine.

    Every command returns when what it made is durable; what it raises, it did not do, except
    OutcomeUnknown.
    """

    def __init__(self, engine: Engine) -> None:
        """Serve this engine, which is open."""
        self.engine = engine

    # --- definitions --------------------------------------------------------------------------

    async def register_workflow(
        self, body: JsonObject | WorkflowDefinition, *, overwrite: bool = True, created_by: str = ""
    ) -> WorkflowDefinition:
        """Store a workflow definition under its name and version.

        Raises:
            DefinitionError: with every violation; nothing was stored.
            Conflict: the version exists, differs, and may not be overwritten.
        """
        definition = self.check_workflow(body)
        catalog = self.engine.catalog
        present = catalog.workflows.get(definition.name, {}).get(definition.version)
        if present == definition:
            return definition
        if present is not None and not overwrite:
            raise Conflict(f"workflow {definition.name} version {definition.version} exists already")
        name = content_hash(canonical_json(definition))
        event = ev.WorkflowRegistered(definition.name, definition.version, name, created_by)
        evolve_catalog(catalog, event, {name: definition})
        await self.engine.record_catalog([event])
        return definition

    def check_workflow(self, body: JsonObject | WorkflowDefinition) -> WorkflowDefinition:
        """The definition, if nothing is wrong with it.

        Raises:
            DefinitionError: with every violation.
        """
        limits = self.engine.settings.limits
        definition = body if isinstance(body, WorkflowDefinition) else parse_workflow(body, limits=limits)
        violations = validate_workflow(definition, limits=limits)
        if violations:
            raise DefinitionError(violations)
        return definition

    async def unregister_workflow(self, name: str, version: int) -> None:
        """Delete one version; the next highest is the default from here on, executions go on.

        Raises:
            NotFound: there is no such version.
        """
        if version not in self.engine.catalog.workflows.get(name, {}):
            raise NotFound("workflow", f"{name} version {version}")
        await self._change_catalog(ev.WorkflowUnregistered(name, version))

    async def register_task(self, body: JsonObject | TaskDefinition) -> TaskDefinition:
        """Store or replace a task definition; its limits hold for waiting work within the same turn.

        Raises:
            DefinitionError: with every violation; nothing was stored.
        """
        definition = body if isinstance(body, TaskDefinition) else parse_task_definition(body)
        violations = validate_task_definition(definition)
        if violations:
            raise DefinitionError(violations)
        await self._change_catalog(ev.TaskRegistered(definition.name, definition_json(definition)))
        return definition

    async def unregister_task(self, name: str) -> None:
        """Delete a task definition.

        Raises:
            NotFound: there is none of this name.
        """
        if name not in self.engine.catalog.tasks:
            raise NotFound("task definition", name)
        await self._change_catalog(ev.TaskUnregistered(name))

    async def _change_catalog(self, event: ev.Event) -> None:
        evolve_catalog(self.engine.catalog, event, {})
        if isinstance(event, ev.TaskRegistered | ev.TaskUnregistered):
            self.engine.limits_changed(event.name)
        await self.engine.record_catalog([event])

    # --- executions ---------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> str:
        """Start an execution and give its id.

        Raises:
            NotFound: no such workflow, or a sub-workflow that it names is not there.
            DefinitionError: the definition given with the request is refused.
            InvalidInput: the input is not JSON, or a field is out of its range.
            LimitExceeded: the input is too large.
        """
        graph = self._graph(request)
        given = self.checked_payload(request.input or {}, "input")
        self._check_texts(correlationId=request.correlation_id, createdBy=request.created_by)
        domains = self.checked_payload(dict(request.task_to_domain or {}), "taskToDomain")
        priority = request.priority or 0
        if type(priority) is not int:
            raise InvalidInput("an integer is expected", field="priority")
        if not 0 <= priority <= _HIGHEST_PRIORITY:
            bound = "minimum 0" if priority < 0 else f"maximum {_HIGHEST_PRIORITY}"
            raise InvalidInput(f"priority: {priority} should be {bound}", field="priority")
        identity = draw_execution_id(self.engine.clock.now().wall_ms)
        command = inputs.StartExecution(
            graph.hash,
            given,
            request.correlation_id,
            priority,
            {name: str(domain) for name, domain in domains.items()} or None,
            created_by=request.created_by,
        )
        await self.engine.submit(identity, command)
        return identity

    def _graph(self, request: StartRequest) -> Graph:
        catalog = self.engine.catalog
        if request.definition is not None:
            graph = catalog.inline(self.check_workflow(request.definition))
        else:
            if not request.name:
                raise InvalidInput("Workflow name cannot be null or empty", field="name")
            found = catalog.latest(request.name, request.version)
            if found is None:
                version = f" version {request.version}" if request.version is not None else ""
                raise NotFound("workflow", f"{request.name}{version}")
            graph = found
        self._check_children(graph.definition)
        return graph

    def _check_children(self, definition: WorkflowDefinition) -> None:
        """Refuse a start whose sub-workflows are named literally and are not there."""
        for path, task in iterate_tasks(definition):
            param = task.sub_workflow_param
            if param is None or task.type != "SUB_WORKFLOW" or param.workflow_definition is not None:
                continue
            name = param.name or ""
            if "${" in name:
                if param.version is None:
                    raise DefinitionError(
                        [Violation(f"{path}.subWorkflowParam.version", "needed with an expression as name")]
                    )
            elif self.engine.catalog.latest(name, param.version or None) is None:
                raise NotFound("workflow", f"{name} (sub-workflow of {path})")

    def checked_payload(self, value: JsonObject, field: str) -> JsonObject:
        """A copy of a payload, if it is JSON and not too large.

        Raises:
            InvalidInput: something in it has no JSON form.
            LimitExceeded: it is larger than `payload_bytes`.
        """
        limit = self.engine.settings.limits.payload_bytes
        fault = find_fault(value, depth=self.engine.settings.limits.document_depth)
        if fault is not None:
            raise InvalidInput(fault.message, field=path_of((field, *fault.parts)))
        try:
            text = to_json(value)
        except (PydanticSerializationError, ValueError) as error:
            raise InvalidInput(f"not JSON: {error}", field=field) from error
        if len(text) > limit:
            raise LimitExceeded(f"payload_too_large: {field} in bytes", allowed=limit, actual=len(text))
        copied = from_json(text)
        if not isinstance(copied, dict):
            raise InvalidInput("must be an object", field=field)
        return copied

    def _check_texts(self, **texts: str | None) -> None:
        """Refuse texts that cannot be kept exactly: a journal record with one in it could not be written."""
        limit = self.engine.settings.limits.text_characters
        for field, text in texts.items():
            if text is None:
                continue
            if not isinstance(text, str):
                raise InvalidInput("a text is expected", field=field)
            if len(text) > limit:
                raise LimitExceeded(f"text_characters: {field}", allowed=limit, actual=len(text))
            fault = text_fault(text, nul=False)
            if fault is not None:
                raise InvalidInput(fault, field=field)

    async def pause(self, execution_id: str, reason: str = "") -> None:
        """Schedule no follow-ups from here on; what runs goes on."""
        self._check_texts(reason=reason)
        await self.engine.submit(execution_id, inputs.PauseExecution(reason))

    async def resume(self, execution_id: str) -> None:
        """Go on with a paused execution."""
        await self.engine.submit(execution_id, inputs.ResumeExecution())

    async def terminate(self, execution_id: str, reason: str = "", *, failure_workflow: bool = False) -> None:
        """End it TERMINATED, with its children; the failure workflow only if asked for."""
        self._check_texts(reason=reason)
        await self.engine.submit(execution_id, inputs.TerminateExecution(reason, failure_workflow))

    async def restart(self, execution_id: str, *, latest_definition: bool = False) -> None:
        """Begin an ended execution again, on the definition it had or on the newest."""
        name = None
        if latest_definition:
            state = await self.engine.state(execution_id)
            graph = self.engine.catalog.latest(state.name, None)
            if graph is None:
                raise NotFound("workflow", state.name)
            name = graph.hash
        await self.engine.submit(execution_id, inputs.RestartExecution(name))

    async def retry(self, execution_id: str, *, resume_children: bool = False) -> None:
        """Try again what was unsuccessful in an ended execution."""
        await self.engine.submit(execution_id, inputs.RetryExecution(resume_children))

    async def rerun(
        self,
        execution_id: str,
        *,
        from_task: str | None = None,
        task_input: JsonObject | None = None,
        workflow_input: JsonObject | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Run an ended execution again, whole or from the task with this id, here or in a descendant."""
        self._check_texts(correlationId=correlation_id)
        given = None if workflow_input is None else self.checked_payload(workflow_input, "workflowInput")
        changed = None if task_input is None else self.checked_payload(task_input, "taskInput")
        target, number = execution_id, 0
        if from_task:
            target, number = await self._find_task(execution_id, from_task)
        command = inputs.RerunExecution(number, changed, given, correlation_id)
        await self.engine.submit(target, command)

    async def _find_task(self, execution_id: str, task: str) -> tuple[str, int]:
        """The execution and number of a task id, searched in an execution and those below it."""
        todo = [execution_id]
        while todo:
            stream = todo.pop()
            state = await self.engine.state(stream)
            number = task_number(stream, task)
            if number is not None and number in state.tasks:
                return stream, number
            todo += [
                record.more.child_id
                for record in state.tasks.values()
                if record.more is not None and record.more.child_id is not None
            ]
        raise InvalidInput(
            f"no such task in execution {execution_id} or below it: {task}", field="reRunFromTaskId"
        )

    async def skip(
        self,
        execution_id: str,
        ref: str,
        *,
        task_input: JsonObject | None = None,
        output: JsonObject | None = None,
    ) -> None:
        """Count a task as done before it is scheduled."""
        given = self.checked_payload(task_input or {}, "taskInput")
        result = self.checked_payload(output or {}, "taskOutput")
        await self.engine.submit(execution_id, inputs.SkipTask(ref, given, result))

    async def signal(
        self,
        execution_id: str,
        ref: str,
        output: JsonObject | None = None,
        *,
        status: str = "COMPLETED",
        reason: str | None = None,
    ) -> None:
        """Update a task from outside, by its reference name: end a WAIT or HUMAN, or report progress."""
        self._check_texts(ref=ref, reason=reason)
        checked = self.checked_payload(output or {}, "output")
        command = inputs.UpdateTask(
            0, status, checked, ref, reason, merge=True, output_bytes=len(to_json(checked))
        )
        await self.engine.submit(execution_id, command)

    async def set_variables(self, execution_id: str, variables: JsonObject) -> None:
        """Merge workflow variables in, key by key."""
        checked = self.checked_payload(variables, "variables")
        await self.engine.submit(execution_id, inputs.SetVariables(checked))

    # --- queries ------------------------------------------------------------------------------

    async def get(self, execution_id: str, *, include_tasks: bool = True) -> JsonObject:
        """An execution in Conductor's Workflow shape."""
        return await self.engine.read(execution_id, include_tasks=include_tasks)

    async def ended(self, execution_id: str) -> ExecutionState:
        """Wait for the end of an execution."""
        return await self.engine.ended(execution_id)

    def events(self, execution_id: str) -> AsyncIterator[Recorded]:
        """The events of an execution as they become durable."""
        return self.engine.events(execution_id)

    async def why(self, execution_id: str) -> list[dict[str, JsonValue]]:
        """What each open task of an execution waits for."""
        return waits_for(await self.engine.state(execution_id))

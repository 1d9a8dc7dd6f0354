"""What event handlers do: start executions, end tasks, terminate, set variables; each once per message.

A start has an id derived from handler, message and action, everything else a token that the execution
remembers: a message that comes again changes nothing. When messages come is said by `event_delivery`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar, cast

from pydantic_core import from_json

from asyncflow.app.event_definitions import (
    Action,
    Handler,
    StartDetails,
    TaskDetails,
    TerminateDetails,
    VariablesDetails,
)
from asyncflow.app.event_feed import Message
from asyncflow.app.payloads import check_texts
from asyncflow.app.service import Service
from asyncflow.app.starting import StartRequest
from asyncflow.app.workers import Workers
from asyncflow.decide.expressions import DocumentScope
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.ids import ExecutionId, derived_id, task_id, task_number
from asyncflow.model.inputs import Once, SetVariables, TerminateExecution, UpdateTask
from asyncflow.model.shape import Shape, parse
from asyncflow.model.statuses import COMPLETED, FAILED
from asyncflow.model.values import JsonObject

_DEEPEST = 20  # JSON within texts within JSON

Details = TypeVar("Details", bound=Shape)


class Step(NamedTuple):
    """One action of a handler for one message; `is_repeat`: it may have been done before."""

    handler: Handler
    number: int
    message: Message
    is_repeat: bool

    @property
    def action(self) -> Action:
        """What is to be done."""
        return self.handler.actions[self.number]

    @property
    def names(self) -> JsonObject:
        """What Conductor adds to inputs and outputs."""
        return {
            "conductor.event.messageId": self.message.id,
            "conductor.event.name": self.handler.event,
        }


class EventActions:
    """Does what handlers ask for on one engine."""

    def __init__(self, executions: Service, workers: Workers) -> None:
        """Nothing was done."""
        self._executions, self._workers = executions, workers
        self._engine = executions.engine

    async def perform(self, step: Step) -> str:
        """Do it, and say what was done, or nothing if it was done before; durable at return.

        Raises:
            AsyncflowError: it was not done, and why.
        """
        payload = step.message.payload
        if step.action.expands:
            payload = cast("JsonObject", expanded(payload))
        given = step.action.template.resolve(DocumentScope(payload))
        assert isinstance(given, dict)  # as it was checked
        match step.action.kind:
            case "start_workflow":
                return await self._start(step, _details(StartDetails, given), payload)
            case "complete_task":
                return await self._update(step, _details(TaskDetails, given), COMPLETED)
            case "fail_task":
                return await self._update(step, _details(TaskDetails, given), FAILED)
            case "terminate_workflow":
                return await self._terminate(step, _details(TerminateDetails, given))
            case "update_workflow_variables":
                return await self._set_variables(step, _details(VariablesDetails, given))
            case "start_agent":
                raise Refused("start_agent needs an agent runtime, and there is none")

    async def _start(self, step: Step, asked: StartDetails, payload: JsonObject) -> str:
        identity = self._token(step)
        if identity in self._engine.turns.states or (step.is_repeat and await self._exists(identity)):
            return ""
        domains = asked.task_to_domain
        if not domains:
            found = payload.get("taskToDomain")
            domains = found if isinstance(found, dict) else {}
        request = StartRequest(
            name=asked.name,
            version=_version(asked.version),
            input={**_map(asked.input, "input"), **step.names},
            correlation_id=asked.correlation_id,
            task_to_domain=cast("Mapping[str, str]", _map(domains, "taskToDomain")) or None,
        )
        prepared = await self._executions.prepare(request)
        command = prepared.command._replace(trigger=step.handler.event)
        await self._executions.begin(identity, prepared._replace(command=command))
        return f"started {identity}"

    async def _update(self, step: Step, asked: TaskDetails, status: str) -> str:
        execution, number = await self._task(asked)
        identity = task_id(execution, number)
        output: JsonObject = {
            **_map(asked.output, "output"),
            "workflowId": execution,
            "taskId": identity,
            "taskRefName": asked.task_ref_name,
            **step.names,
        }
        checked, size = await self._executions.accepted_payload(output, "output")
        reason = asked.reason_for_incompletion
        check_texts(reason=reason)
        update = UpdateTask(number, status, checked, reason=reason, output_bytes=size)
        done = await self._once(step, execution, update, size=size)
        return f"{status} {identity} of {execution}" if done else ""

    async def _task(self, asked: TaskDetails) -> tuple[str, int]:
        """Whose task is meant, and its number: by its id, or the newest record of its reference name.

        Raises:
            NotFound: there is none.
        """
        execution = asked.workflow_id
        if asked.task_id and not execution:
            execution = str((await self._workers.task(asked.task_id))["workflowInstanceId"])
        if not execution or not (asked.task_id or asked.task_ref_name):
            raise InvalidInput("workflowId with taskRefName, or taskId, is expected")
        state = await self._engine.state(execution)
        if asked.task_id:
            number = task_number(execution, asked.task_id)
            task = None if number is None else state.tasks.get(number)
        else:
            ref = asked.task_ref_name or ""
            task = state.by_ref.get(ref) or state.latest.get(ref)
        if task is None:
            raise NotFound("task", f"{asked.task_id or asked.task_ref_name} of {execution}")
        return execution, task.number

    async def _terminate(self, step: Step, asked: TerminateDetails) -> str:
        execution = _execution(asked.workflow_id)
        reason = asked.termination_reason or f"terminated by event handler {step.handler.name}"
        check_texts(terminationReason=reason)
        state = await self._engine.state(execution)
        if state.is_ended:
            return f"{execution} was {state.status}"
        done = await self._once(step, execution, TerminateExecution(reason))
        return f"terminated {execution}" if done else ""

    async def _set_variables(self, step: Step, asked: VariablesDetails) -> str:
        execution = _execution(asked.workflow_id)
        given = self._executions.checked_payload(_map(asked.variables, "variables"), "variables")
        command = SetVariables(given, append=asked.append_array)
        done = await self._once(step, execution, command)
        return f"set variables of {execution}" if done else ""

    async def _once(
        self,
        step: Step,
        execution: str,
        command: UpdateTask | TerminateExecution | SetVariables,
        *,
        size: int = 0,
    ) -> bool:
        """Have a command decided, unless it was for this message; whether it was now."""
        token = self._token(step)
        if token in (await self._engine.state(execution)).applied:
            return False
        await self._engine.submit(execution, Once(token, command), size=size)
        return True

    def _token(self, step: Step) -> ExecutionId:
        installation = self._engine.settings.installation
        return derived_id(installation, "event", step.number, step.message.id, step.handler.name)

    async def _exists(self, execution_id: str) -> bool:
        try:
            await self._engine.state(execution_id)
        except NotFound:
            return False
        return True


def expanded(value: object, depth: int = 0) -> object:
    """The value with texts that hold a JSON object or list replaced by what they hold, at any depth."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, str):
        held = _held(value)
        return value if held is None else expanded(held, depth + 1)
    if isinstance(value, dict):
        return {key: expanded(member, depth + 1) for key, member in value.items()}
    if isinstance(value, list):
        return [expanded(member, depth + 1) for member in value]
    return value


def _held(text: str) -> object:
    stripped = text.strip()
    if stripped[:1] + stripped[-1:] not in {"{}", "[]"}:
        return None
    try:
        return cast("object", from_json(stripped, allow_inf_nan=False))
    except ValueError:
        return None


def _details(model: type[Details], given: JsonObject) -> Details:
    """What was asked for, its expressions being resolved; raises DefinitionError."""
    return parse(model, given)


def _map(value: object, field: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidInput(f"an object is expected, not {value!r:.80}", field=field)
    return value


def _version(given: int | str | None) -> int | None:
    if given is None or given == "":
        return None
    if not isinstance(given, int):
        raise InvalidInput(f"a number is expected, not {given!r:.80}", field="version")
    return given


def _execution(given: str | None) -> str:
    if not given:
        raise InvalidInput("the id of an execution is expected", field="workflowId")
    return given

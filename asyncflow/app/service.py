"""Every command and query as a method: the only door to an engine, for all surfaces alike.

Input is checked here, whole, before it reaches the deciding core. How an execution begins is in
`app/starting`. Shapes on the wire are the business of the surfaces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from asyncflow.app.payloads import check_texts
from asyncflow.app.starting import Starting, StartRequest
from asyncflow.app.waits import explain, hung_calls
from asyncflow.decide.waiting import wait_of_task, waits_for
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.ids import task_number
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.runtime.clock import breathe

__all__ = ["MOST_WAITS", "Service", "StartRequest"]

MOST_WAITS = 200
"""Tasks of one execution of which is told what they wait for, unless more are asked for."""


class Service(Starting):
    """Commands and queries on one engine.

    Every command returns when what it made is durable; what it raises, it did not do, except
    OutcomeUnknown.
    """

    # --- executions ---------------------------------------------------------------------------

    async def hydrate(self, value: JsonValue) -> JsonValue:
        """A value with stored values in place of references; raises as `Payloads.hydrate`."""
        return await self.engine.payloads.hydrate(value)

    async def pause(self, execution_id: str, reason: str = "") -> None:
        """Schedule no follow-ups from here on; what runs goes on."""
        check_texts(reason=reason)
        await self.engine.submit(execution_id, inputs.PauseExecution(reason))

    async def resume(self, execution_id: str) -> None:
        """Go on with a paused execution."""
        await self.engine.submit(execution_id, inputs.ResumeExecution())

    async def terminate(self, execution_id: str, reason: str = "", *, failure_workflow: bool = False) -> None:
        """End it TERMINATED, with its children; the failure workflow only if asked for."""
        check_texts(reason=reason)
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
        check_texts(correlationId=correlation_id, reRunFromTaskId=from_task)
        given = changed = None
        if workflow_input is not None:
            given, _ = await self.accepted_payload(workflow_input, "workflowInput")
        if task_input is not None:
            changed, _ = await self.accepted_payload(task_input, "taskInput")
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
        given, _ = await self.accepted_payload({} if task_input is None else task_input, "taskInput")
        result, _ = await self.accepted_payload({} if output is None else output, "taskOutput")
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
        check_texts(ref=ref, status=status, reason=reason)
        checked, size = await self.accepted_payload({} if output is None else output, "output", merged=True)
        command = inputs.UpdateTask(0, status, checked, ref, reason, merge=True, output_bytes=size)
        await self.engine.submit(execution_id, command, size=size)

    async def evaluate(self, execution_id: str) -> None:
        """Look again whether an execution can go on, which it always does by itself."""
        await self.engine.submit(execution_id, inputs.Evaluate())

    async def reset_callbacks(self, execution_id: str) -> None:
        """Offer at once what workers asked to be called back for later."""
        await self.engine.submit(execution_id, inputs.ResetCallbacks())

    async def remove(self, execution_id: str, *, ended_only: bool = True) -> None:
        """Delete an execution for good; nothing of it is shown any more.

        Raises:
            NotFound: there is none.
            InvalidInput: it goes on, and only one that ended is to be deleted.
            Refused: its parent goes on, or something that it started does.
        """
        state = await self.engine.state(execution_id)
        if not state.is_ended and ended_only:
            raise InvalidInput(f"execution {execution_id} is {state.status}: only one that ended is removed")
        await self.terminate_and_remove(execution_id)

    async def terminate_and_remove(self, execution_id: str, reason: str = "") -> None:
        """End an execution, if it goes on, and delete it for good; raises as `remove`."""
        if not (await self.engine.state(execution_id)).is_ended:
            await self.terminate(execution_id, reason)
        await self.engine.delete_execution(execution_id, reason)

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

    async def why(self, execution_id: str, *, most: int = MOST_WAITS) -> list[JsonObject]:
        """What so many open tasks wait for: slots with who holds them, missing functions by name; durable.

        Cost: of each its place in line, which others may stand before; the loop is let go between two.
        """
        state = await self.engine.state(execution_id)
        found = waits_for(state, self.engine.catalog.downtimes, most=most)[: most + 1]
        for entry in found:
            self._explain(state, entry)
            await breathe()
        await self.engine.turns.settled(execution_id)
        return [*found, *hung_calls(self.engine, state)]

    def waits(self, state: ExecutionState, *, most: int) -> list[JsonObject]:
        """The same of a state in memory, durable or not.

        `sinceMs` is when the task began to wait for what it waits for.
        """
        found = waits_for(state, self.engine.catalog.downtimes, most=most)[: most + 1]
        for entry in found:
            self._explain(state, entry)
        return [*found, *hung_calls(self.engine, state)]

    def _explain(self, state: ExecutionState, entry: JsonObject) -> None:
        number = task_number(state.execution_id, str(entry.get("taskId", ""))) or 0
        explain(self.engine, state, entry, number)

    def waits_of_task(self, state: ExecutionState, number: int) -> list[JsonObject]:
        """The same of one record, jobs and calls that outlived its attempts included."""
        outlived = [job for job in state.jobs.values() if job.number == number]
        numbers = [number, *(-job.serial for job in outlived if job.serial != state.job_of.get(number))]
        found = (wait_of_task(state, each, self.engine.catalog.downtimes) for each in numbers)
        entries = [entry for entry in found if entry is not None]
        for entry in entries:
            explain(self.engine, state, entry, number)
        ref = state.tasks[number].ref
        return [*entries, *(each for each in hung_calls(self.engine, state) if each["task"] == ref)]

"""Conductor's SignalResponse: what a synchronous call gives back of an execution, by its strategy.

It shows and does not wait. Task and execution look as everywhere, see `decide/render`.
"""

from __future__ import annotations

from typing import Literal

from pydantic_core import to_json

from asyncflow.app.blocking import Standing
from asyncflow.app.showing import Showing, Shown
from asyncflow.decide.render import render_task
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject

ReturnStrategy = Literal["TARGET_WORKFLOW", "BLOCKING_WORKFLOW", "BLOCKING_TASK", "BLOCKING_TASK_INPUT"]

_OF_TASKS = ("BLOCKING_TASK", "BLOCKING_TASK_INPUT")
_TASK_FIELDS = (
    "taskType",
    "taskId",
    "referenceTaskName",
    "retryCount",
    "taskDefName",
    "retriedTaskId",
    "workflowType",
    "reasonForIncompletion",
    "updateTime",
    "status",
)


class SignalResponse:
    """The answer of one call."""

    def __init__(
        self,
        showing: Showing,
        strategy: ReturnStrategy,
        request_id: str = "",
        *,
        timed_out: bool,
        is_signal: bool,
    ) -> None:
        """Show by this strategy; the answer to a signal is never empty."""
        self._showing, self._strategy, self._request_id = showing, strategy, request_id
        self._timed_out, self._is_signal = timed_out, is_signal

    async def shown(self, target: ExecutionState, standing: Standing | None) -> Shown | None:
        """The answer for an execution and the task it stands at; None where that is asked for and missing.

        Durability: all that is shown.
        """
        if self._strategy in _OF_TASKS:
            if standing is None and not self._is_signal:
                return None
            return await self._task(target, standing)
        blocking = target if standing is None else standing.state
        state = blocking if self._strategy == "BLOCKING_WORKFLOW" else target
        await self._showing.settled(target)
        return await self._showing.with_tasks(state, self._run(target, state))

    async def _task(self, target: ExecutionState, standing: Standing | None) -> Shown:
        body = self._head(target, target if standing is None else standing.state)
        if standing is not None:
            state, task = standing
            whole = render_task(state, task)
            body |= {key: whole[key] for key in _TASK_FIELDS if key in whole}
            body |= {"input": whole["inputData"], "output": whole["outputData"], "priority": state.priority}
            body |= {"createTime": task.started_ms, "createdBy": task.worker_id}
            await self._showing.settled(state)
        await self._showing.settled(target)
        return Shown(to_json(body, inf_nan_mode="null"))

    def _run(self, target: ExecutionState, state: ExecutionState) -> JsonObject:
        return self._head(target, state) | {
            "priority": state.priority,
            "variables": dict(state.variables),
            "createdBy": state.created_by,
            "createTime": state.created_ms,
            "status": state.status,
            "updateTime": state.updated_ms,
        }

    def _head(self, target: ExecutionState, state: ExecutionState) -> JsonObject:
        """What every answer says, of the execution that is shown and the one that was called."""
        body: JsonObject = {
            "responseType": self._strategy,
            "requestId": self._request_id or None,
            "workflowId": state.execution_id,
            "correlationId": state.correlation_id,
            "input": state.input,
            "output": state.output,
            "targetWorkflowId": target.execution_id,
            "targetWorkflowStatus": target.status,
            "signalTimeout": self._timed_out,
        }
        return {key: value for key, value in body.items() if value is not None}

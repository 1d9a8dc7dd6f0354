"""Tasks performed again because another process took their execution up: `executeWhenRecovering`.

They rebuild what a process had in memory or on its disk, one after the other in the order in which they were
scheduled first, and nothing else of the execution goes on before. A result replaces the one before; what
followed it stays as it is. The state of it is in `decide/evolve_recovery`.
"""

from __future__ import annotations

from asyncflow.decide.policy import setting
from asyncflow.decide.scheduling import executor_of, first_status, worker_name
from asyncflow.decide.step import Step
from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.model.events import RecoveryBegun, TaskReset
from asyncflow.model.graph import Node
from asyncflow.model.inputs import RecoverTasks
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED

NOTE = "performed again, as another process took the execution up"
_PERFORMED = LOCAL_EXECUTORS | {"remote"}

# A task that fails when it is performed again fails as any attempt does: it is tried again by its policy, and
# in the end fails the execution. It stays the first of those to be performed, so that a retry goes on there.


def asks_for_recovery(state: ExecutionState) -> bool:
    """Whether any task of an execution may have to be performed again.

    Cost: linear in the definition, and in the branches of dynamic forks, which bring tasks of their own.
    """
    if any(_asks(node) for node in state.graph.nodes.values()):
        return True
    return bool(state.dynamic_forks) and any(_asks(t.node) for t in state.tasks.values() if t.fork_index >= 0)


def _asks(node: Node) -> bool:
    plain = node.task.extension is None and node.task.task_definition is None
    return not plain and bool(setting(node.task, "execute_when_recovering"))


def recover(step: Step, command: RecoverTasks) -> None:  # noqa: ARG001 - as every handler
    """Have the finished tasks that ask for it performed again; none where there are none."""
    state = step.state
    if state.is_ended:
        return
    found = [task for task in state.tasks.values() if task.number in state.recovering or _is_due(task)]
    if found:
        first = _first_places(state)
        step.emit(RecoveryBegun([task.number for task in sorted(found, key=lambda task: first[task.number])]))


def _is_due(task: TaskState) -> bool:
    if task.status != COMPLETED or task.superseded or not task.settled:
        return False
    return task.executor in _PERFORMED and _asks(task.node)


def _first_places(state: ExecutionState) -> dict[int, int]:
    """By record, the place of its first attempt: further ones come late in the list, and stand for it."""
    places: dict[int, int] = {}
    for task in state.tasks.values():
        places[task.number] = places.get(task.retry_of, task.seq) if task.retry_of else task.seq
    return places


def open_next(step: Step) -> None:
    """Open the first record that is to be performed again, unless it is under way or failed."""
    state = step.state
    task = state.tasks[next(iter(state.recovering))]
    if task.is_ended and task.settled:
        node = task.node
        executor = executor_of(step, node, task.name or worker_name(node))
        status = first_status(node, held=False)
        step.emit(TaskReset(task.number, status, task.retry_count, executor=executor, note=NOTE))

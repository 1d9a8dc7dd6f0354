"""Rerun: an execution goes back to one of its tasks, or to its beginning, and runs on from there.

What has to be taken back is found in `decide/downstream`; here it is carried out. A record that
runs again keeps its number and so its id; only what comes after it is made anew.
"""

from __future__ import annotations

from asyncflow.decide.downstream import Downstream, begin_with
from asyncflow.decide.flow import begin_list, begin_task
from asyncflow.decide.operators_loop import loop_items
from asyncflow.decide.repairing import RERUN, in_order, open_again, repair, unsuccessful
from asyncflow.decide.reviving import tell_parent
from asyncflow.decide.scheduling import OUTSIDE, resolve_input
from asyncflow.decide.slots import await_slot
from asyncflow.decide.step import Step
from asyncflow.errors import InvalidInput, Refused
from asyncflow.model.events import ExecutionReopened, LoopAdvanced, Repaired, TasksRemoved
from asyncflow.model.inputs import RerunExecution
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import SKIPPED
from asyncflow.model.values import JsonObject

# Rerunning from a task T, in order:
# 1. T keeps number, id, retry count and stored input (or takes `task_input`) and begins from nothing.
#    Heads of the branches behind T in the same static fork go with it, see `begin_with`.
# 2. What is downstream of T by the definition is removed; see `Downstream`.
# 3. JOINs that had counted T or something removed, and loops around T, are opened in place; a loop
#    goes back to the iteration of T.
# 4. Everything else stays, done or not. What was unsuccessful elsewhere (cancelled siblings, earlier
#    permissive failures) is opened in place, with the same retry count; a SUB_WORKFLOW gets a new child.
# 5. The flow then goes on from wherever it had stopped, see `decide/resuming`.


def rerun(step: Step, command: RerunExecution) -> None:
    """Go back and run on from there.

    Raises:
        Refused: the execution did not end yet.
        InvalidInput: there is no such task, or it never ran.
    """
    state = step.state
    if not state.is_ended:
        raise Refused(f"execution {state.execution_id} is {state.status}: only one that ended can be rerun")
    if not command.from_number:
        _from_nothing(step, command)
        return
    target = state.tasks.get(command.from_number)
    if target is None:
        raise InvalidInput(f"no such task in execution {state.execution_id}", field="reRunFromTaskId")
    if target.status == SKIPPED:
        raise InvalidInput(f"{target.ref} was skipped: rerun from a task before it", field="reRunFromTaskId")
    _from_task(step, command, target)


def _from_nothing(step: Step, command: RerunExecution) -> None:
    """All records go; input unless given, variables, and the time of creation stay."""
    state = step.state
    step.emit(_reopening(command, []))
    step.emit(TasksRemoved(list(state.tasks), 1))
    step.emit(Repaired(0))
    is_held = await_slot(step, begins=True)
    tell_parent(step, RERUN)
    if not is_held:
        begin_list(step, state.graph.root, OUTSIDE)


def _from_task(step: Step, command: RerunExecution, target: TaskState) -> None:
    state = step.state
    targets = list(begin_with(state, target))
    back = Downstream(state)
    for each in targets:
        back.add(each)
    numbers = {each.number for each in targets} | back.rewound.keys()
    waiting = {number for number in back.reopened if number not in numbers}
    left = {each.number for each in unsuccessful(state)} | waiting
    left -= back.removed.keys() | numbers
    step.emit(_reopening(command, in_order(state.tasks[number] for number in sorted(left))))
    is_held = await_slot(step)
    if back.removed:
        step.emit(TasksRemoved(sorted(back.removed), next_seq(state, back.removed)))
    for number, iteration in back.rewound.items():
        rewind(step, state.tasks[number], iteration)
    for each in targets:
        open_again(step, each, given=_input(step, command, each, asked=each is target), anew=True)
    tell_parent(step, RERUN)
    if is_held:
        step.pending.extend(targets)
        return
    for each in targets:
        if not state.is_ended:
            begin_task(step, each)
    if not state.is_ended:
        repair(step)


def _reopening(command: RerunExecution, repairs: list[int]) -> ExecutionReopened:
    return ExecutionReopened(
        RERUN,
        clear_reason=True,
        clear_failures=True,
        input=command.workflow_input,
        correlation_id=command.correlation_id,
        repairs=repairs,
    )


def next_seq(state: ExecutionState, removed: dict[int, None]) -> int:
    """Behind the last record that stays, so that the list users see has no gap at its end."""
    return 1 + max((task.seq for task in state.tasks.values() if task.number not in removed), default=0)


def _input(step: Step, command: RerunExecution, task: TaskState, *, asked: bool) -> JsonObject | None:
    """The input that replaces the stored one, or None where that one stays.

    A SUB_WORKFLOW takes none. A dynamic fork is built anew from what is known now, not from what it
    knew: its branches are what one reruns it for (case 51).
    """
    kind = task.node.type
    if asked and command.task_input is not None and kind != "SUB_WORKFLOW":
        return command.task_input
    return resolve_input(step, task.node, task.number) if kind == "FORK_JOIN_DYNAMIC" else None


def rewind(step: Step, loop: TaskState, iteration: int) -> None:
    """Open a loop around the target in the target's iteration."""
    open_again(step, loop)
    if loop.iteration == iteration:
        return
    items = loop_items(step, loop)
    if items is None:
        step.emit(LoopAdvanced(loop.number, iteration))
    else:
        item = items[iteration - 1] if iteration <= len(items) else None
        step.emit(LoopAdvanced(loop.number, iteration, item, len(items)))

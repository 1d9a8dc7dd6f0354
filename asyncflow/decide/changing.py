"""Smart rerun: only what a change concerns runs again, and all other results are reused.

What has to be looked at again is found in `decide/downstream`, as in a rerun from one task; but it is set
aside and not lost, and the flow takes it up again wherever it comes to it with the same input (see
`decide/reusing`). What would be redone is told beforehand by `decide/rerun_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable

from asyncflow.decide.altered import CHANGE
from asyncflow.decide.downstream import Downstream
from asyncflow.decide.flow import begin_list
from asyncflow.decide.repairing import RERUN, in_order, repair, unsuccessful
from asyncflow.decide.rerunning import next_seq, rewind
from asyncflow.decide.reusing import REUSABLE
from asyncflow.decide.reviving import tell_parent
from asyncflow.decide.scheduling import OUTSIDE
from asyncflow.decide.shape import PASSIVE
from asyncflow.decide.slots import await_slot
from asyncflow.decide.step import Step
from asyncflow.errors import Conflict, InvalidInput, Refused
from asyncflow.model.events import DefinitionMigrated, ExecutionReopened, Repaired, TasksRemoved
from asyncflow.model.inputs import ChildEnded, RerunChanged
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED, SKIPPED
from asyncflow.model.values import JsonObject

CUT_OFFS = ("outputs", "inputs", "none")

# In order: the records asked for and those without a result are *targets*. What is downstream of a target is
# set aside, joins that had counted any of it wait again, loops go back. Targets that were not set aside
# themselves are opened in place with the input of now; everything else is left to the flow.


def rerun_changed(step: Step, command: RerunChanged) -> None:
    """Run the records named again, those without a result, and what they alter.

    Raises:
        Refused: the execution did not end yet.
        Conflict: it is not as it was when it was looked at.
        InvalidInput: a record is not there, was skipped, or is to be kept without having a result.
    """
    state = step.state
    if command.by_parent and not _fits(state, command):
        _answer(step)
        return
    check_ended(state)
    if (command.epoch, command.seq) != (state.epoch, state.seq):
        raise Conflict(
            f"execution {state.execution_id} has changed since the plan was made: it is at epoch "
            f"{state.epoch}, event {state.seq}, the plan is for epoch {command.epoch}, event {command.seq}"
        )
    if command.cut_off not in CUT_OFFS:
        raise InvalidInput(f"one of {', '.join(CUT_OFFS)} expected, got {command.cut_off!r}", field="cutOff")
    asked = [_asked(state, number) for number in command.redo]
    _check_kept(state, command.keep)
    if command.definition not in (None, state.graph.hash):
        _go_under(step, command, asked)
        return
    back = Downstream(state)
    top = targets(state, asked, back)
    if not top and is_as_wished(state, command):
        if command.by_parent:
            _answer(step)
        return
    _reopen(step, command, back, asked=asked, top=top)


def _fits(state: ExecutionState, command: RerunChanged) -> bool:
    """Whether an execution is as its parent's plan says; if not, it stays as it is."""
    return state.is_ended and (command.epoch, command.seq) == (state.epoch, state.seq)


def _answer(step: Step) -> None:
    """Tell the parent, which waits, what it knew."""
    state = step.state
    if state.is_ended and state.parent_id is not None:
        given = (state.execution_id, state.status, state.output, state.reason)
        step.send(state.parent_id, ChildEnded(state.parent_number, *given))


def is_end(task: TaskState) -> bool:
    """Whether a record ended the execution by itself."""
    return task.node.type == "TERMINATE" and task.status == COMPLETED


def is_as_wished(state: ExecutionState, command: RerunChanged) -> bool:
    """Whether an execution stays as it is: it succeeded, and nothing is to be redone or changed."""
    same_input = command.workflow_input is None or command.workflow_input == state.input
    same = same_input and command.definition in (None, state.graph.hash)
    return state.status == COMPLETED and same and not command.redo


def check_ended(state: ExecutionState) -> None:
    """Raises: Refused: the execution did not end yet."""
    if not state.is_ended:
        raise Refused(f"execution {state.execution_id} is {state.status}: only one that ended can be rerun")


def targets(state: ExecutionState, asked: Iterable[TaskState], back: Downstream) -> list[TaskState]:
    """The records that are opened in place, those without a result among them; `back` takes the rest back.

    Cost: linear in the records and in the edges of DAG lists.
    """
    chosen = {task.number: task for task in asked}
    chosen |= {task.number: task for task in unsuccessful(state) if task.node.type not in PASSIVE}
    if chosen or state.status != COMPLETED:  # what ended the execution has to end it again
        chosen |= {t.number: t for t in state.by_ref.values() if is_end(t)}
    for number in sorted(chosen):
        if number not in back.removed:
            back.walk(chosen[number])
    back.settle()
    return [chosen[number] for number in sorted(chosen) if number not in back.removed]


def _asked(state: ExecutionState, number: int) -> TaskState:
    task = state.tasks.get(number)
    if task is None or state.by_ref.get(task.ref) is not task:
        raise InvalidInput(f"no such task in execution {state.execution_id}: number {number}", field="tasks")
    if task.status == SKIPPED:
        raise InvalidInput(f"{task.ref} was skipped: it cannot be redone", field="tasks")
    return task


def _check_kept(state: ExecutionState, refs: Iterable[str]) -> None:
    for ref in refs:
        task = state.by_ref.get(ref)
        if task is None or task.status not in REUSABLE:
            raise InvalidInput(f"{ref} has no result that could be reused", field="tasks")


def _reopen(
    step: Step, command: RerunChanged, back: Downstream, *, asked: list[TaskState], top: list[TaskState]
) -> None:
    state = step.state
    opened = {task.number for task in top}
    loops = {number: at for number, at in back.rewound.items() if number not in opened}
    left = {task.number for task in unsuccessful(state)} | back.reopened.keys() | opened
    left -= back.removed.keys() | loops.keys()
    step.emit(
        ExecutionReopened(
            CHANGE,
            clear_reason=True,
            clear_failures=True,
            input=command.workflow_input,
            repairs=in_order(state.tasks[number] for number in sorted(left)),
            cut_off=command.cut_off,
            redo=[t.ref for t in asked if t.number in back.removed or t.node.type in PASSIVE],
            keep=command.keep,
            variables=_variables(state, back, top),
            inside=command.inside,
        )
    )
    is_held = await_slot(step)
    if back.removed:
        step.emit(TasksRemoved(sorted(back.removed), next_seq(state, back.removed), kept=True))
    for number, iteration in loops.items():
        rewind(step, state.tasks[number], iteration)
    if not command.by_parent:
        tell_parent(step, RERUN)
    if not is_held:
        repair(step)


def _go_under(step: Step, command: RerunChanged, asked: list[TaskState]) -> None:
    """Begin again under another definition, with every record set aside: the flow takes up what still fits.

    Raises:
        InvalidInput: the definition is not known.
        Refused: jobs of the execution are open outside.
    """
    state = step.state
    graph = state.graphs.get(command.definition or "")
    if graph is None:
        raise InvalidInput(f"no such definition: {command.definition}", field="definition")
    if state.jobs:
        raise Refused(f"execution {state.execution_id} has open jobs: it cannot go under another definition")
    step.emit(
        ExecutionReopened(
            CHANGE,
            clear_reason=True,
            clear_failures=True,
            input=command.workflow_input,
            cut_off=command.cut_off,
            redo=[task.ref for task in asked],
            keep=command.keep,
            variables={},
        )
    )
    step.emit(TasksRemoved(list(state.tasks), 1, kept=True))
    step.emit(DefinitionMigrated(graph.hash, graph.definition.version))
    step.emit(Repaired(0))
    is_held = await_slot(step, begins=True)
    tell_parent(step, RERUN)
    if not is_held:
        begin_list(step, state.graph.root, OUTSIDE)


def _variables(state: ExecutionState, back: Downstream, top: list[TaskState]) -> JsonObject | None:
    """The variables as they were before any record that runs again had set one; None if none did.

    What was set from outside meanwhile, under a name that such a record sets too, is not known any more.
    """
    again = [state.tasks[number] for number in back.removed] + top
    names = {name for task in again if task.node.type == "SET_VARIABLE" for name in task.input}
    if not names:
        return None
    defaults = state.graph.definition.variables
    found = {name: value for name, value in state.variables.items() if name not in names}
    found |= {name: defaults[name] for name in names if name in defaults}
    gone = {task.number for task in again}
    staying = (t for t in state.tasks.values() if t.node.type == "SET_VARIABLE" and t.number not in gone)
    for task in sorted(staying, key=lambda task: task.seq):
        if task.status == COMPLETED:
            found |= {name: value for name, value in task.input.items() if name in names}
    return found

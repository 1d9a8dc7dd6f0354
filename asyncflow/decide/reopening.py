"""Opening an execution that ended: restart, retry, rerun, and the revival of a parent.

The entry points that `decide/decider` calls, for commands of users and messages between
executions. The operations are in `decide/retrying`, `decide/rerunning`, `decide/changing` and
`decide/reviving`; what they have in common is in `decide/repairing` and `decide/resuming`.
"""

from __future__ import annotations

from asyncflow.decide.changing import rerun_changed
from asyncflow.decide.flow import begin_list
from asyncflow.decide.rerunning import rerun
from asyncflow.decide.retrying import retry
from asyncflow.decide.reviving import child_reopened, tell_parent
from asyncflow.decide.scheduling import OUTSIDE
from asyncflow.decide.slots import await_slot
from asyncflow.decide.step import Step
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model.events import ExecutionRestarted
from asyncflow.model.inputs import RestartExecution
from asyncflow.model.statuses import COMPLETED

__all__ = ["child_reopened", "rerun", "rerun_changed", "restart", "retry"]

# Every operation has the same shape. It is checked whole, then a reopening raises the epoch, so
# that nothing made from here on is taken for something of before: children, tokens, reports. Then
# records are removed, opened in place or followed by another attempt, parents and children are told,
# and at last the flow goes on from wherever it had stopped. All of it is recorded as plain events;
# recovery in the middle of it goes on with what is left.


def restart(step: Step, command: RestartExecution) -> None:
    """Begin again from nothing, with the same input and variables, under the definition named.

    Raises:
        Refused: the execution did not end yet.
        NotFound: it COMPLETED and its definition is not restartable (404, as in Conductor).
        InvalidInput: the definition named is not known.
    """
    state = step.state
    if not state.is_ended:
        raise Refused(
            f"execution {state.execution_id} is {state.status}: only one that ended can be restarted"
        )
    if state.status == COMPLETED and not state.graph.definition.restartable:
        raise NotFound("restartable execution", f"{state.execution_id} is COMPLETED")
    name = state.graph.hash if command.definition is None else command.definition
    graph = state.graphs.get(name)
    if graph is None:
        raise InvalidInput(f"no such definition: {name}", field="definition")
    step.emit(ExecutionRestarted(name, graph.definition.version))
    is_held = await_slot(step, begins=True)
    tell_parent(step, "restart")
    if not is_held:
        begin_list(step, state.graph.root, OUTSIDE)

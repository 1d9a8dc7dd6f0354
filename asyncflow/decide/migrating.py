"""Going on under another version: the command, once `decide/migration_plan` has nothing against it.

A migration is one event; from there on the execution is one of the new definition. It opens nothing
that ended and begins only what should follow from what is done.
"""

from __future__ import annotations

from asyncflow.decide.flow import begin_list
from asyncflow.decide.migration_plan import plan_migration
from asyncflow.decide.resuming import frontier
from asyncflow.decide.scheduling import OUTSIDE
from asyncflow.decide.step import Step
from asyncflow.errors import InvalidInput, Refused
from asyncflow.model.events import DefinitionMigrated
from asyncflow.model.inputs import MigrateExecution
from asyncflow.model.statuses import RUNNING, SKIPPED


def migrate(step: Step, command: MigrateExecution) -> None:
    """Bind the execution to another definition and go on from what is done.

    Raises:
        InvalidInput: the definition named is not known.
        Refused: the execution ended, is being put right after a reopening, or something that is under
            way or done has no place in the definition; every reason is named, nothing changed.
    """
    state = step.state
    graph = state.graphs.get(command.definition)
    if graph is None:
        raise InvalidInput(f"no such definition: {command.definition}", field="definition")
    mapping = {old: new for old, new in (command.mapping or {}).items() if old != new}
    if graph.hash == state.graph.hash and not mapping:
        return
    plan = plan_migration(state, graph, mapping)
    if plan.problems:
        version = graph.definition.version
        reasons = "; ".join(map(str, plan.problems))
        raise Refused(f"execution {state.execution_id} cannot go on as version {version}: {reasons}")
    event = DefinitionMigrated(graph.hash, graph.definition.version, mapping or None, plan.detached or None)
    step.emit(event)
    if state.status == RUNNING and not state.awaits_slot and (state.graph.root.dag or not state.tasks):
        begin_list(step, state.graph.root, OUTSIDE)
    # One that a user skipped is passed when the flow comes to it, which in a sequence may be later.
    step.pending.extend([each for each in frontier(state) if each.status != SKIPPED or each.node.home.dag])

"""An execution of a journal file that is to go on after a change: of its definition, of code, of its input.

What a smart rerun would do is decided before any engine has the execution, and becomes part of its history.
What it reuses and redoes is the rule of `decide/rerun_plan`. Reading files, and putting one into a database,
is `app/recovering`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from asyncflow.app.code_prints import fingerprints
from asyncflow.app.recovering import Journaled
from asyncflow.app.reruns import planned
from asyncflow.app.sandbox import Sandbox
from asyncflow.decide.rerun_plan import RerunPlan, RerunRequest, command_of, plan_json
from asyncflow.errors import Conflict, NotFound
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.events import Event
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import Message, TerminateExecution
from asyncflow.model.rendering import canonical_json
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject

_REASON = "taken up from its journal file after a change"


@dataclass(frozen=True, slots=True)
class Change:
    """What changed since the file was written.

    Attributes:
        changed: selectors, as of a smart rerun.
        definition: what the workflow is now; None where it is as it was.
        executors: where functions of this process run, by task name.
    """

    changed: tuple[str, ...] = ()
    definition: WorkflowDefinition | None = None
    executors: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Histories(Sandbox):
    """Keeps what is decided behind what was recorded."""

    streams: dict[str, list[Recorded]] = field(default_factory=dict)

    def decided(self, state: ExecutionState, events: list[Event]) -> None:
        """As a turn would record them."""
        history = self.streams.setdefault(state.execution_id, [])
        history += [Recorded(len(history) + i, self.now_ms, event) for i, event in enumerate(events, start=1)]


async def changed(found: Journaled, change: Change) -> tuple[Journaled, JsonObject]:
    """The execution as a change leaves it, and the plan that says what becomes of each task.

    The states of `found` are changed, too.

    Raises:
        Conflict: jobs outside are open, or it cannot begin under the change.
        InvalidInput: a selector means nothing here.
    """
    if any(state.jobs for state in found.states.values()):
        raise Conflict(f"{found.path}: it has jobs outside that go on: let them end first")
    world = _Histories(
        now_ms=max(history[-1].at_ms for history in found.streams.values()),
        catalog=found.catalog,
        states=dict(found.states),
        streams={stream: list(history) for stream, history in found.streams.items()},
    )
    world.catalog.functions.update(change.executors)
    state = found.state
    if not state.is_ended:
        world.settle(Message(found.execution_id, TerminateExecution(_REASON)))
    graph = None if change.definition is None else world.catalog.inline(change.definition)
    plan = await _plan(world, state, change, graph)
    world.settle(Message(found.execution_id, command_of(plan, {})))
    if state.is_ended and state.status != COMPLETED:
        raise Conflict(f"{found.path}: it cannot begin again: {state.reason}")
    bodies = dict(found.definitions)
    if plan.definition is not None:
        bodies[plan.definition] = canonical_json(state.graph.definition).decode()
    after = replace(found, definitions=bodies, streams=world.streams, states=world.states)
    return after, plan_json(plan)


async def _plan(world: _Histories, state: ExecutionState, change: Change, graph: Graph | None) -> RerunPlan:
    async def load(stream: str) -> ExecutionState:
        if stream not in world.states:
            raise NotFound("execution", stream)
        return world.states[stream]

    request = RerunRequest(change.changed, cut_off="outputs" if graph is None else "inputs")
    return await planned(load, state, request, graph=graph)


# --- code ---------------------------------------------------------------------------------------------


def code_changed(found: Journaled, functions: Mapping[str, Callable[..., object]]) -> dict[str, int]:
    """The task names whose function is another than the one that gave results in the file, and how many."""
    suspects = {name for name, now in fingerprints(functions).items() if found.code.get(name, now) != now}
    counted: dict[str, int] = {}
    for state in found.states.values():
        for task in state.tasks.values():
            name = task.name or task.node.name
            if name in suspects and task.node.type in {"SIMPLE", "DYNAMIC"} and task.status == COMPLETED:
                counted[name] = counted.get(name, 0) + 1
    return counted

"""The plan of a smart rerun: each task record as reuse or redo, with its reason, before anything runs.

It reads the state and changes nothing. What it says is carried out by `decide/changing`; where results are
compared, that redoes what is planned here or less, never more. Selectors are in `decide/rerun_selectors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from asyncflow.decide.changing import CUT_OFFS, check_ended, is_end, targets
from asyncflow.decide.downstream import Downstream
from asyncflow.decide.expressions import Template
from asyncflow.decide.gather import join_refs
from asyncflow.decide.rerun_definitions import compare
from asyncflow.decide.rerun_selectors import changed_input, match, parse_selector, refuse_unmatched
from asyncflow.decide.reusing import REUSABLE
from asyncflow.decide.shape import JOINS, STRUCTURE
from asyncflow.errors import InvalidInput
from asyncflow.ids import task_id
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import RerunChanged
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import SKIPPED, TASK_UNSUCCESSFUL
from asyncflow.model.values import JsonObject, JsonValue

REUSE, REDO, ASK = "reuse", "redo", "ask"
COMPLETED_MODES = ("keep", "redo", "ask-per-task")

Action = Literal["reuse", "redo", "ask"]

_UNCHANGED = "nothing it depends on changed"
_CHOICE = "finished: to be answered with reuse or redo"


@dataclass(frozen=True, slots=True)
class RerunRequest:
    """What a plan is asked for: what changed, and what is to become of what is finished.

    `completed` says whether finished tasks that nothing changed are kept, redone, or asked about one by
    one; `cut_off` where a change ends, see `inputs.RerunChanged`. `version` is that of another definition
    to go on under, 0 for the newest.
    """

    changed: tuple[str, ...] = ()
    completed: str = "keep"
    cut_off: str = "outputs"
    version: int | None = None


class PlannedTask(NamedTuple):
    """One record in a plan.

    `is_asked`: it runs again by itself, not only because of what it follows. `is_conditional`: it is redone
    unless what it depends on comes out as before. `is_fixed`: its action cannot be chosen.
    """

    number: int
    ref: str
    name: str
    type: str
    status: str
    action: Action
    reason: str
    is_asked: bool = False
    is_conditional: bool = False
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class RerunPlan:
    """What a smart rerun would do, for an execution as it was at `epoch` and `seq`.

    `workflow_input` is the new one, None where it stays. `definition` is the content hash of another one to
    go on under, and `added` are its tasks that there is no record of. `inside` are SUB_WORKFLOW tasks of
    which only what is concerned in the child runs again, see `inputs.RerunChanged`.
    """

    execution_id: str
    epoch: int
    seq: int
    request: RerunRequest
    workflow_input: JsonObject | None
    tasks: tuple[PlannedTask, ...]
    definition: str | None = None
    added: tuple[str, ...] = ()
    inside: Mapping[str, JsonValue] = field(default_factory=dict)


class Below(NamedTuple):
    """What selectors mean in executions below.

    `reasons` are by the number of the SUB_WORKFLOW record that it lies under, `matched` the selectors that
    meant something, and `inside` what runs again in its child, by the record's full name.
    """

    reasons: dict[int, str]
    matched: set[str]
    inside: dict[str, JsonValue]


def plan_rerun(
    state: ExecutionState, request: RerunRequest, *, below: Below | None = None, graph: Graph | None = None
) -> RerunPlan:
    """The plan for an execution that ended.

    Args:
        below: what the selectors mean in the executions below it.
        graph: another definition to go on under.

    Raises:
        Refused: the execution did not end yet.
        InvalidInput: a selector is malformed or means nothing here, or a mode is unknown.

    Cost: linear in the records and in the edges of DAG lists, for each selector.
    """
    check_ended(state)
    _check_modes(request)
    if graph is not None and request.cut_off != "inputs":
        raise InvalidInput("under another definition only inputs count: inputs expected", field="cutOff")
    selectors = [parse_selector(text) for text in request.changed]
    given = changed_input(state.input, selectors)
    found = match(state, selectors, given=given)
    under = below or Below({}, set(), {})
    reasons = {**under.reasons, **found.reasons}
    refuse_unmatched(state, [each for each in found.unmatched if each.text not in under.matched])
    if request.completed == REDO:
        for task in state.by_ref.values():
            if task.status in REUSABLE and task.node.type not in STRUCTURE:
                reasons.setdefault(task.number, "finished tasks are to run again")
    change = None if graph is None or graph.hash == state.graph.hash else compare(state, graph)
    if change is not None:
        reasons = {**change.reasons, **reasons}
    back = Downstream(state)
    top = targets(state, [state.tasks[number] for number in reasons if _may_run(state, number)], back)
    planner = _Planner(state, request, reasons, back, {task.number for task in top})
    planner.gone = change.gone if change is not None else {}
    return RerunPlan(
        state.execution_id,
        state.epoch,
        state.seq,
        request,
        given if given != state.input else None,
        tuple(
            planner.planned(task) for task in sorted(state.by_ref.values(), key=lambda t: (t.seq, t.number))
        ),
        None if change is None or graph is None else graph.hash,
        () if change is None else change.added,
        _inside(state, request, under, found.reasons) if change is None else {},
    )


def _inside(
    state: ExecutionState, request: RerunRequest, under: Below, itself: Mapping[int, str]
) -> dict[str, JsonValue]:
    """The SUB_WORKFLOW tasks that are redone for something in their child alone."""
    if request.completed == REDO:
        return {}
    return {ref: what for ref, what in under.inside.items() if state.by_ref[ref].number not in itself}


def _check_modes(request: RerunRequest) -> None:
    if request.completed not in COMPLETED_MODES:
        raise InvalidInput(f"one of {', '.join(COMPLETED_MODES)} expected", field="completed")
    if request.cut_off not in CUT_OFFS:
        raise InvalidInput(f"one of {', '.join(CUT_OFFS)} expected", field="cutOff")


def _may_run(state: ExecutionState, number: int) -> bool:
    return state.tasks[number].status != SKIPPED


class _Planner:
    """Says what becomes of each record."""

    __slots__ = ("_again", "_back", "_reasons", "_request", "_state", "gone")

    def __init__(
        self,
        state: ExecutionState,
        request: RerunRequest,
        reasons: Mapping[int, str],
        back: Downstream,
        top: set[int],
    ) -> None:
        self._state, self._request, self._reasons, self._back = state, request, reasons, back
        self.gone: Mapping[int, str] = {}
        self._again = top | back.removed.keys() | back.reopened.keys() | back.rewound.keys()

    def planned(self, task: TaskState) -> PlannedTask:
        """What becomes of one record, and why."""
        action, reason, is_asked = self._decided(task)
        conditional = action == REDO and not is_asked and self._request.cut_off != "none"
        return PlannedTask(
            task.number,
            task.ref,
            task.name or task.node.name,
            task.node.type,
            task.status,
            action,
            reason,
            is_asked,
            conditional,
            is_fixed=self._is_fixed(task, is_asked),
        )

    def _is_fixed(self, task: TaskState, is_asked: bool) -> bool:  # noqa: FBT001 - as it was decided
        if task.status == SKIPPED or task.number in self.gone:
            return True
        return task.node.type in STRUCTURE and not is_asked

    def _decided(self, task: TaskState) -> tuple[Action, str, bool]:
        number = task.number
        if task.status == SKIPPED:
            return "reuse", "it was skipped", False
        if number in self.gone:
            return "reuse", self.gone[number], False
        if number in self._reasons:
            return "redo", self._reasons[number], True
        if task.status in TASK_UNSUCCESSFUL:
            by_itself = task.node.type not in STRUCTURE
            return "redo", "failed" if task.status == "FAILED" else f"it is {task.status}", by_itself
        is_affected = number in self._again
        if self._request.completed == "ask-per-task" and task.node.type not in STRUCTURE:
            return "ask", f"{_CHOICE}; {self._because(task)}" if is_affected else _CHOICE, False
        return ("redo", self._because(task), False) if is_affected else ("reuse", _UNCHANGED, False)

    def _because(self, task: TaskState) -> str:
        """Why a record is reached: what it reads comes first, then what it follows."""
        if is_end(task):
            return "it ended the execution"
        if task.number in self._back.rewound:
            return "a task in it runs again"
        template = task.node.input
        for read in template.reads if isinstance(template, Template) else ():
            found = self._again_under(read.head, task)
            if found is not None:
                return f"depends on {found.ref}"
        if task.node.type in JOINS:
            for ref in join_refs(self._state, task):
                member = self._state.by_ref.get(ref)
                if member is not None and member.number in self._again:
                    return f"depends on {ref}"
        for node in task.node.before:
            before = self._state.by_ref.get(node.ref + task.suffix)
            if before is not None and before.number in self._again:
                return f"follows {before.ref}"
        owner = task.node.home.owner
        around = None if owner is None else self._state.by_ref.get(owner.ref + task.suffix)
        return "downstream of what runs again" if around is None else f"downstream of {around.ref}"

    def _again_under(self, head: str, task: TaskState) -> TaskState | None:
        """The record that a name in an expression means, if it runs again."""
        for ref in (head + task.suffix, head):
            found = self._state.by_ref.get(ref)
            if found is not None and found is not task:
                return found if found.number in self._again else None
        return None


# --- carried out ---------------------------------------------------------------------------------


def command_of(plan: RerunPlan, actions: Mapping[int, str]) -> RerunChanged:
    """The command that carries a plan out, with the actions chosen by hand, by record number.

    Raises:
        InvalidInput: an action is unknown, cannot be chosen, or is still to be answered.
    """
    redo: list[int] = []
    keep: list[str] = []
    for task in plan.tasks:
        action = actions.get(task.number, task.action)
        _check_action(task, action)
        if action == REDO and (task.is_asked or task.action != REDO):
            redo.append(task.number)
        elif action == REUSE and task.action != REUSE:
            keep.append(task.ref)
    chosen = {task.ref for task in plan.tasks if task.number in redo}
    inside = {ref: what for ref, what in plan.inside.items() if ref in chosen}
    return RerunChanged(
        plan.epoch,
        plan.seq,
        redo,
        keep,
        plan.request.cut_off,
        plan.workflow_input,
        plan.definition,
        inside or None,
    )


def _check_action(task: PlannedTask, action: str) -> None:
    if action == ASK:
        raise InvalidInput(f"{task.ref}: reuse or redo is to be chosen first", field="tasks")
    if action not in (REUSE, REDO):
        raise InvalidInput(f"{task.ref}: reuse or redo expected, got {action!r}", field="tasks")
    if action == task.action:
        return
    if task.is_fixed:
        why = "it was skipped" if task.status == SKIPPED else "it only arranges others"
        raise InvalidInput(f"{task.ref} cannot be changed to {action}: {why}", field="tasks")
    if action == REUSE and task.status not in REUSABLE:
        raise InvalidInput(f"{task.ref} cannot be reused: it is {task.status}", field="tasks")


def counts(tasks: Iterable[PlannedTask]) -> dict[str, int]:
    """How many tasks there are of each action."""
    found = dict.fromkeys((REUSE, REDO, ASK), 0)
    for task in tasks:
        found[task.action] += 1
    return found


def plan_json(plan: RerunPlan) -> JsonObject:
    """A plan as it is shown, saved, edited and given back."""
    tasks: list[JsonObject] = [
        {
            "taskId": task_id(plan.execution_id, task.number),
            "taskReferenceName": task.ref,
            "name": task.name,
            "type": task.type,
            "status": task.status,
            "action": task.action,
            "reason": task.reason,
            "conditional": task.is_conditional,
            "fixed": task.is_fixed,
        }
        for task in plan.tasks
    ]
    return {
        "workflowId": plan.execution_id,
        "epoch": plan.epoch,
        "seq": plan.seq,
        "changed": list(plan.request.changed),
        "completed": plan.request.completed,
        "cutOff": plan.request.cut_off,
        "workflowInput": plan.workflow_input,
        "version": plan.request.version,
        "definition": plan.definition,
        "added": list(plan.added),
        "counts": counts(plan.tasks),
        "tasks": tasks,
    }

"""Definitions in Conductor's own words: the `asyncflow` key lowered where it can be, named where not.

Pure: the given definition is not changed, and nothing is looked up. `conductor_dag` arranges the
lists with `dependsOn`, `docs/importing.md` has the table of what moves and what does not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

from asyncflow.convert.conductor_dag import FORKS, DagLowering, Task, depends_on, reference_of, stricter_units
from asyncflow.convert.conductor_retries import nearest_policy
from asyncflow.convert.reading import refuse
from asyncflow.convert.references import ReferenceNames

_CONDUCTOR_TYPES = FORKS | {
    *("SIMPLE", "DYNAMIC", "USER_DEFINED", "SWITCH", "DECISION", "JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"),
    *("SUB_WORKFLOW", "START_WORKFLOW", "TERMINATE", "SET_VARIABLE", "NOOP", "WAIT", "HUMAN", "INLINE"),
    *("LAMBDA", "JSON_JQ_TRANSFORM", "HTTP", "EVENT", "KAFKA_PUBLISH", "PULL_WORKFLOW_MESSAGES"),
}
_LOST = {
    "resources": "not kept: the nearest is a task definition's concurrentExecLimit",
    "priority": "not kept: Conductor has a priority per execution only",
    "weight": "not kept: every failure counts alike",
    "executor": "not kept: a worker polls the task",
    "executeWhenRecovering": "not kept: Conductor runs no finished task again",
    "failIfFailedWeightAbove": "not kept: the first failure fails the workflow",
    "reassign": "not kept: the next attempt goes to any worker",
    "pinWorkerVersion": "not kept: Conductor gives tasks to workers of any version",
    "maxInFlightPerWorker": "not kept: a worker takes what it asks for",
    "onStop": "not kept: a stop of Conductor pauses nothing",
    "durationMs": "the wait is rounded up to whole seconds",
}
_EMBEDDED = (
    "retryDelays became a policy in an embedded task definition, which hides a registered one of that name"
)
_PERMISSIVE = "permissive: after its failure the JOIN fails, so what depends on it does not run"
_STRICTER = "starts later than dependsOn asks: a fork and its JOIN are taken as one"
_LAST_OUTPUT = "outputParameters is empty, and the last task is now a JOIN: name the output"
_MOST_NAMED = 5


def lower_to_conductor(definition: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The definition without the `asyncflow` key, and what of it could not be said to Conductor.

    Lists with `dependsOn` become FORK_JOIN, JOIN and sequences in which every task starts exactly
    when its dependencies have ended.

    Returns:
        The lowered copy; and one line per kind of loss, naming the tasks it concerns.

    Raises:
        DefinitionError: `dependsOn` names what is not in the list, or forms a cycle.
    """
    lowering = _Lowering(definition)
    lowered = lowering.workflow(copy.deepcopy(dict(definition)), "tasks", label="workflow")
    return lowered, lowering.lines()


class _Lowering:
    """One run over a definition, with the names it uses and the losses met so far."""

    def __init__(self, definition: Mapping[str, object]) -> None:
        self._names = ReferenceNames(_references(definition))
        self._losses: dict[str, list[str]] = {}

    def lines(self) -> list[str]:
        """The losses, in the order in which they were first met."""
        return [f"{_listed(where)}: {loss}" for loss, where in self._losses.items()]

    def workflow(self, definition: dict[str, object], path: str, *, label: str) -> dict[str, object]:
        """Lower a definition in place."""
        for key in _extension(definition):
            self._lose(key, label)
        definition.pop("asyncflow", None)
        before = definition.get("tasks")
        tasks = self._list(before, path)
        definition["tasks"] = tasks
        rearranged = isinstance(before, list) and tasks[-1:] != before[-1:]
        if rearranged and not definition.get("outputParameters") and tasks[-1].get("type") == "JOIN":
            self._note(_LAST_OUTPUT, label)
        return definition

    def _list(self, value: object, path: str) -> list[Task]:
        if not isinstance(value, list):
            return []
        tasks: list[Task] = []
        for index, task in enumerate(value):
            if not isinstance(task, dict):
                raise refuse(f"{path}[{index}]", "must be an object")
            tasks.append(task)
        dag = any(depends_on(task) is not None for task in tasks)
        arranged = self._arranged(tasks, path) if dag else tasks
        for index, task in enumerate(tasks):
            self._task(task, f"{path}[{index}]")
        return arranged

    def _arranged(self, tasks: list[Task], path: str) -> list[Task]:
        for reference in stricter_units(tasks):
            self._note(_STRICTER, reference)
        arranged = DagLowering(tasks, self._names, path=path).tasks()
        given = {id(task) for task in tasks}
        if any(id(task) not in given for task in arranged):  # a fork was needed, so there are joins
            for task in tasks:
                if task.get("permissive") is True:
                    self._note(_PERMISSIVE, reference_of(task))
        return arranged

    def _task(self, task: Task, path: str) -> None:
        reference = reference_of(task)
        kind = str(task.get("type") or "SIMPLE")
        if kind not in _CONDUCTOR_TYPES:
            self._note(f"{kind} is no type of Conductor's: workers must poll a queue of that name", reference)
        extension = _extension(task)
        task.pop("asyncflow", None)
        for key in extension:
            if key not in ("dependsOn", "retryDelays"):
                self._lose(key, reference)
        if "retryDelays" in extension:
            self._retries(task, extension["retryDelays"], reference)
        self._embedded(task, reference)
        self._inside(task, path)

    def _inside(self, task: Task, path: str) -> None:
        for key in ("defaultCase", "loopOver"):
            if task.get(key):
                task[key] = self._list(task[key], f"{path}.{key}")
        branches = task.get("forkTasks")
        if isinstance(branches, list):
            task["forkTasks"] = [
                self._list(branch, f"{path}.forkTasks[{index}]") for index, branch in enumerate(branches)
            ]
        cases = task.get("decisionCases")
        if isinstance(cases, dict):
            task["decisionCases"] = {
                case: self._list(tasks, f"{path}.decisionCases.{case}") for case, tasks in cases.items()
            }
        child = _inline_child(task)
        if child is not None:
            inner = f"{path}.subWorkflowParam.workflowDefinition.tasks"
            self.workflow(child, inner, label=f"workflow in {reference_of(task)}")

    def _embedded(self, task: Task, reference: str) -> None:
        definition = task.get("taskDefinition")
        if not isinstance(definition, dict):
            return
        extension = _extension(definition)
        definition.pop("asyncflow", None)
        for key, value in extension.items():
            if key != "retryDelays":
                self._lose(key, reference)
            else:
                self._write_policy(task, definition, value, reference)

    def _retries(self, task: Task, delays: object, reference: str) -> None:
        definition = task.get("taskDefinition")
        if not isinstance(definition, dict):
            definition = {"name": task.get("name")}
            task["taskDefinition"] = definition
            self._note(_EMBEDDED, reference)
        _extension(definition).pop("retryDelays", None)  # the task's own win, and so does their number
        definition.pop("retryCount", None)
        self._write_policy(task, definition, delays, reference)

    def _write_policy(self, task: Task, definition: Task, delays: object, reference: str) -> None:
        seconds = [float(d) for d in delays if isinstance(d, int | float)] if isinstance(delays, list) else []
        given = (task.get("retryCount"), definition.get("retryCount"))
        count = next((each for each in given if isinstance(each, int)), len(seconds))
        policy = nearest_policy(seconds, count)
        definition.update(policy.fields(count))
        if policy.difference:
            said = f"{policy.logic} of {policy.delay_seconds} s"
            if policy.cap_seconds:
                said += f", at most {policy.cap_seconds} s"
            self._note(f"retryDelays {seconds} are only near to {said}", reference)

    def _lose(self, key: str, where: str) -> None:
        self._note(f"{key}: {_LOST.get(key, 'not kept: Conductor has no word for it')}", where)

    def _note(self, loss: str, where: str) -> None:
        self._losses.setdefault(loss, []).append(where)


def _extension(holder: Mapping[str, object]) -> dict[str, object]:
    found = holder.get("asyncflow")
    return found if isinstance(found, dict) else {}


def _inline_child(task: Mapping[str, object]) -> dict[str, object] | None:
    parameters = task.get("subWorkflowParam")
    child = parameters.get("workflowDefinition") if isinstance(parameters, dict) else None
    return child if isinstance(child, dict) else None


def _references(value: object) -> Iterator[str]:
    # Over-collects on purpose: anything that looks like a reference anywhere is not claimed again.
    todo: list[object] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping):
            reference = item.get("taskReferenceName")
            if isinstance(reference, str):
                yield reference
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)


def _listed(where: list[str]) -> str:
    named = ", ".join(where[:_MOST_NAMED])
    rest = len(where) - _MOST_NAMED
    return f"{named} and {rest} more" if rest > 0 else named

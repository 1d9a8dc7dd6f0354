"""Making task records: input resolved, executor chosen, the operator begun.

`schedule` is the only door through which a task of a definition comes into being, except the
branches of dynamic forks. What comes after a task is in `decide/flow`.
"""

from __future__ import annotations

from asyncflow.decide.step import Step
from asyncflow.decide.templates import apply_input_template
from asyncflow.model.events import TaskScheduled
from asyncflow.model.graph import Node
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import IN_PROGRESS, SCHEDULED
from asyncflow.model.values import JsonObject

SCRIPTED = frozenset({"INLINE", "LAMBDA", "JSON_JQ_TRANSFORM"})
BUILT_IN_EXECUTORS = {"HTTP": "http", "COMMAND": "command", "WAIT": "wait", "HUMAN": "external"}
OPERATORS = frozenset(
    {
        "FORK_JOIN",
        "FORK_JOIN_DYNAMIC",
        "JOIN",
        "EXCLUSIVE_JOIN",
        "SWITCH",
        "DECISION",
        "DO_WHILE",
        "SET_VARIABLE",
        "TERMINATE",
        "NOOP",
        "EVENT",
        "START_WORKFLOW",
    }
)
_STARTED_AT_ONCE = OPERATORS | SCRIPTED | {"WAIT", "HUMAN"}


class Frame:
    """Where in the loops of a definition a task is scheduled: its suffix, iteration and loop record."""

    __slots__ = ("iteration", "loop", "suffix")

    def __init__(self, suffix: str = "", iteration: int = 0, loop: int = 0) -> None:
        """Outside of every loop unless told otherwise."""
        self.suffix = suffix
        self.iteration = iteration
        self.loop = loop

    @classmethod
    def of(cls, task: TaskState) -> Frame:
        """The frame a record is in; its successors are in the same."""
        if task.node.type == "DO_WHILE":  # its own iteration is that of its body
            return cls(task.suffix, _outer_iteration(task.suffix), task.loop)
        return cls(task.suffix, task.iteration, task.loop)


def _outer_iteration(suffix: str) -> int:
    return int(suffix.rsplit("__", 1)[1]) if suffix else 0


OUTSIDE = Frame()


def executor_of(step: Step, node: Node, name: str) -> str:
    """Where an attempt of this node is performed; see `model/events.TaskScheduled`."""
    kind = node.type
    if kind in BUILT_IN_EXECUTORS:
        return BUILT_IN_EXECUTORS[kind]
    if kind in SCRIPTED:
        return "script"
    if kind in OPERATORS:
        return ""
    if kind == "SUB_WORKFLOW":
        return "child"
    asked = node.task.extension.executor if node.task.extension is not None else None
    if asked == "remote":
        return "remote"
    here = step.context.catalog.has_function(name)
    return "remote" if here is None else asked or here


def resolve_input(step: Step, node: Node, number: int) -> JsonObject | None:
    """The input of a record about to be made, or None where it is the constant of the definition."""
    if node.input.is_constant:
        return None
    resolved = node.input.resolve(step.scope(number))
    assert isinstance(resolved, dict)  # noqa: S101 - inputParameters is an object by its type
    template = node.policy.input_template
    return apply_input_template(resolved, template) if template else resolved


def schedule(step: Step, node: Node, frame: Frame) -> TaskState:
    """Make the record of a node and begin it.

    Returns:
        The record, which may have ended already.
    """
    state = step.state
    number = state.next_number
    given = resolve_input(step, node, number)
    name = _dynamic_name(node, given) if node.type == "DYNAMIC" else None
    delay = node.task.start_delay
    step.emit(
        TaskScheduled(
            number,
            node.ref,
            frame.suffix,
            given,
            executor_of(step, node, name or (node.name if node.type in {"SIMPLE", "DYNAMIC"} else node.type)),
            frame.iteration,
            frame.loop,
            retry_count=_inherited_retries(state.tasks.get(frame.loop), node),
            due_ms=step.now_ms + delay * 1000 if delay else 0,
            name=name,
            domain=step.state.task_to_domain.get(name or node.name) if state.task_to_domain else None,
            status=IN_PROGRESS if node.type in _STARTED_AT_ONCE else SCHEDULED,
        )
    )
    return state.tasks[number]


def _inherited_retries(loop: TaskState | None, node: Node) -> int:
    """The first body task of each iteration takes over the retry count of its loop."""
    if loop is None or loop.node.body is None or loop.node.body.nodes[0] is not node:
        return 0
    return loop.retry_count


def _dynamic_name(node: Node, given: JsonObject | None) -> str | None:
    values = node.task.input_parameters if given is None else given
    name = values.get(node.task.dynamic_task_name_param or "")
    return None if name is None or name == "" else str(name)

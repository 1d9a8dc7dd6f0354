"""Making task records: input resolved, executor and domain chosen.

`schedule` is the only door through which a task of a definition comes into being, except the
branches of dynamic forks and further attempts. What comes after a task is in `decide/flow`.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.decide.payloads import check_payload, payload_fault
from asyncflow.decide.step import Step
from asyncflow.decide.templates import apply_input_template
from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.errors import DefinitionError, StoredByReference, Violation
from asyncflow.model.events import TaskScheduled
from asyncflow.model.graph import Node
from asyncflow.model.payload_reference import refuse_stored
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
_EXECUTORS = {
    **dict.fromkeys(OPERATORS, ""),
    **dict.fromkeys(SCRIPTED, "script"),
    **BUILT_IN_EXECUTORS,
    "SUB_WORKFLOW": "child",
}
NO_DOMAIN = "NO_DOMAIN"
_STARTED_AT_ONCE = OPERATORS | SCRIPTED | {"WAIT", "HUMAN"}
_NAMED_BY_TASK = frozenset({"SIMPLE", "DYNAMIC"})

# Types of their own that take no notice of `startDelay`, as in Conductor.
_NEVER_DELAYED = (OPERATORS - {"EVENT", "START_WORKFLOW"}) | SCRIPTED | {"WAIT", "HUMAN"}


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
        if not (task.loop or task.suffix or task.iteration):
            return OUTSIDE
        return cls(task.suffix, task.iteration, task.loop)


def _outer_iteration(suffix: str) -> int:
    return int(suffix.rsplit("__", 1)[1]) if suffix else 0


OUTSIDE = Frame()


def worker_name(node: Node) -> str:
    """The name by which a function or worker is found: the task's, or the type of its own."""
    return node.name if node.type in _NAMED_BY_TASK else node.type


def executor_of(step: Step, node: Node, name: str) -> str:
    """Where an attempt of this node is performed; see `model/events.TaskScheduled`."""
    known = _EXECUTORS.get(node.type)
    if known is not None:
        return known
    asked = node.asked_executor
    if step.context.catalog.job_types and asked != "remote" and node.type in step.context.catalog.job_types:
        return "job"  # whatever domains are asked for: those are of workers
    if asked == "remote" or (step.state.task_to_domain and domain_of(step, name) is not None):
        return "remote"
    here = step.context.catalog.has_function(name)
    return "remote" if here is None else str(asked) if asked else here


def domain_of(step: Step, name: str) -> str | None:
    """The domain whose workers get tasks of this name in this execution, or None for the plain queue.

    The exact name counts before `*`; of several domains the first whose workers polled lately,
    else the last. A domain is a wish for workers elsewhere: it overrules a function of this name here.
    """
    domains = step.state.task_to_domain
    listed = (domains.get(name) or domains.get("*")) if domains else None
    if not listed:
        return None
    names = [part.strip() for part in str(listed).split(",")]
    active = step.context.active_domains.get(name, frozenset())
    chosen = next((each for each in names if each in active), names[-1])
    return None if chosen in {NO_DOMAIN, ""} else chosen


def resolve_input(step: Step, node: Node, number: int) -> JsonObject | None:
    """The input of a record about to be made, or None where it is the constant of the definition."""
    if node.input.is_constant and node.type != "SUB_WORKFLOW":
        return None
    try:
        resolved = node.input.resolve(step.scope(number))
    except StoredByReference as error:
        raise StoredByReference(f"input of task {node.ref}: {error}") from error
    assert isinstance(resolved, dict)  # inputParameters is an object by its type
    return complete_input(step, node, number, resolved)


def complete_input(step: Step, node: Node, number: int, resolved: JsonObject) -> JsonObject:
    """What is recorded as input: null keys filled from the template, a child's start request built.

    Raises:
        LimitExceeded: it is too large or too deep to be recorded.
    """
    template = node.policy.input_template
    if template:
        resolved = apply_input_template(dict(resolved), template)
    if node.type == "SUB_WORKFLOW":
        resolved = child_request(step, node, number, resolved)
    if payload_fault(resolved, step.context.limits) is not None:
        check_payload(resolved, step.context.limits, f"input of task {node.ref}")
    return resolved


def child_request(step: Step, node: Node, number: int, workflow_input: JsonObject) -> JsonObject:
    """The record input of a SUB_WORKFLOW task: which workflow, how, and `workflowInput`.

    An inline definition stands in the task's definition already and is added where the input is
    read; one that an expression gives is recorded here.
    """
    param = node.task.sub_workflow_param
    scope = step.scope(number)
    template = node.extra.get("sub")
    resolved = {} if template is None else template.resolve(scope)
    given = resolved if isinstance(resolved, Mapping) else {}
    definition = node.extra.get("definition")
    priority = given.get("priority")
    request: JsonObject = {
        "subWorkflowName": given.get("name"),
        "subWorkflowVersion": None if param is None else param.version,
        "subWorkflowDefinition": None if definition is None else definition.resolve(scope),
        "subWorkflowTaskToDomain": given.get("taskToDomain"),
        "priority": priority if isinstance(priority, int) and not isinstance(priority, bool) else None,
        "idempotencyKey": given.get("idempotencyKey"),
        "idempotencyStrategy": None if param is None else param.idempotency_strategy,
        "workflowInput": workflow_input,
    }
    return {key: value for key, value in request.items() if value is not None}


def schedule(step: Step, node: Node, frame: Frame) -> TaskState:
    """Make the record of a node; `flow.begin_task` begins it.

    Returns:
        The record, open, with all its expressions resolved.

    Raises:
        DefinitionError: a DYNAMIC task whose input names no task.
    """
    state = step.state
    number = state.next_number
    kind = node.type
    given = resolve_input(step, node, number)
    name = dynamic_name(node, given) if kind == "DYNAMIC" else None
    worker = name or (node.name if kind == "SIMPLE" else kind)
    executor = executor_of(step, node, worker)
    delay_ms = start_delay_ms(node) if node.task.start_delay else 0
    at_once = not delay_ms and (kind in _STARTED_AT_ONCE or begins_at_once(step, node, executor, name=name))
    step.emit(
        TaskScheduled(
            number,
            node.ref,
            frame.suffix,
            given,
            executor,
            frame.iteration,
            frame.loop,
            0,
            _inherited_retries(state.tasks[frame.loop], node) if frame.loop else 0,
            step.now_ms + delay_ms if delay_ms else 0,
            name,
            0,
            -1,
            domain_of(step, worker) if executor == "remote" and state.task_to_domain else None,
            IN_PROGRESS if at_once else SCHEDULED,
        )
    )
    return state.tasks[number]


def begins_at_once(step: Step, node: Node, executor: str, *, name: str | None = None) -> bool:
    """Whether the attempt of a record begins with it: here, and limited by nothing and nobody.

    Such an attempt holds no grant, so admission has nothing to decide and nothing to count. `name`
    is that of a DYNAMIC task's worker.
    """
    if executor not in LOCAL_EXECUTORS or not step.context.begins:
        return False
    policy = node.policy
    limited = policy.concurrency or policy.rate or "resources" in node.extra
    return not limited and not step.context.catalog.is_limited(name or node.name)


def first_status(node: Node, *, held: bool) -> str:
    """The status in which a record of this node comes into being."""
    return IN_PROGRESS if node.type in _STARTED_AT_ONCE and not held else SCHEDULED


def start_delay_ms(node: Node) -> int:
    """How long the first attempt of this node is held back."""
    delay_s = node.task.start_delay
    return delay_s * 1000 if delay_s > 0 and node.type not in _NEVER_DELAYED else 0


def _inherited_retries(loop: TaskState, node: Node) -> int:
    """The first body task of each iteration takes over the retry count of its loop."""
    body = loop.node.body
    return loop.retry_count if body is not None and body.nodes[0] is node else 0


def dynamic_name(node: Node, given: JsonObject | None) -> str:
    """The worker that the input of a DYNAMIC task names; `given` None is the constant of the definition.

    Raises:
        DefinitionError: it names none.
        StoredByReference: what should be a name lies in the payload folder.
    """
    param = node.task.dynamic_task_name_param or ""
    name = (node.task.input_parameters if given is None else given).get(param)
    if name is None or name == "":
        fault = f"Cannot map a dynamic task based on the parameter and input: {param!r} gives no task name"
        raise DefinitionError([Violation(node.ref, fault)])
    refuse_stored(name, f"the name of task {node.ref}")
    return str(name)

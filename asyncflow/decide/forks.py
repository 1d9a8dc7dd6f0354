"""The branches of a dynamic fork, as a function of the fork's recorded input.

Three input forms, the first that fits. The lists stand once in the journal, in the input of the
FORK record; nodes and inputs of branches are made from it here. Scheduling is in
`decide/operators_fork`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asyncflow.decide.compile import compile_task
from asyncflow.decide.expressions import compile_template
from asyncflow.errors import DefinitionError, Violation
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    parse_task_definition,
    parse_workflow_task,
)
from asyncflow.model.emptiness import own
from asyncflow.model.events import ForkOpened
from asyncflow.model.graph import CompiledTemplate, Node, NodeList
from asyncflow.model.payload_reference import is_stored
from asyncflow.model.state import ExecutionState, ForkMembers, TaskState
from asyncflow.model.validation_graph import order_violations
from asyncflow.model.values import JsonMapping, JsonObject, JsonValue
from asyncflow.model.walk import placed_tasks

INPUTS, TASKS, LEGACY = "inputs", "tasks", "legacy"

# Keys of an element of form "inputs" that act on the task made from it, besides being its input.
_TASK_KEYS = frozenset({"optional", "permissive", "retryCount", "startDelay", "asyncComplete"})
_VERSION_DIGITS = 10  # of the largest there can be; Python makes no number of more than 4,300


# `open_members` is called twice for every fork: to see whether all branches can be made, before the
# event is recorded, and to make them, when it is. The second time must not fail, so everything that
# can be wrong with a branch is looked at in the first: its shape, its names, the order inside it.


class BadFork(ValueError):
    """The input of a dynamic fork gives no branches; the text is the reason for the user."""


def choose_form(task: WorkflowTask, given: JsonMapping) -> tuple[str, list[JsonValue]]:
    """The form that fits the resolved input, and its list.

    Raises:
        BadFork: no form fits, or the one that does holds something else than lists.
    """
    _refuse_stored_lists(task, given)
    if isinstance(given.get("forkTaskInputs"), list):
        return INPUTS, given["forkTaskInputs"]  # type: ignore[return-value]
    if task.dynamic_fork_tasks_param:
        return TASKS, _listed_tasks(task, given)
    if task.dynamic_fork_join_tasks_param:
        wrapped = given.get(task.dynamic_fork_join_tasks_param)
        listed = wrapped.get("dynamicTasks") if isinstance(wrapped, Mapping) else wrapped
        if isinstance(listed, list):
            return LEGACY, listed
    raise BadFork("Dynamic tasks could not be created: the input holds no list of tasks or inputs")


def _refuse_stored_lists(task: WorkflowTask, given: JsonMapping) -> None:
    """Branches are made here, so that their lists have to be here."""
    named = task.dynamic_fork_tasks_param, task.dynamic_fork_tasks_input_param_name
    for name in ("forkTaskInputs", *named, task.dynamic_fork_join_tasks_param):
        if name and is_stored(given.get(name)):
            raise BadFork(f"Dynamic tasks could not be created: stored_by_reference: {name} is too large")


def _listed_tasks(task: WorkflowTask, given: JsonMapping) -> list[JsonValue]:
    name = task.dynamic_fork_tasks_param or ""
    listed = given.get(name)
    bad = f"Input '{name}' is invalid. Cannot deserialize a list of Workflow Tasks"
    if not isinstance(listed, list):
        raise BadFork(f"{bad}: it is not a list")
    for index, item in enumerate(listed):
        if not isinstance(item, Mapping) or not item.get("taskReferenceName"):
            raise BadFork(f"{bad}: element {index} has no taskReferenceName")
    inputs = given.get(task.dynamic_fork_tasks_input_param_name or "")
    if not isinstance(inputs, Mapping) and not (inputs is None and not listed):
        named = task.dynamic_fork_tasks_input_param_name
        raise BadFork(f"Input to the dynamically forked tasks is not a map: '{named}'")
    return listed


def prefix_of(state: ExecutionState, task: TaskState) -> str:
    """What the reference names of form "inputs" begin with: longer once a dynamic fork exists."""
    name = template_name(task)
    return f"_{task.node.ref}_{name}_" if state.dynamic_forks else f"_{name}_"


def template_name(task: TaskState) -> str:
    """The task name of form "inputs": given, else the fork's reference, else the system type."""
    named = task.input.get("forkTaskName")
    if named:
        return str(named)
    kind = str(task.input.get("forkTaskType") or "SIMPLE")
    return task.node.ref if kind == "SIMPLE" or task.input.get("forkTaskWorkflow") else kind


def forked_names(form: str, task: TaskState, listed: list[JsonValue]) -> list[str]:
    """The task names whose registered definitions apply in the fork."""
    if form == INPUTS:
        return [template_name(task)]
    if form == TASKS:
        return list(dict.fromkeys(_names_within(listed)))
    return list(
        dict.fromkeys(
            str(item["taskName"]) for item in listed if isinstance(item, Mapping) and item.get("taskName")
        )
    )


def _names_within(listed: list[JsonValue]) -> Iterator[str]:
    """The names of tasks that came as data, and of those inside them."""
    todo = listed[::-1]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo.extend(reversed(item))
        elif isinstance(item, Mapping):
            if item.get("name"):
                yield str(item["name"])
            cases = item.get("decisionCases")
            todo += [item[key] for key in ("loopOver", "defaultCase", "forkTasks") if item.get(key)]
            todo += cases.values() if isinstance(cases, Mapping) else ()


def _bound(tasks: list[WorkflowTask], known: Mapping[str, TaskDefinition]) -> list[WorkflowTask]:
    """The tasks of a list inside a forked one, with the registered definitions that were recorded."""
    return [_bind_within(_defined(task, known), known) for task in tasks]


def _defined(task: WorkflowTask, known: Mapping[str, TaskDefinition]) -> WorkflowTask:
    if task.task_definition is not None or task.name not in known:
        return task
    return task.model_copy(update={"task_definition": known[task.name]})


def _bind_within(task: WorkflowTask, known: Mapping[str, TaskDefinition]) -> WorkflowTask:
    """The task with those definitions in the tasks inside it; its own is the caller's affair."""
    if not known or not (task.fork_tasks or task.decision_cases or task.default_case or task.loop_over):
        return task
    return task.model_copy(
        update={
            "fork_tasks": [_bound(branch, known) for branch in task.fork_tasks],
            "decision_cases": {key: _bound(case, known) for key, case in task.decision_cases.items()},
            "default_case": _bound(task.default_case, known),
            "loop_over": _bound(task.loop_over, known),
        }
    )


def open_members(task: TaskState, event: ForkOpened) -> ForkMembers:
    """The branches of a fork that was opened.

    Raises:
        BadFork: a branch cannot be made of what the input holds.

    Cost: linear in the branches; one node serves all branches of form "inputs".
    """
    home = NodeList(key="", kind="branch", owner=task.node, nodes=[])
    _, listed = choose_form(task.node.task, task.input)
    known = {name: parse_task_definition(body) for name, body in (event.definitions or {}).items()}
    members = ForkMembers(event.form, event.count, event.prefix, task.suffix, [], [], [])
    if event.form == INPUTS:
        _open_inputs(members, task, listed, home=home, known=known)
    else:
        _open_tasks(members, task, listed, home=home, known=known)
    for node in members.nodes:
        node.loop = task.node.loop
    return members


def branch_template(members: ForkMembers, index: int) -> CompiledTemplate:
    """What the input of a branch is resolved from: its element, or the parameters of its own task."""
    if members.form == INPUTS:
        return compile_template(members.inputs[index])
    return members.node(index).input


def has_expression(value: JsonValue) -> bool:
    """Whether any text in a JSON value could hold an expression; cheaper than compiling it."""
    todo = [value]
    while todo:
        current = todo.pop()
        if isinstance(current, str):
            if "${" in current:
                return True
        elif isinstance(current, dict):
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)
    return False


def nested_nodes(node: Node) -> Iterator[Node]:
    """The nodes of all lists inside a node that a fork made."""
    for inner in (*node.branches, *node.cases.values(), node.default, node.body):
        for nested in inner.nodes if inner is not None else ():
            yield nested
            yield from nested_nodes(nested)


def make_known(state: ExecutionState, node: Node) -> None:
    """Let events find a node that only a fork made, and what is inside it, by reference name."""
    state.forked_nodes = own(state.forked_nodes)
    state.forked_nodes[node.ref] = node
    for nested in nested_nodes(node):
        state.forked_nodes[nested.ref] = nested


def _open_inputs(
    members: ForkMembers,
    task: TaskState,
    listed: list[JsonValue],
    *,
    home: NodeList,
    known: Mapping[str, TaskDefinition],
) -> None:
    name = template_name(task)
    shared = compile_task(_template(task, name, {}), home, definition=known.get(name))
    own = False
    for index, element in enumerate(listed):
        given: JsonMapping = element if isinstance(element, dict) else {"input": element}
        node = shared
        if not _TASK_KEYS.isdisjoint(given) or ("taskToDomain" in given and shared.type == "SUB_WORKFLOW"):
            node = compile_task(_template(task, name, given), home, definition=known.get(name))
            own = True
        members.nodes.append(node)
        members.inputs.append({**given, "__index": index})
        members.refs.append(f"{members.prefix}{index}{members.suffix}")
    if not own:
        members.nodes = [shared]


def _template(task: TaskState, name: str, element: JsonMapping) -> WorkflowTask:
    """The task that every element of form "inputs" becomes, with what the element says of itself."""
    workflow = task.input.get("forkTaskWorkflow")
    kind = "SUB_WORKFLOW" if workflow else str(task.input.get("forkTaskType") or "SIMPLE")
    made: JsonObject = {
        "name": name,
        "taskReferenceName": name,
        "type": kind,
        "optional": task.node.task.optional,
        **{key: element[key] for key in _TASK_KEYS & element.keys()},
    }
    if workflow:
        made["subWorkflowParam"] = {
            "name": str(workflow),
            "version": _version(task.input.get("forkTaskWorkflowVersion")),
            "taskToDomain": element.get("taskToDomain"),
        }
    try:
        return parse_workflow_task(made)
    except DefinitionError as error:
        raise BadFork(f"Dynamic tasks could not be created: {error}") from error


def _version(given: JsonValue) -> int | None:
    """A version, which may come as text; blank means the latest."""
    text = "" if given is None else str(given).strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _VERSION_DIGITS:
        raise BadFork(f"forkTaskWorkflowVersion: an integer, got {text[:80]!r}")
    return int(text)


def _open_tasks(
    members: ForkMembers,
    task: TaskState,
    listed: list[JsonValue],
    *,
    home: NodeList,
    known: Mapping[str, TaskDefinition],
) -> None:
    name = task.node.task.dynamic_fork_tasks_input_param_name
    inputs = task.input.get(name or "") if members.form == TASKS else None
    for index, item in enumerate(listed):
        made, given = _forked_task(members.form, item, index, inputs=inputs)
        node = compile_task(_bind_within(made, known), home, definition=known.get(made.name))
        members.nodes.append(node)
        members.inputs.append(given)
        members.refs.append(f"{made.task_reference_name}{members.suffix}")


def _forked_task(
    form: str, item: JsonValue, index: int, *, inputs: JsonValue
) -> tuple[WorkflowTask, JsonObject]:
    if not isinstance(item, Mapping):
        raise BadFork(f"Dynamic tasks could not be created: element {index} is no object")
    body: JsonObject = dict(item) if form == TASKS else _from_legacy(item, index)
    if not body.get("name"):
        body["name"] = body.get("taskReferenceName")
    ref = str(body.get("taskReferenceName"))
    entry = inputs.get(ref) if isinstance(inputs, Mapping) else None
    own = body.get("inputParameters") or {}
    merged = {**own, **entry} if isinstance(entry, Mapping) and isinstance(own, Mapping) else own
    try:
        made = parse_workflow_task({**body, "inputParameters": merged})
    except DefinitionError as error:
        raise BadFork(f"Dynamic tasks could not be created: task {index}: {error}") from error
    _check_nested(made, index)
    return made, dict(made.input_parameters)


def _check_nested(made: WorkflowTask, index: int) -> None:
    """Hold a forked operator with tasks in it to what its list has to be: only then can it be compiled."""
    if not (made.fork_tasks or made.decision_cases or made.default_case or made.loop_over):
        return
    whole = WorkflowDefinition.model_construct(tasks=[made])
    placed = list(placed_tasks(whole))
    refs = {each.task.task_reference_name for each in placed}
    fault = next(iter(order_violations(whole, placed)), None)
    if fault is None and len(refs) < len(placed):
        fault = Violation("", "reference names in it are not unique")
    if fault is not None:
        raise BadFork(f"Dynamic tasks could not be created: task {index}: {fault}")


def _from_legacy(item: JsonMapping, index: int) -> JsonObject:
    ref = item.get("referenceName")
    if not ref:
        raise BadFork(f"Dynamic tasks could not be created: element {index} has no referenceName")
    made: JsonObject = {
        "name": item.get("taskName") or ref,
        "taskReferenceName": ref,
        "type": item.get("type") or "SIMPLE",
        "inputParameters": item.get("input") or {},
    }
    if item.get("workflowName"):
        made["type"] = "SUB_WORKFLOW"
        made["subWorkflowParam"] = {"name": item["workflowName"], "version": item.get("version")}
    return made

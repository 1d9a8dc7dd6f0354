"""A definition to a graph: neighbours linked, policies settled, templates parsed once.

Compiling changes nothing of the meaning and checks nothing; `model/validation` did. The graph
is read by every other module here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from asyncflow.decide.expressions import compile_template, constant
from asyncflow.decide.policy import setting
from asyncflow.decide.templates import with_input_template
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    depends_on,
    predecessors,
)
from asyncflow.model.extension import ResourceUse
from asyncflow.model.graph import CompiledTemplate, Graph, ListKind, Node, NodeList, Policy
from asyncflow.model.rendering import in_one_order

# A worker task that nobody described: Conductor's defaults. Any other type is tried once.
_AD_HOC_WORKER = Policy(retry_count=3, retry_delay=60, response_timeout=3600)
_AD_HOC = Policy()


# Everything that depends on the definition alone is settled here: who follows whom, how long a retry
# waits, which input is a constant. Deciding then walks from node to node without looking anything up
# by name; an execution of a definition that was seen before shares its graph and compiles nothing.


def compile_definition(definition: WorkflowDefinition, content_hash: str) -> Graph:
    """The graph of a whole definition.

    Cost: linear in the number of tasks.
    """
    nodes: dict[str, Node] = {}
    root = _compile_list(definition.tasks, kind="root", owner=None, nodes=nodes)
    output = compile_template(definition.output_parameters) if definition.output_parameters else None
    return Graph(
        hash=content_hash,
        definition=definition,
        root=root,
        nodes=nodes,
        output=output,
        extra=_own_expressions(definition),
    )


def _own_expressions(definition: WorkflowDefinition) -> dict[str, CompiledTemplate]:
    """What the definition says as a whole, in expressions: the key of its limit, priority, what it holds."""
    found: dict[str, CompiledTemplate] = {}
    limited, extension = definition.rate_limit_config, definition.extension
    if limited is not None and limited.rate_limit_key is not None:
        found["rateLimitKey"] = compile_template(limited.rate_limit_key)
    if extension is not None and isinstance(extension.priority, str):
        found["priority"] = compile_template(extension.priority)
    if extension is not None and extension.resources:
        found["resources"] = _uses(extension.resources)
    return found


def compile_task(task: WorkflowTask, home: NodeList, *, definition: TaskDefinition | None = None) -> Node:
    """The node of a task that was made at run time, with what it contains.

    `definition` is the registered one, used where the task embeds none; a forked worker task
    without either has no policy at all.
    """
    if definition is not None and definition.extension is not None and task.task_definition is None:
        task = task.model_copy(update={"task_definition": definition})  # for its resources, executor, …
    node = _compile_node(task, home, nodes={})
    if task.task_definition is None:
        policy = _AD_HOC if definition is None else make_policy(definition, task.retry_count)
        node.policy = _with_own_delays(policy, task)
    return node


def make_policy(definition: TaskDefinition, retry_count: int | None) -> Policy:
    """The policy a task definition spells out, with the task's own number of retries over it.

    One embedded in a task is never refused, so a negative number stands for none, as in Conductor.
    """
    extension = definition.extension
    delays = extension.retry_delays if extension is not None else None
    return Policy(
        retry_count=definition.retry_count if retry_count is None else retry_count,
        retry_logic=definition.retry_logic,
        retry_delay=max(0, definition.retry_delay_seconds),
        backoff_scale=max(0, definition.backoff_scale_factor),
        max_retry_delay=definition.max_retry_delay_seconds,
        jitter_ms=max(0, definition.backoff_jitter_ms),
        retry_delays=None if delays is None else tuple(delays),
        timeout=max(0, definition.timeout_seconds),
        timeout_policy=definition.timeout_policy,
        response_timeout=max(0, definition.response_timeout_seconds),
        poll_timeout=max(0, definition.poll_timeout_seconds or 0),
        total_timeout=max(0, definition.total_timeout_seconds),
        concurrency=max(0, definition.concurrent_exec_limit or 0),
        rate=max(0, definition.rate_limit_per_frequency or 0),
        rate_window=max(0, definition.rate_limit_frequency_in_seconds or 0) or 1,
        input_template=definition.input_template,
        heartbeat="response_timeout_seconds" in definition.model_fields_set,
    )


def _policy_of(task: WorkflowTask) -> Policy:
    if task.task_definition is not None:
        return _with_own_delays(make_policy(task.task_definition, task.retry_count), task)
    policy = _AD_HOC_WORKER if task.type == "SIMPLE" else _AD_HOC
    if task.retry_count is not None:
        policy = replace(policy, retry_count=task.retry_count)
    return _with_own_delays(policy, task)


def _with_own_delays(policy: Policy, task: WorkflowTask) -> Policy:
    delays = task.extension.retry_delays if task.extension is not None else None
    if delays is None:
        return policy
    count = len(delays) if task.retry_count is None else task.retry_count
    return replace(policy, retry_count=count, retry_delays=tuple(delays))


def _compile_list(
    tasks: Sequence[WorkflowTask],
    *,
    kind: ListKind,
    owner: Node | None,
    nodes: dict[str, Node],
    key: str = "",
) -> NodeList:
    home = NodeList(key=key, kind=kind, owner=owner)
    for task in tasks:
        home.nodes.append(_compile_node(task, home, nodes=nodes))
    for node, follower in itertools.pairwise(home.nodes):
        node.next = node.follower = follower
        follower.before = (node,)
    if any(depends_on(task) is not None for task in tasks):
        _link_dag(home, predecessors(tasks))
    return home


def _link_dag(home: NodeList, order: Mapping[str, list[str]]) -> None:
    """Edges of a list in which some task names what it depends on."""
    home.dag = True
    dependents: dict[str, list[Node]] = {node.ref: [] for node in home.nodes}
    by_ref = {node.ref: node for node in home.nodes}
    for node in home.nodes:
        node.next = None
        needs = order[node.ref]
        node.needs = len(needs)
        node.before = tuple(by_ref[ref] for ref in needs)
        for ref in needs:
            dependents[ref].append(node)
    for node in home.nodes:
        node.dependents = tuple(dependents[node.ref])


def _compile_node(task: WorkflowTask, home: NodeList, *, nodes: dict[str, Node]) -> Node:
    policy = _policy_of(task)
    node = Node(
        ref=task.task_reference_name,
        type=task.type,
        name=task.name,
        task=task,
        home=home,
        policy=policy,
        input=_input_of(task, policy),
        extra=_extra_templates(task),
        loop=None if home.owner is None else home.owner if home.kind == "loop" else home.owner.loop,
        asked_executor=setting(task, "executor"),
    )
    nodes[node.ref] = node
    if task.fork_tasks:
        node.branches = tuple(
            _compile_list(branch, kind="branch", owner=node, nodes=nodes, key=str(i))
            for i, branch in enumerate(task.fork_tasks)
        )
    if task.decision_cases:
        node.cases = {
            case: _compile_list(tasks, kind="case", owner=node, nodes=nodes, key=case)
            for case, tasks in task.decision_cases.items()
        }
    if task.default_case:
        node.default = _compile_list(task.default_case, kind="case", owner=node, nodes=nodes)
    if task.loop_over:
        node.body = _compile_list(task.loop_over, kind="loop", owner=node, nodes=nodes)
    return node


# An input without expressions is not recorded with its task: each process takes it from the definition, whose
# keys stand in its author's order at first, and sorted once it was read back. Services that are asked again
# under one token compare bytes, so such an input has its keys in one order from the beginning.


def _input_of(task: WorkflowTask, policy: Policy) -> CompiledTemplate:
    """The input template of the task over that of its definition (missing keys are filled in)."""
    given = task.input_parameters
    compiled = compile_template(with_input_template(given, policy.input_template))
    if not compiled.is_constant:
        return compiled
    if policy.input_template:  # the input is known now; a key given as null takes the template's value
        given = {key: value for key, value in given.items() if value is not None}
        compiled = compile_template(with_input_template(given, policy.input_template))
    known = compiled.resolve(None)  # type: ignore[arg-type]  # it reads no scope
    return constant(in_one_order(known))


def _uses(resources: Iterable[ResourceUse]) -> CompiledTemplate:
    uses = [{"name": r.name, "weight": r.weight, "mode": r.mode, "key": r.key} for r in resources]
    return compile_template(uses)


def _extra_templates(task: WorkflowTask) -> Mapping[str, CompiledTemplate]:
    """Fields outside the input parameters that may hold expressions."""
    extra: dict[str, CompiledTemplate] = {}
    if task.sink:
        extra["sink"] = compile_template(task.sink)
    if task.items:
        extra["items"] = compile_template(task.items)
    if task.sub_workflow_param is not None:
        param = task.sub_workflow_param
        fields = {
            "name": param.name,
            "taskToDomain": param.task_to_domain,
            "priority": param.priority,
            "idempotencyKey": param.idempotency_key,
        }
        extra["sub"] = compile_template({k: v for k, v in fields.items() if v is not None})
        if isinstance(param.workflow_definition, str):
            extra["definition"] = compile_template(param.workflow_definition)
    resources, priority = setting(task, "resources"), setting(task, "priority")
    if isinstance(resources, list) and resources:
        extra["resources"] = _uses(resources)
    if priority is not None:
        extra["priority"] = compile_template(priority)
    return extra

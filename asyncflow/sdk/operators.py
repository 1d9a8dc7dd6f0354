"""A node for every task type; reach it as `asyncflow.nodes`.

The functions here steer the flow: branches, loops, forks, sub-workflows; those re-exported do one thing.
Each only writes down what it was told; `composition` says how nodes are put in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Unpack

from asyncflow.errors import InvalidInput
from asyncflow.sdk.composition import (
    Block,
    Definable,
    Fork,
    Join,
    Node,
    render_nodes,
    sequence,
    take,
)
from asyncflow.sdk.dynamic import dynamic, dynamic_fork, dynamic_fork_legacy, dynamic_fork_tasks
from asyncflow.sdk.options import Options, Waited, references, uses
from asyncflow.sdk.references import Reference, render
from asyncflow.sdk.system_tasks import (
    command,
    custom,
    event,
    http,
    human,
    inline,
    jq,
    noop,
    set_variables,
    simple,
    start_workflow,
    terminate,
    wait,
    wait_for_signal,
    wait_until,
)

__all__ = [
    "command",
    "custom",
    "dynamic",
    "dynamic_fork",
    "dynamic_fork_legacy",
    "dynamic_fork_tasks",
    "event",
    "exclusive_join",
    "fork",
    "http",
    "human",
    "inline",
    "join",
    "jq",
    "loop",
    "noop",
    "set_variables",
    "simple",
    "start_workflow",
    "sub_workflow",
    "switch",
    "terminate",
    "uses",
    "wait",
    "wait_for_signal",
    "wait_until",
]

Case = str | int | float | bool | None


class Switch(Node):
    """A SWITCH with its cases; the node ends when the branch that was taken has ended."""

    def __init__(
        self,
        options: Options,
        fields: Mapping[str, object],
        inputs: Mapping[str, object],
        cases: tuple[Mapping[Case, Block], Block | None],
    ) -> None:
        """Take the cases and the default, in which an empty list is an empty branch.

        Raises:
            InvalidInput: two cases are the same text, or there is no mapping of them.
        """
        super().__init__("SWITCH", "switch", options, fields=fields, inputs=inputs)
        branches, default = cases
        if not isinstance(branches, Mapping):
            raise InvalidInput("cases are a mapping from values to branches", field=self.path)
        self._cases: dict[str, list[Node]] = {}
        for value, block in branches.items():
            key = _case_key(value)
            if key in self._cases:  # 1 and "1" are two keys in Python and one in JSON
                raise InvalidInput(f"two cases are called {key!r} in JSON", field=f"{self.path}.cases")
            self._cases[key] = self._branch(block)
        self._default = None if default is None else self._branch(default)
        self._end: Node | None = None

    def _branch(self, block: Block) -> list[Node]:
        return [] if isinstance(block, Sequence) and not block else sequence(block, self.path)

    def join_ref(self) -> str:
        """A NOOP after the switch: the switch task itself has ended before its branch has."""
        if self._end is None:
            self._end = noop(ref=f"end_{self.ref}")
            take([self._end], self.path)
        return self._end.ref

    def children(self) -> Iterator[Sequence[Node]]:
        """The branches, and the NOOP at the end if there is one."""
        yield from self._cases.values()
        yield self._default or []
        yield [] if self._end is None else [self._end]

    def tasks(self, depends_on: Sequence[str] | None = None) -> list[dict[str, object]]:
        """The switch and, where a join waits for it, the NOOP at its end."""
        return [*super().tasks(depends_on), *([] if self._end is None else self._end.tasks())]

    def _nested(self) -> dict[str, object]:
        nested: dict[str, object] = {
            "decisionCases": {key: render_nodes(nodes) for key, nodes in self._cases.items()}
        }
        return nested if self._default is None else nested | {"defaultCase": render_nodes(self._default)}


class Loop(Node):
    """A DO_WHILE; within it, its references see the present iteration."""

    def __init__(self, options: Options, inputs: Mapping[str, object]) -> None:
        """Make the loop; its body is set afterwards, as the body may refer to it."""
        super().__init__("DO_WHILE", "loop", options, inputs=inputs)
        self._body: list[Node] = []

    @property
    def item(self) -> Reference:
        """The item of the present iteration of a loop over a list."""
        return self.output.loopItem

    @property
    def index(self) -> Reference:
        """Its position, from 0."""
        return self.output.loopIndex

    @property
    def iteration(self) -> Reference:
        """The number of the iteration, from 1."""
        return self.output.iteration

    def repeat(self, body: Block, fields: Mapping[str, object]) -> None:
        """Set what is repeated, and how long."""
        self._body = sequence(body, self.path)
        self._fields.update(fields)

    def children(self) -> Iterator[Sequence[Node]]:
        """The body."""
        yield self._body

    def _nested(self) -> dict[str, object]:
        return {"loopOver": render_nodes(self._body)}


def switch(
    on: object,
    *,
    cases: Mapping[Case, Block],
    default: Block | None = None,
    evaluator: Literal["value-param", "javascript", "graaljs", "python"] = "value-param",
    **options: Unpack[Options],
) -> Node:
    """Take the branch of the case that equals a value, else the default.

    Args:
        on: the value, mostly a reference; with another evaluator, a script over the inputs.
        cases: branches by value, a list being a sequence; numbers, booleans and None match their JSON text.
        default: without it, no case means that nothing is done.
    """
    if evaluator == "value-param":
        fields: dict[str, object] = {"evaluatorType": evaluator, "expression": "switchCaseValue"}
        return Switch(options, fields, {"switchCaseValue": on}, (cases, default))
    return Switch(options, {"evaluatorType": evaluator, "expression": str(on)}, {}, (cases, default))


def fork(branches: Sequence[Block], *, join: Join | None = None, **options: Unpack[Options]) -> Fork:
    """Run branches side by side and go on when all have ended; what a list means after `>>`.

    Args:
        branches: each a node, a chain, or a list of what follows each other.
        join: made by `join`, if not the last tasks of all branches are waited for, or if it has options.
    """
    return Fork(branches, options, join)


def join(
    on: Sequence[Waited | str] = (),
    *,
    mode: Literal["SYNC", "ASYNC"] | None = None,
    **options: Unpack[Options],
) -> Join:
    """A JOIN of its own; without `on`, for a dynamic fork, which knows itself what to wait for."""
    return Join(references(on, options.get("ref", "join")), options, mode=mode)


def exclusive_join(
    on: Sequence[Waited | str], *, default: Sequence[Waited | str] = (), **options: Unpack[Options]
) -> Node:
    """Go on with the output of the first of these tasks that was scheduled, else of the defaults."""
    where = options.get("ref", "exclusive_join")
    fields: dict[str, object] = {"joinOn": references(on, where)}
    if default:
        fields["defaultExclusiveJoinTask"] = references(default, where)
    return Node("EXCLUSIVE_JOIN", "exclusive_join", options, fields=fields)


def loop(
    body: Block | Callable[[Loop], Block],
    *,
    condition: str | None = None,
    times: int | Reference | None = None,
    over: object = None,
    keep_last: int | None = None,
    **options: Unpack[Options],
) -> Loop:
    """Repeat the body, at least once unless the list is empty.

    Args:
        body: a block, a list being a sequence, or a function that gets the loop and makes one; that way
            the body can refer to `loop.item`, `loop.index` and `loop.iteration`.
        condition: a script, asked after each iteration; `$.<reference>` has a task's latest output.
        times: how often.
        over: a list or a reference to one; one item for each iteration, while the condition holds if given.
        keep_last: keep only the outputs of this many iterations.

    Raises:
        InvalidInput: not exactly one way to end is given.
    """
    if (times is not None) + (over is not None or condition is not None) != 1:
        raise InvalidInput("give one of condition, times and over", field=options.get("ref", "loop"))
    inputs: dict[str, object] = {} if keep_last is None else {"keepLastN": keep_last}
    if isinstance(times, Reference):
        inputs["times"] = times
    if over is not None and not isinstance(over, Reference | str):
        inputs["_items"] = over
    node = Loop(options, inputs)
    fields: dict[str, object] = {"loopCondition": condition or ""}
    if times is not None:
        limit = "$.times" if isinstance(times, Reference) else str(times)
        fields["loopCondition"] = f"$['{node.ref}']['iteration'] < {limit}"
    if isinstance(over, Reference | str):
        fields["items"] = str(over)
    node.repeat(body(node) if callable(body) else body, fields)
    return node


def sub_workflow(
    workflow: Definable | str | Reference | None = None,
    *,
    version: int | None = None,
    definition: Mapping[str, object] | Reference | None = None,
    params: Mapping[str, object] | None = None,
    **options: Unpack[Options],
) -> Node:
    """Run another workflow as one task; its output is the task's, the inputs are what it is started with.

    Args:
        workflow: a name to look up, or a whole workflow, whose definition travels within this one.
        version: of the name; without it the latest.
        definition: in place of a workflow, its JSON or a reference to that.
        params: more of Conductor's `subWorkflowParam`: `taskToDomain`, `priority`, `idempotencyKey`.

    Raises:
        InvalidInput: neither workflow nor definition is given.
    """
    if workflow is None and definition is None:
        raise InvalidInput("give a workflow or a definition", field=options.get("ref", "sub_workflow"))
    definable = workflow if isinstance(workflow, Definable) else None
    said = {
        "name": workflow if definable is None else definable.name,
        "version": version if definable is None else definable.version,
        "workflowDefinition": definition if definable is None else definable.to_definition(),
        **(params or {}),
    }
    param: dict[str, object] = {key: value for key, value in said.items() if value is not None}
    label = definable.name if definable is not None else "sub_workflow"
    node = Node("SUB_WORKFLOW", label, options, fields={"subWorkflowParam": param})
    if definable is not None:
        node.carried.append(definable)
    return node


def _case_key(value: Case) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(render(value, "case"))

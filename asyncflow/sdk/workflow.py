"""The builder of a workflow: nodes in, Conductor's definition out.

It collects and orders; it starts nothing and registers nothing with any engine. Read `composition` for
what `>>` means and `tasks` for functions; an engine takes the definition and the functions from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack, cast

from asyncflow.errors import DefinitionError, InvalidInput, Violation
from asyncflow.sdk.composition import Block, Definable, Node, Scope, element, render_nodes, scope, take, walk
from asyncflow.sdk.operators import sub_workflow
from asyncflow.sdk.options import Resources, Seconds, cache_config, extension, finished, whole_seconds
from asyncflow.sdk.references import Reference, render_mapping
from asyncflow.sdk.tasks import TaskFunction

AnyTask = TaskFunction[..., object]


class WorkflowOptions(TypedDict, total=False):
    """What a workflow may say of itself; what is left out has Conductor's default.

    `timeout` is in seconds and ends the execution unless the policy says otherwise. `inputs` names the
    expected input keys, `input_template` fills in missing ones. `failure_workflow` is started when this
    one fails. `rate_limit` is a key, how many executions of it run at once, and what happens to others.
    `resources` are held while an execution is open. With `pin_worker_version` all tasks of an execution
    go to workers of one code version, the one that first took one of them. With `on_stop="pause"` a
    stop of the engine pauses executions until its next start.
    """

    description: str
    owner_email: str
    timeout: Seconds
    timeout_policy: Literal["TIME_OUT_WF", "ALERT_ONLY"]
    failure_workflow: str | Definable
    failure_workflow_version: int
    restartable: bool
    variables: Mapping[str, object]
    inputs: Sequence[str]
    input_template: Mapping[str, object]
    output: Mapping[str, object]
    rate_limit: tuple[str, int] | tuple[str, int, Literal["QUEUE", "REJECT"]]
    input_schema: Mapping[str, object]
    output_schema: Mapping[str, object]
    enforce_schema: bool
    status_listener: bool
    status_listener_sink: str
    masked_fields: Sequence[str]
    cache: tuple[str, int]
    metadata: Mapping[str, object]
    resources: Resources
    priority: int
    fail_if_failed_weight_above: float
    pin_worker_version: bool
    on_stop: Literal["continue", "pause"]
    extra: Mapping[str, object]


_FIELDS = {
    "description": "description",
    "owner_email": "ownerEmail",
    "timeout": "timeoutSeconds",
    "timeout_policy": "timeoutPolicy",
    "failure_workflow": "failureWorkflow",
    "failure_workflow_version": "failureWorkflowVersion",
    "restartable": "restartable",
    "variables": "variables",
    "inputs": "inputParameters",
    "input_template": "inputTemplate",
    "rate_limit": "rateLimitConfig",
    "input_schema": "inputSchema",
    "output_schema": "outputSchema",
    "enforce_schema": "enforceSchema",
    "status_listener": "workflowStatusListenerEnabled",
    "status_listener_sink": "workflowStatusListenerSink",
    "masked_fields": "maskedFields",
    "cache": "cacheConfig",
    "metadata": "metadata",
}


class Workflow(Definable, Scope):
    """A workflow definition in the making.

    In its `with` block every node that is made belongs to it and gets a free reference name. Nodes are
    ordered by `wf >> a >> b`, by `after=`, or both: what `>>` placed follows each other, what only
    `after=` ties in follows what it names. A node that neither places is an error, never dropped.
    """

    def __init__(self, name: str, version: int = 1, **options: Unpack[WorkflowOptions]) -> None:
        """Begin an empty workflow.

        Raises:
            InvalidInput: an option that does not exist.
        """
        unknown = sorted(set(options) - set(WorkflowOptions.__annotations__))
        if unknown:
            raise InvalidInput(f"there is no option {', '.join(unknown)}; fields go into extra", field=name)
        self.name = name
        self.version = version
        self._options = cast("dict[str, object]", {k: v for k, v in options.items() if v is not None})
        self._output: dict[str, object] = dict(options.get("output") or {})
        self._chain: list[Node] = []
        self._made: dict[Node, None] = {}
        self._refs: set[str] = set()
        self._numbers: Counter[str] = Counter()
        self._registered: list[AnyTask] = []
        self._tokens: list[Token[Scope | None]] = []

    def __enter__(self) -> Self:
        """Make this the workflow to which new nodes belong."""
        self._tokens.append(scope.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the workflow around this one, if there is one."""
        scope.reset(self._tokens.pop())

    def __rshift__(self, following: Block) -> Self:
        """Put that at the end of the workflow; a list forks.

        Raises:
            DefinitionError: a node has a place already.
            InvalidInput: something is no node, or this workflow itself.
        """
        if following is self:
            raise InvalidInput("cannot be within itself; nodes.sub_workflow takes its name", field=self.name)
        with self:
            nodes = element(following)
        take(nodes, self.name)
        self._chain.extend(nodes)
        for node in walk(nodes):
            self.adopt(node)
        return self

    def __repr__(self) -> str:
        """Name and version."""
        return f"<workflow {self.name} version {self.version}>"

    # --- what nodes refer to ----------------------------------------------------------------

    @property
    def input(self) -> Reference:
        """What the execution was started with."""
        return self.field("input")

    @property
    def variables(self) -> Reference:
        """The execution's variables, as set last."""
        return self.field("variables")

    @property
    def secrets(self) -> Reference:
        """Secrets by name; resolved only in what is handed to the task."""
        return self.field("secrets")

    @property
    def env(self) -> Reference:
        """The engine's environment entries by name."""
        return self.field("env")

    def field(self, name: str) -> Reference:
        """A field of the execution, such as `workflowId`, `status` or `correlationId`."""
        return Reference(f"workflow.{name}")

    # --- what it is made of -----------------------------------------------------------------

    def output(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Say the workflow's output by key; later calls add to it. Without any, the last task's counts.

        Raises:
            InvalidInput: there is a value without a key.
        """
        if not isinstance(values, Mapping | None):
            raise InvalidInput(
                "an output has keys, as in output(size=page.output.size)", field=f"{self.name}.output"
            )
        self._output.update({**(values or {}), **more})

    def add(self, *nodes: Node) -> None:
        """Add nodes ordered by `after=` that were made outside the `with` block."""
        for node in nodes:
            if node.after is None:
                node.after = []
            self.adopt(node)

    def register(self, *functions: TaskFunction[..., object]) -> None:
        """Name functions that no node names but an execution may: those of DYNAMIC and of dynamic forks.

        Raises:
            InvalidInput: one is not decorated with `@task`.
        """
        for function in functions:
            if not isinstance(function, TaskFunction):
                raise InvalidInput(f"{function!r} is no task: decorate it with @task", field=self.name)
        self._registered.extend(functions)

    def adopt(self, node: Node) -> None:
        """Remember a node that was made for this workflow."""
        node.home = node.home or self.name
        self._made[node] = None
        self._refs.add(node.ref)

    def free_ref(self, label: str) -> str:
        """The label, or the label with the first number from 2 that no node has yet."""
        ref = label
        while ref in self._refs:
            self._numbers[label] += 1
            ref = f"{label}_{self._numbers[label] + 1}"
        return ref

    # --- what comes out ---------------------------------------------------------------------

    def to_definition(self) -> dict[str, object]:
        """The definition as Conductor's JSON, the same whenever asked; changing it changes nothing here.

        Raises:
            DefinitionError: nodes without a place, reference names used twice, `after` that names
                nothing here; all of them together.
            InvalidInput: a value that has no JSON form; the message names the node.
        """
        free = self._free_nodes()
        self._check([*self._chain, *free])
        fields: dict[str, object] = {"name": self.name, "version": self.version}
        fields |= render_mapping(self._option_fields(), self.name)
        fields["tasks"] = render_nodes(self._chain, free)
        if self._output:
            fields["outputParameters"] = render_mapping(self._output, f"{self.name}.output")
        own = extension(self._options, self.name)
        return finished(
            fields, own, cast("Mapping[str, object] | None", self._options.get("extra")), self.name
        )

    def functions(self) -> dict[str, AnyTask]:
        """The functions that the definition and its sub-workflows name, by task name.

        Raises:
            DefinitionError: two different functions have one name.
        """
        found: dict[str, AnyTask] = {}
        faults = [
            Violation(f"{self.name}.{function.name}", "two functions have this task name")
            for function in self._all_functions()
            if found.setdefault(function.name, function) is not function
        ]
        if faults:
            raise DefinitionError(faults)
        return found

    def as_node(self) -> Node:
        """A SUB_WORKFLOW task that carries this definition."""
        return sub_workflow(self)

    def _all_functions(self) -> list[AnyTask]:
        functions = list(self._registered)
        inner: list[Definable] = []
        for node in walk([*self._chain, *self._free_nodes()]):
            if isinstance(node.function, TaskFunction):
                functions.append(node.function)
            inner.extend(node.carried)
        failure = self._options.get("failure_workflow")
        if isinstance(failure, Definable):
            inner.append(failure)
        for workflow in inner:
            functions.extend(f for f in workflow.functions().values() if isinstance(f, TaskFunction))
        return functions

    def _free_nodes(self) -> list[Node]:
        loose = [node for node in self._made if not node.owner]
        named = {ref for node in self._made for ref in node.after or ()}
        return [node for node in loose if node.after is not None or node.last_ref in named]

    def _check(self, placed: Sequence[Node]) -> None:
        nodes = list(walk(placed))
        ordered = set(placed)
        refs = Counter(node.ref for node in nodes)
        faults = [
            Violation(f"{self.name}.{node.ref}", "has no place: chain it with >> or give it after=")
            for node in self._made
            if not node.owner and node not in ordered
        ]
        faults += [
            Violation(f"{self.name}.{ref}", "this reference name is used more than once")
            for ref, times in refs.items()
            if times > 1
        ]
        faults += [
            Violation(f"{self.name}.{node.ref}", f"waits for {ref}, which is not in this workflow")
            for node in nodes
            for ref in node.after or ()
            if ref not in refs
        ]
        if faults:
            raise DefinitionError(faults)

    def _option_fields(self) -> dict[str, object]:
        fields = {key: self._options[word] for word, key in _FIELDS.items() if word in self._options}
        if "timeoutSeconds" in fields:
            fields["timeoutSeconds"] = whole_seconds(fields["timeoutSeconds"], f"{self.name}.timeout")
            fields.setdefault("timeoutPolicy", "TIME_OUT_WF")
        failure = self._options.get("failure_workflow")
        if isinstance(failure, Definable):
            fields["failureWorkflow"] = failure.name
            fields.setdefault("failureWorkflowVersion", failure.version)
        if "rateLimitConfig" in fields:
            words = ("rateLimitKey", "concurrentExecLimit", "policy")
            limit = fields["rateLimitConfig"]
            if not isinstance(limit, tuple) or len(limit) not in {2, 3}:
                raise InvalidInput(
                    "must be a key and how many, and perhaps QUEUE or REJECT", field=f"{self.name}.rate_limit"
                )
            fields["rateLimitConfig"] = dict(zip(words, limit, strict=False))
        if "cacheConfig" in fields:
            fields["cacheConfig"] = cache_config(fields["cacheConfig"], f"{self.name}.cache")
        return fields

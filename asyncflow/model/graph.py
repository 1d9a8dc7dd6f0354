"""A definition made ready for deciding: nodes that know their neighbours, policies, templates.

Built once per definition by `decide/compile` and shared by all its executions; nothing here changes
after that but what is kept for those who look. What belongs to one execution is in `model/state`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from asyncflow.model.definition import WorkflowDefinition, WorkflowTask
from asyncflow.model.values import JsonObject, JsonValue

ListKind = Literal["root", "branch", "case", "loop"]


class CompiledTemplate(Protocol):
    """An input template whose expressions were parsed once; see `decide/expressions`."""

    @property
    def is_constant(self) -> bool:
        """Whether it holds no expression."""

    @property
    def resolve(self) -> Callable[..., JsonValue]:
        """Gives, for a scope, the value with every expression replaced by what the scope holds."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a task definition says of attempts; all durations in seconds, 0 = no limit.

    `response_timeout` counts silence of a started attempt. `heartbeat`: an author asked for it,
    so it applies to attempts in this process too, whose life the engine sees otherwise.
    """

    retry_count: int = 0
    retry_logic: str = "FIXED"
    retry_delay: float = 60
    backoff_scale: float = 1
    max_retry_delay: float = 0
    jitter_ms: int = 0
    retry_delays: tuple[float, ...] | None = None
    timeout: float = 0
    timeout_policy: str = "TIME_OUT_WF"
    response_timeout: float = 0
    poll_timeout: float = 0
    total_timeout: float = 0
    concurrency: int = 0
    rate: int = 0
    rate_window: float = 1
    input_template: Mapping[str, JsonValue] = field(default_factory=dict)
    heartbeat: bool = False


@dataclass(slots=True, eq=False)
class NodeList:
    """A list of tasks that follow each other, or, with `dag`, that follow what they depend on."""

    key: str
    kind: ListKind
    owner: Node | None
    nodes: list[Node] = field(default_factory=list)
    dag: bool = False


@dataclass(slots=True, eq=False)
class Node:
    """One task of a definition in its place.

    `follower` is the task behind it in its list; `next` too, but only where the list is
    sequential. In a DAG `needs` counts the tasks it depends on and `dependents` are the nodes
    that depend on it; `before` are those of its list that it follows at once. `loop` is the innermost
    DO_WHILE around it. `asked_executor` is what it says under `asyncflow.executor`, None for nothing.
    `shown` is what users are shown of the task, once somebody asked.
    """

    ref: str
    type: str
    name: str
    task: WorkflowTask
    home: NodeList
    policy: Policy
    input: CompiledTemplate
    next: Node | None = None
    follower: Node | None = None
    loop: Node | None = None
    needs: int = 0
    dependents: tuple[Node, ...] = ()
    before: tuple[Node, ...] = ()
    branches: tuple[NodeList, ...] = ()
    cases: Mapping[str, NodeList] = field(default_factory=dict)
    default: NodeList | None = None
    body: NodeList | None = None
    extra: Mapping[str, CompiledTemplate] = field(default_factory=dict)
    asked_executor: object = None
    shown: JsonObject | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Graph:
    """A whole definition, compiled. `nodes` is by plain reference name, of the whole tree.

    `extra` are the expressions it has beside those of its tasks. Nothing below refers to it, so it is
    gone with the last execution that is bound to it. `text` is
    what users are shown of the definition, once somebody asked.
    """

    hash: str
    definition: WorkflowDefinition
    root: NodeList
    nodes: Mapping[str, Node]
    output: CompiledTemplate | None
    extra: Mapping[str, CompiledTemplate] = field(default_factory=dict)
    text: bytes | None = None

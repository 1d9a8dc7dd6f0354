"""One step of deciding: the state, what is known beside it, and what came out so far.

Deciding and evolving alternate inside a step: an event is applied as it is emitted, so that an
operator sees what its predecessor made true. The state changes in `evolve` and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from asyncflow.decide.evolve import evolve
from asyncflow.decide.scope import StateScope
from asyncflow.model.definition import TaskDefinition, WorkflowDefinition
from asyncflow.model.events import Event
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import Input, Message
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.turn import Moment

MAX_DEPTH = 100
"""Executions within executions; a definition that starts itself fails here, by name."""


class Catalog(Protocol):
    """The definitions known at this moment, as data; a look-up changes nothing."""

    @property
    def job_types(self) -> Mapping[str, str]:
        """The types of tasks that are jobs, and of which type of resource."""

    def cancel_grace_s(self, resource: str) -> float:
        """How long a record waits until the cancel of its job at this resource is confirmed."""

    def latest(self, name: str, version: int | None) -> Graph | None:
        """The graph of a registered version, of the highest if None, or None if there is none."""

    def inline(self, definition: WorkflowDefinition) -> Graph:
        """The graph of a definition that is registered nowhere, with known task definitions in it."""

    def task_definition(self, name: str) -> TaskDefinition | None:
        """The registered task definition of this name."""

    def is_limited(self, name: str) -> bool:
        """Whether a registered task definition limits tasks of this name."""

    def has_function(self, name: str) -> str | None:
        """Where a function of this name runs in this process (loop, thread, process), or None."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that `decide` knows beside the state; drawn, read and looked up by its caller.

    `entropy` is a random number below 2^64, new for every turn. `active_domains` are, by task
    name, the domains whose workers asked for work lately. `begins`: tasks that run here and need
    nothing of anybody begin as they are scheduled, without asking admission.
    """

    moment: Moment
    entropy: int
    catalog: Catalog
    limits: Limits = DEFAULT_LIMITS
    environment: Mapping[str, str] = field(default_factory=dict)
    slice_size: int = 2_000
    active_domains: Mapping[str, frozenset[str]] = field(default_factory=dict)
    begins: bool = False


Begin = Callable[["Step", TaskState], None]
"""How a type of task begins once its record is made; it may end the record at once."""

GO_ON_FORKING, GO_ON_LOOPING, FINISH_JOIN = "\0fork", "\0loop", "\0join"
"""Keys of what goes on in operators, beside the types in `beginnings`: no type holds a NUL."""


class Step:
    """What one input makes of one state.

    `events` are recorded in order; `messages` go to other executions in the same commit.
    `pending` holds the ended records whose follow-ups are computed in this step.
    """

    __slots__ = ("beginnings", "context", "events", "messages", "now_ms", "pending", "state")

    def __init__(self, state: ExecutionState, context: Context, beginnings: Mapping[str, Begin]) -> None:
        """Begin with nothing emitted; `beginnings` says how each type of task begins."""
        self.state = state
        self.beginnings = beginnings
        self.context = context
        self.now_ms = context.moment.elapsed_ms
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.pending: deque[TaskState] = deque()

    def emit(self, event: Event) -> None:
        """Record a fact and make it true."""
        self.events.append(event)
        evolve(self.state, event, self.now_ms)

    def send(self, to: str, message: Input, *, graph: Graph | None = None) -> None:
        """Give an input to another execution; a start comes with the `graph` that it names."""
        self.messages.append(Message(to, message, graph))

    def scope(self, creating: int = 0) -> StateScope:
        """What expressions see now."""
        return StateScope(self.state, creating=creating, environment=self.context.environment)

    @property
    def is_full(self) -> bool:
        """Whether the rest belongs to the next turn."""
        return len(self.events) >= self.context.slice_size

    def jitter_ms(self, number: int, span_ms: int) -> int:
        """A number from 0 to `span_ms`, both included, that no other record of the turn shares."""
        text = f"{self.context.entropy}:{self.state.execution_id}:{number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % (span_ms + 1)

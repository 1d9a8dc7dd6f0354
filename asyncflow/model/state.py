"""What is true of one execution now: the fold of its events.

Only `decide/evolve` changes these records, in place; everyone else reads. The owner is the
deciding coroutine. What follows from them is in `decide/`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from asyncflow.model.effects import Effect
from asyncflow.model.emptiness import NO_ENTRIES, NO_QUEUE
from asyncflow.model.graph import Graph, Node
from asyncflow.model.holds import HoldState
from asyncflow.model.inputs import Message
from asyncflow.model.jobs import JobState
from asyncflow.model.statuses import EXECUTION_ENDED, RUNNING, SCHEDULED, TASK_ENDED
from asyncflow.model.values import JsonObject, JsonValue


@dataclass(slots=True, eq=False)
class TaskState:
    """One task record: one attempt of one task in one iteration. Times are UTC ms, 0 = not yet.

    `number` is its identity in the execution, `seq` its place in the list shown to users.
    `settled`: the flow went on from here. `superseded`: another attempt took its place. `code_version` is
    that of the worker elsewhere that has it, or had it.
    """

    number: int
    seq: int
    ref: str
    node: Node
    status: str = SCHEDULED
    input: JsonObject = field(default_factory=dict)
    output: JsonObject | None = field(default_factory=dict)
    suffix: str = ""
    iteration: int = 0
    loop: int = 0
    epoch: int = 0
    retry_count: int = 0
    retry_of: int = 0
    settled: bool = False
    superseded: bool = False
    executor: str = ""
    due_ms: int = 0
    first_scheduled_ms: int = 0
    scheduled_ms: int = 0
    started_ms: int = 0
    updated_ms: int = 0
    ended_ms: int = 0
    starts: int = 0
    reason: str | None = None
    worker_id: str = ""
    callback_after_s: float = 0
    grants: list[list[JsonValue]] | None = None
    fence: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    state: str | None = None
    name: str | None = None
    domain: str | None = None
    fork: int = 0
    fork_index: int = -1
    more: Operator | None = None
    code_version: str = ""

    @property
    def is_ended(self) -> bool:
        """Whether its status is terminal."""
        return self.status in TASK_ENDED


@dataclass(slots=True, eq=False)
class Operator:
    """What only operator records have; a field that does not apply to the type keeps its default.

    `join_on` are the full reference names a JOIN waits for and `waiting` how many of them did
    not settle yet. `case` and `branch` are what a SWITCH chose. `asking` says that a condition
    or case is being evaluated by a script. `child_id` is the execution of a SUB_WORKFLOW.
    `members` are the branches of a dynamic fork, `opened` how many of them were scheduled,
    `done` how many settled and `join` the number of its JOIN record. `item` and `of` are the
    present element and the length of the list a loop goes through, `of` -1 where it has none.
    """

    join_on: list[str] | None = None
    waiting: int = 0
    case: str | None = None
    branch: str | None = None
    asking: bool = False
    child_id: str | None = None
    members: ForkMembers | None = None
    opened: int = 0
    done: int = 0
    join: int = 0
    item: JsonValue = None
    of: int = -1


@dataclass(slots=True, eq=False)
class ForkMembers:
    """The branches of one dynamic fork: made from the fork's recorded input when asked.

    `shown` is what users are shown of the nodes, while a wide fork is being shown.
    """

    form: str
    count: int
    prefix: str
    suffix: str
    nodes: list[Node]
    inputs: list[JsonValue]
    refs: list[str]
    shown: list[JsonObject] | None = None

    def node(self, index: int) -> Node:
        """The node of a branch; one node serves all where they share a template."""
        return self.nodes[index] if len(self.nodes) > 1 else self.nodes[0]


@dataclass(slots=True, eq=False)
class Memo:
    """What a smart rerun may take up again, and what it found to have changed.

    `records` are those set aside, by number; `newest` the last attempt of each full name among them, and
    `former` how records were that were opened in place. `redo` and `keep` are full names that are run
    again, or not, whatever they are given; `inside` are those whose child goes on. `altered` are records that
    did not come out as before, and minus the number of a dynamic fork whose branches are others; `unsure` are
    names whose next end counts as another, as what follows has not been held against the last one.
    """

    cut_off: str
    records: dict[int, TaskState] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    former: dict[str, TaskState] = field(default_factory=dict)
    redo: dict[str, None] = field(default_factory=dict)
    keep: dict[str, None] = field(default_factory=dict)
    inside: JsonObject = field(default_factory=dict)
    altered: dict[int, None] = field(default_factory=dict)
    unsure: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class ExecutionState:
    """One execution. `seq` is that of its last event; `epoch` rises with every reset.

    What few executions have is one empty container for all until it is owned; see `model/emptiness`.
    `graphs` finds a compiled definition by content hash, for events that name another one.
    `latest` is by plain reference name, `by_ref` by the full one. `wanted` are the effects of
    each record (0: of the execution); `dirty` lists whose effects changed and `changed` whose
    record did, until their reader takes them. `counters_stale` says that `joins` and
    `countdown` must be built anew from the records before they are used. `ready_joins` are
    those whose members settled; `passive_count` counts open records that only wait for others.
    `repairs` are the records that a reopening has still to put right, because of `repair_cause`.
    `worker_version` is that of the code that took a task pinned to one version, once one did.
    `slot` is the limit of executions that it waits at (`awaits_slot`) or has its slot of; `begins`:
    nothing was scheduled before it waited. `slots` are those that the executions above it hold.
    `removed`: it was deleted, and leaves memory once that is durable. `applied` are the tokens of
    commands that are not done again. `routing` is the rule that chose the version, if one did. `jobs` are
    those whose end is not recorded, by serial number; `job_of` finds the one of an open record, and
    `past_jobs` has the last of each record that came to its end, found by serial number with `past_of`;
    `given_up` finds the last open one of a record that is not of it any more. `holds` are grants that span
    several tasks, `inherited` those of the executions above it; `slot_needs` are of the whole execution,
    and `holds_round` counts how often holds changed. `memo` is there from a smart rerun to the next success.
    `recovering` are the records that are performed again before anything else goes on, in order, each with
    the output that it had.
    """

    execution_id: str
    graph: Graph
    graphs: Mapping[str, Graph]
    status: str = RUNNING
    seq: int = 0
    epoch: int = 0
    input: JsonObject = NO_ENTRIES
    output: JsonObject = NO_ENTRIES
    variables: JsonObject = NO_ENTRIES
    name: str = ""
    version: int = 1
    correlation_id: str | None = None
    priority: int = 0
    task_to_domain: dict[str, str] = NO_ENTRIES
    parent_id: str | None = None
    parent_number: int = 0
    depth: int = 0
    created_by: str = ""
    trigger: str = ""
    idempotency_key: str | None = None
    request_hash: str = ""
    routing: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    ended_ms: int = 0
    retried_ms: int = 0
    paused_by_stop: bool = False
    reason: str | None = None
    failed_number: int = 0
    failed_refs: dict[str, None] = NO_ENTRIES
    failed_names: dict[str, None] = NO_ENTRIES
    worker_version: str = ""
    slot: str = ""
    awaits_slot: bool = False
    awaits_since_ms: int = 0
    begins: bool = False
    slots: tuple[str, ...] = ()
    tasks: dict[int, TaskState] = field(default_factory=dict)
    by_ref: dict[str, TaskState] = field(default_factory=dict)
    latest: dict[str, TaskState] = field(default_factory=dict)
    next_number: int = 1
    next_seq: int = 1
    open_count: int = 0
    joins: dict[str, tuple[int, ...]] = NO_ENTRIES
    countdown: dict[str, int] = NO_ENTRIES
    counters_stale: bool = False
    dynamic_forks: int = 0
    forked_nodes: dict[str, Node] = NO_ENTRIES
    ready_joins: dict[int, None] = NO_ENTRIES
    passive_count: int = 0
    agenda: dict[int, None] = NO_ENTRIES
    outbox: deque[Message] = NO_QUEUE
    repairs: deque[int] = NO_QUEUE
    repair_cause: str = ""
    removed: bool = False
    applied: AbstractSet[str] = frozenset()
    jobs: dict[int, JobState] = NO_ENTRIES
    job_of: dict[int, int] = NO_ENTRIES
    given_up: dict[int, int] = NO_ENTRIES
    past_jobs: dict[int, JobState] = NO_ENTRIES
    past_of: dict[int, int] = NO_ENTRIES
    next_job: int = 1
    holds: dict[int, HoldState] = NO_ENTRIES
    next_hold: int = 1
    holds_round: int = 0
    slot_needs: Sequence[list[JsonValue]] = ()
    inherited: Sequence[list[JsonValue]] = ()
    memo: Memo | None = None
    recovering: dict[int, JsonObject | None] = NO_ENTRIES
    wanted: dict[int, tuple[Effect, ...]] = field(default_factory=dict)
    dirty: list[int] = field(default_factory=list)
    changed: dict[int, None] = field(default_factory=dict)

    @property
    def is_ended(self) -> bool:
        """Whether its status is terminal."""
        return self.status in EXECUTION_ENDED

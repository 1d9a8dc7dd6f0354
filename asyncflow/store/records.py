"""The records that cross the border of the store, beside those of `model/turn`.

They carry and never judge; a column is added at the end, with a default. `journal` says what
is promised about them, `schema.sql` what each column of a view means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

from asyncflow.model.installation import Installation
from asyncflow.model.turn import Recorded

T = TypeVar("T")

Durability = Literal["full", "normal"]
"""`full`: a commit is fsynced before anyone learns of it. `normal`: a power cut may take the last ones."""

JsonArray = list[object]


class Segment(NamedTuple):
    """Events `from_seq`..`to_seq` of one stream, to be kept for good; `open` if it goes on living."""

    stream: str
    from_seq: int
    to_seq: int
    events: list[Recorded]
    open: bool


class Recovery(NamedTuple):
    """Where the journal stands, for a start.

    `last_turn` is 0 and the times are 0 in a new database. `first_turn` is the oldest turn still
    held, `last_turn + 1` if none is. `open_streams` are those whose newest segment says that they
    live on: with the streams met in `read_turns` they are all that a start has to load.
    `turn_bytes` is the size of the turns held: what `segment` and `trim_turns` keep in bounds.
    """

    last_turn: int
    first_turn: int
    elapsed_ms: int
    wall_ms: int
    projected_turn: int
    open_streams: list[str]
    turn_bytes: int = 0


class Restored(NamedTuple):
    """Between which times, on the elapsed clock, an engine may have gone on of which this file knows nothing.

    The file was made by a backup `from_ms`, and first opened `until_ms`; both are 0 of one that was none.
    """

    from_ms: int = 0
    until_ms: int = 0


NEVER_RESTORED = Restored()
"""That of a file that is no backup."""


class ExecutionRow(NamedTuple):
    """One row of the view `execution`; times in UTC milliseconds, 0 where there is none."""

    execution_id: str
    name: str
    version: int
    status: str
    open: int
    definition_hash: str
    correlation_id: str
    parent_id: str
    parent_task_id: str
    priority: int
    started_at_ms: int
    updated_at_ms: int
    ended_at_ms: int
    reason: str
    input_bytes: int
    output_bytes: int
    failed_references: str
    epoch: int
    last_seq: int
    input: str
    output: str
    created_by: str = ""
    event: str = ""
    failed_names: str = "[]"
    task_to_domain: str = "{}"
    idempotency_key: str = ""
    request_hash: str = ""


class ExecutionKey(NamedTuple):
    """What tells an execution from others: its own id, and the caller's."""

    execution_id: str
    correlation_id: str


class TaskRow(NamedTuple):
    """One row of the view `task`; `status` is Conductor's word, `state` the true state."""

    task_id: str
    execution_id: str
    number: int
    seq: int
    reference: str
    name: str
    type: str
    status: str
    state: str
    retry_count: int
    iteration: int
    scheduled_at_ms: int
    started_at_ms: int
    updated_at_ms: int
    ended_at_ms: int
    worker_id: str
    reason: str
    input_bytes: int
    output_bytes: int
    superseded: int
    domain: str = ""


class TaskHit(NamedTuple):
    """A row of the view `task`, and what a list of tasks shows of its execution."""

    task: TaskRow
    workflow_name: str
    workflow_version: int
    correlation_id: str
    priority: int


class ViewBatch(NamedTuple):
    """What brings the views up to `turn_number`: whole rows, and the ids of rows that go."""

    turn_number: int
    executions: list[ExecutionRow]
    tasks: list[TaskRow]
    removed_tasks: list[str]
    removed_executions: list[str]


class Condition(NamedTuple):
    """One condition on a view: `column` compared by `operator` with the values; conditions are ANDed.

    Operators: `=` `!=` `<` `<=` `>` `>=` (one value), `in` `not in` (any number), `contains`
    and `starts` (one text, compared case by case), `like` (SQL's, letters of ASCII compared without
    case), and `matches` for the column `text`: an expression of the full-text index. `rounds` is a reference
    name with those of its rounds in loops; `classified` says of a `definition_hash` how it is classified.
    """

    column: str
    operator: str
    values: tuple[str | int, ...]


class AllOf(NamedTuple):
    """All of these hold; none of them is said of an empty one."""

    members: tuple[Where, ...]


class AnyOf(NamedTuple):
    """At least one of these holds."""

    members: tuple[Where, ...]


Where = Condition | AllOf | AnyOf


class Found(NamedTuple, Generic[T]):
    """A page of what was found, and how much there is in all, of one instant."""

    total: int
    rows: list[T]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list, in which order: (column, descending) pairs, newest start first by default."""

    limit: int = 100
    offset: int = 0
    order: tuple[tuple[str, bool], ...] = ()


FIRST_PAGE = Page()
"""The page a list shows unless another is asked for."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a database file is opened for writing; the defaults suit an engine.

    `takeover_wait_s` is how long to wait for another process to let go of the file. Sizes are
    in bytes; `size_limit` 0 means no limit. `installation_id` is that of a new file; one is drawn where it
    is empty. `journal` is the folder of journal files, None for none; with `journal_must` an engine stops
    that cannot write them, and `journal_names` are the names of those that are not named by the rule, by
    execution. `query_timeout_s` is how long a list or a search may take, 0 for any time; so many of them are
    answered at once as there are `query_connections`.
    """

    durability: Durability = "full"
    takeover_wait_s: float = 0.0
    installation_id: str = ""
    size_limit: int = 0
    wal_limit: int = 64 << 20
    journal: Path | None = None
    journal_must: bool = False
    journal_names: Mapping[str, str] = field(default_factory=dict)
    query_timeout_s: float = 0.0
    query_connections: int = 2


DEFAULT_SETTINGS = StoreSettings()
"""What an engine uses unless configured."""


class StoreFacts(NamedTuple):
    """What `/health` and `doctor` show of the database."""

    path: str
    sqlite_version: str
    wal_race_fixed: bool
    schema_version: int
    installation_id: str
    durability: str
    was_clean: bool
    size_bytes: int
    wal_bytes: int
    turns: int
    installation_since_ms: int = 0

    @property
    def installation(self) -> Installation:
        """Which installation it is, and since when."""
        return Installation(self.installation_id, self.installation_since_ms)

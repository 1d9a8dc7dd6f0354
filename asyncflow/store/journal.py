"""The promises of the journal and of the views, as two protocols.

Nothing here knows a database; every implementation passes the contract suite. Read `sqlite`
next for the one that ships, `records` for the shapes, `codec` for the text of an event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from asyncflow.model.events import Event
from asyncflow.model.quarantine import Quarantined
from asyncflow.model.turn import Recorded, Turn
from asyncflow.store.records import (
    Condition,
    ExecutionKey,
    ExecutionRow,
    Found,
    Page,
    Recovery,
    Restored,
    Segment,
    TaskHit,
    TaskRow,
    ViewBatch,
    Where,
)


class Journal(Protocol):
    """The truth: turns in the order of their numbers, and the segments made of them.

    One owner writes, one call at a time or several in flight: calls take effect in the order in
    which they were made. A call that is cancelled while it waits still takes effect as a whole
    or not at all; which of the two, only a new look tells.
    """

    async def append(self, turn: Turn) -> None:
        """Commit a turn: its definitions first, then the events of all its streams, or nothing.

        What is stored of the streams it removed goes in the same commit: from there on they are read
        as unknown ones, also while older turns are held that name them.

        Turn numbers are gap-free from 1. Appending the very turn that is already the last one
        changes nothing and succeeds: so a turn whose commit failed is simply appended again.

        Raises:
            Conflict: the number is not the last one plus 1. Nothing was written.
            InvalidInput: a value has no JSON form. Nothing was written.
            NotCommitted: no room, or the file is locked by a stranger. Surely nothing was written;
                append the same turn again, or stop: no other turn may take its number.
            OutcomeUnknown: the commit itself failed. Only a new start can tell.

        Durability: on return the turn survives the death of the process, and with durability
        "full" a power cut. What "normal" may lose then is the newest turns, never one between.
        """

    async def recover(self) -> Recovery:
        """Where the journal stands; what to load follows from it. Changes nothing."""

    async def cursors(self) -> dict[str, int]:
        """Up to which turn each reader that stored its place has dealt with everything, by name."""

    def read_turns(self, after: int, *, unsegmented: bool = False) -> AsyncIterator[list[Turn]]:
        """Turns numbered above `after`, oldest first, in batches of bounded size, without definitions.

        A first number above `after + 1` tells of a gap: those turns were trimmed. With
        `unsegmented`, events that a segment holds are left out, and entries that become empty.
        What is committed while reading may or may not be met.

        Raises:
            StoreError: a record is damaged or of a newer version; the message names it.
        """

    async def read_streams(
        self, streams: Sequence[str], *, segments_only: bool = False
    ) -> dict[str, list[Recorded]]:
        """All events of each stream, gap-free from its first; an empty list for an unknown one.

        With `segments_only` what only turns hold is left out: for a caller who has read them.

        `at_ms` is the turn's elapsed time. Segments come first, then what only turns hold, of
        one instant. Cost: a stream's segments are found by index, its newest events by a pass
        over the turns still held (about 1 ms per MiB).

        Raises:
            StoreError: a record is damaged, missing, or of a newer version; the message names it.
        """

    async def read_legible(self, streams: Sequence[str]) -> dict[str, list[Event]]:
        """The events of each stream that can be read, oldest first: damaged segments are passed over.

        Cost: as `read_streams`, once for all of them.
        """

    async def last_seq(self, stream: str) -> int:
        """The number of the newest event recorded of a stream, also where older ones are damaged; 0 if none.

        Cost: a look through the turns held.
        """

    def read_events(self, stream: str, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """The events of a stream behind `after`, oldest first and gap-free, in pages of bounded size.

        Nothing for an unknown stream, and behind its last event. What is committed while reading
        may or may not be met. Cost: as `read_streams`, without holding more than a page.

        Raises:
            StoreError: as `read_streams`.
        """

    async def read_definitions(self, hashes: Sequence[str]) -> dict[str, str]:
        """The canonical JSON of each definition that is stored; unknown hashes are left out."""

    async def write_segments(self, segments: Sequence[Segment]) -> None:
        """Store segments, all or none; each continues its stream's last one without a gap.

        Raises:
            Conflict: a segment does not begin where its stream's last one ended. Nothing was written.
            NotCommitted, OutcomeUnknown: as for `append`.
        """

    async def trim_turns(self, below: int) -> int:
        """Delete turns numbered below this one and give their number; the last turn always stays.

        The caller knows that all their streams are segmented. A call deletes some 8 MiB and
        no more than 5,000 rows, so that others wait little: call again until it gives 0.
        """


class Quarantines(Protocol):
    """Executions that a start is not to touch, until somebody says that it may."""

    async def read_held(self) -> dict[str, Quarantined]:
        """Who is held, by stream, and why."""

    async def hold(self, stream: str, why: Quarantined) -> None:
        """Hold an execution from the next start on; one that is held stays so since it was.

        Raises as `Journal.append`.
        """

    async def let_go(self, stream: str) -> None:
        """Hold an execution no more; nothing where it is not held. Raises as `Journal.append`."""


class Backups(Protocol):
    """What a file knows of having been a backup."""

    async def restored(self, now_ms: int) -> Restored:
        """Whether it was one, and from when to when others may have gone on; asked at every start.

        `now_ms`, on the elapsed clock, is kept by the first start of a backup. Raises as `Journal.append`.
        """


class Views(Protocol):
    """Tables derived from the journal, for people and queries; deleting them loses nothing."""

    async def write_views(self, batch: ViewBatch) -> None:
        """Bring the views up to a turn: rows are inserted or replaced whole, removed ones go first.

        The number of the turn is stored in the same transaction. Raises as `Journal.append`.
        """

    async def clear_views(self) -> None:
        """Empty both views and set the projected turn to 0, in one transaction."""

    async def list_executions(self, conditions: Sequence[Condition], page: Page) -> list[ExecutionRow]:
        """Executions that meet all conditions.

        Raises:
            InvalidInput: an unknown column or operator.
        """

    async def count_executions(self, conditions: Sequence[Condition]) -> int:
        """How many executions meet all conditions."""

    async def list_tasks(self, conditions: Sequence[Condition], page: Page) -> list[TaskRow]:
        """Tasks that meet all conditions; raises as `list_executions`."""

    async def find_executions(self, conditions: Sequence[Where], page: Page) -> Found[ExecutionRow]:
        """A page of executions that meet all conditions, and their number, of one instant.

        Inputs and outputs are cut after some 16,000 characters. The column `text` is matched against
        the full-text index, which is behind by what is pending; `execution_ms` is how long one took.

        Raises:
            InvalidInput: an unknown column or operator.
        """

    async def list_keys(self, conditions: Sequence[Where]) -> list[ExecutionKey]:
        """The ids of all executions that meet all conditions, newest start first; as `find_executions`."""

    async def find_tasks(self, conditions: Sequence[Where], page: Page) -> Found[TaskHit]:
        """A page of tasks that meet all conditions, and their number, of one instant.

        Besides the columns of the view: `workflow_name`, `workflow_version`, `correlation_id` and
        `priority` of the execution, `words` (all short texts of the task), `execution_ms` and
        `queue_wait_ms`. Raises as `find_executions`.
        """

    async def newest_tasks(self, conditions: Sequence[Where], count: int) -> list[TaskHit]:
        """So many tasks that meet all conditions of `find_tasks`, of the executions that began last.

        Within one the newest record comes first. Raises as `find_executions`.
        """

    async def find_owners(self, conditions: Sequence[Where], page: Page) -> Found[ExecutionRow]:
        """A page of executions with tasks that meet all conditions of `find_tasks`; raises as that."""

    async def index_texts(self) -> int:
        """Bring the full-text index on by a bounded step; the change up to which it is now, 0 for none left.

        Raises as `Journal.append`.
        """

    async def newest_pending_text(self) -> int:
        """The number of the last change of a text that is not indexed yet; 0 if all are."""

    async def projected_turn(self) -> int:
        """The number of the turn up to which the views are."""

"""What a listener did not take, told once more: found in the audit, read from the journal, told and noted.

It is told between two events of the ordinary course, never beside one. Where a listener stands in that course
is not touched here; to go back in it is `Listeners.rewind`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asyncflow.app.event_telling import Source, Telling
from asyncflow.app.listening import RETOLD, SKIPPED, Listening, caller_of
from asyncflow.app.logbook import AuditEntry, AuditFilter, Logbook, audited
from asyncflow.app.turn_feed import FeedStore
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent
from asyncflow.runtime.clock import stopwatch_s
from asyncflow.runtime.engine import Engine

_ID = re.compile(r"(?P<stream>.+?):(?P<seq>[0-9]{1,18})(?:/.*)?", re.DOTALL)
_LONG_S = 30.0  # after which what is left is left to another call
_FAR = 5_000  # events that were skipped among which those are looked for that were not told since


class _Place(NamedTuple):
    """Where an event stands in the journal, by its id."""

    stream: str
    seq: int


class Again:
    """Tells the listeners of one engine what they skipped."""

    def __init__(self, engine: Engine, store: FeedStore, *, logbook: Logbook, telling: Telling) -> None:
        """Tell nothing yet."""
        self._engine, self._store, self._logbook, self._telling = engine, store, logbook, telling

    async def skipped(self, name: str, *, start: int, size: int) -> tuple[int, list[JsonObject]]:
        """How many events a listener did not take, and a page, newest first; `toldAt` if it did since."""
        chosen = AuditFilter(caller=caller_of(name), object_kind=SKIPPED)
        found = await self._logbook.audit_entries(chosen, start=start, size=size)
        told = await self._told(name)
        rows: list[JsonObject] = []
        for row in found.rows:
            shown: JsonObject = {
                "id": row.object_id,
                "name": row.action,
                "at": row.at_ms,
                "reason": row.reason,
            }
            at_ms = told.get(row.object_id, 0)
            rows.append({**shown, "toldAt": at_ms} if at_ms > row.at_ms else shown)
        return found.total, rows

    async def _told(self, name: str) -> Mapping[str, int]:
        """When skipped events were told after all, by id; the newest of them."""
        chosen = AuditFilter(caller=caller_of(name), object_kind=RETOLD)
        found = await self._logbook.audit_entries(chosen, size=_FAR)
        return {row.object_id: row.at_ms for row in reversed(found.rows)}

    async def tell(
        self, each: Listening, ids: Sequence[str] | None, *, most: int, by: str
    ) -> Mapping[str, object]:
        """Tell events once more, the oldest first, until one is not taken, or for half a minute.

        Returns:
            `told`, how many were; `gone`, the ids of those whose history is there no more; `left`, how many
            wait still; `failed`, the id and the reason of the one that was not taken, if there is one.

        Raises:
            NotFound: an id is of no event that it skipped.
        """
        name = each.post.name
        _, found = await self.skipped(name, start=0, size=_FAR)
        waiting = [str(row["id"]) for row in reversed(found) if "toldAt" not in row]
        if ids is not None:
            known = {str(row["id"]) for row in found}
            unknown = next((one for one in ids if audited(one) not in known), None)
            if unknown is not None:
                raise NotFound("skipped event", unknown)
            waiting = [audited(one) for one in ids]
        told, gone, failed, begun_s = 0, list[str](), None, stopwatch_s()
        for one in dict.fromkeys(waiting[:most]):
            event = await self._event(one)
            if event is None:
                gone.append(one)
            elif reason := await each.tell_once(event):
                failed = {"id": one, "reason": reason}
                break
            else:
                told += 1
                await self._note(name, event, by)
            if stopwatch_s() - begun_s > _LONG_S:
                break
        left = len(waiting) - told - len(gone)
        return {"told": told, "gone": gone, "left": left, **({} if failed is None else {"failed": failed})}

    async def _note(self, name: str, event: CommittedEvent, by: str) -> None:
        now_ms = self._engine.clock.now().wall_ms
        said = f"told after it was skipped, as {by} asked" if by else "told after it was skipped"
        identity = audited(event.id)
        await self._logbook.audit(AuditEntry(now_ms, caller_of(name), "", event.name, RETOLD, identity, said))

    async def _event(self, identity: str) -> CommittedEvent | None:
        """The event of this id, as it is told; None if its history is there no more."""
        place = _place(identity)
        async for page in self._store.read_events(place.stream, place.seq - 1):
            first = page[0]
            if first.seq != place.seq:
                return None
            source = Source(place.stream, first.seq, first.at_ms, first.event)
            told = await self._telling.of_source(source)
            return next((each for each in told if audited(each.id) == identity), None)
        return None

    # --- turns ------------------------------------------------------------------------------------

    async def turn_of(self, identity: str) -> int:
        """The number of the turn that an event stands in.

        Raises:
            NotFound: no turn that is kept has it.

        Cost: reads the turns that are kept, from the oldest on.
        """
        stream, seq = _place(identity)
        async for batch in self._store.read_turns(0):
            for turn in batch:
                for entry in turn.entries:
                    if entry.stream == stream and 0 <= seq - entry.first_seq < len(entry.events):
                        return turn.number
        raise NotFound("event in the turns that are kept", identity)

    async def check_kept(self, turn: int) -> None:
        """Return if all turns from this one on are kept.

        Raises:
            Refused: they are not, or it has not been reached.
        """
        found = await self._store.recover()
        if not found.first_turn <= turn <= found.last_turn + 1:
            raise Refused(
                f"turns {found.first_turn} to {found.last_turn} are kept, and {turn} is none of them"
            )


def _place(identity: str) -> _Place:
    found = _ID.fullmatch(identity)
    if found is None or int(found["seq"]) < 1:
        raise InvalidInput("the id of an event is expected, such as STREAM:7", field="event")
    return _Place(found["stream"], int(found["seq"]))

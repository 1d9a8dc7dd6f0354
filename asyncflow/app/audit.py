"""Who asked for what, and what came of it: entries of the audit, made fit to be kept and to be read.

Bodies and secrets are never in them, and no stranger can fill the disk with them: refusals are told one
by one up to so many a minute, then counted. The table is kept by `logbook`; which requests are audited
is said in `http/audit`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from asyncflow.app.callers import NOBODY, Caller, Role
from asyncflow.app.logbook import AuditEntry
from asyncflow.errors import AsyncflowError
from asyncflow.runtime.engine import Engine

log = logging.getLogger("asyncflow.audit")

MOST_REFUSALS = 60
"""Refusals that are told one by one in a minute."""

_MINUTE_MS = 60_000
_TEXT, _REASON = 200, 1_000


class Deed(NamedTuple):
    """What was asked for.

    Attributes:
        action: a method and the path of a route.
        ids: what it was asked of, each of which gets an entry; empty for what has no name.
    """

    action: str
    kind: str
    ids: Sequence[str] = ()
    reason: str = ""


class Audit:
    """The pen of the audit.

    Attributes:
        refused: requests that were refused for their credentials or role, told or only counted.
    """

    def __init__(self, engine: Engine) -> None:
        """Nothing is written yet."""
        self._engine = engine
        self.refused = 0
        self._since_ms = self._told = self._untold = 0

    async def record(self, caller: Caller, deed: Deed, outcome: str, *, waits: bool = True) -> None:
        """Write what was done, or what kept it from being done; durable at return if it `waits`.

        What was done is done: a fault of the storage is logged, and the next write meets it too.
        """
        first = self._entry(caller, deed, deed.ids[0] if deed.ids else "", outcome)
        entries = [first, *(first._replace(object_id=printable(each, _TEXT)) for each in deed.ids[1:])]
        logs = self._engine.logs
        if not waits and logs.has_room:
            logs.put(*entries)
            return
        try:
            await logs.add(*entries)
        except AsyncflowError as error:
            log.warning("not audited: %s", error, extra={"action": deed.action})

    def refuse(self, caller: Caller, deed: Deed, outcome: str) -> None:
        """Write soon that somebody was turned away, unless too many were in this minute."""
        self.refused += 1
        now_ms = self._now_ms()
        if not 0 <= now_ms - self._since_ms < _MINUTE_MS:
            self._tell_rest()
            self._since_ms, self._told = now_ms, 0
        if self._told >= MOST_REFUSALS:
            self._untold += 1
            return
        self._told += 1
        entry = self._entry(caller, deed, next(iter(deed.ids), ""), outcome)
        log.warning(
            "refused: %s", entry.reason or outcome, extra={"action": entry.action, "caller": entry.caller}
        )
        self._engine.logs.put(entry)

    def _tell_rest(self) -> None:
        if self._untold:
            said = f"{self._untold} more were refused in the minute after {MOST_REFUSALS}"
            log.warning("refused: %s", said)
            entry = self._entry(NOBODY, Deed("requests", "server", reason=said), "", "refused")
            self._engine.logs.put(entry)
            self._untold = 0

    def _entry(self, caller: Caller, deed: Deed, object_id: str, outcome: str) -> AuditEntry:
        return AuditEntry(
            self._now_ms(),
            *_who_and_what(caller.name, caller.role, deed.action, deed.kind),
            printable(object_id, _TEXT),
            printable(self._engine.logs.redactor.text(deed.reason), _REASON) if deed.reason else "",
            outcome,
        )

    def _now_ms(self) -> int:
        return self._engine.clock.now().wall_ms


@lru_cache(maxsize=1_000)
def _who_and_what(caller: str, role: Role, action: str, kind: str) -> tuple[str, str, str, str]:
    """The part of an entry that most of a caller have in common, fit to be kept."""
    return printable(caller, _TEXT), role.name.lower(), printable(action, _TEXT), printable(kind, _TEXT)


def printable(text: str, most: int) -> str:
    """The text on one line, what steers a terminal shown as escapes, cut to so many characters."""
    cut = f"{text[: most - 1]}…" if len(text) > most else text
    if cut.isprintable():
        return cut
    shown = [
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode()
        for each in cut
    ]
    return "".join(shown)[:most]

"""Journal files read: every line is looked at, the events of one are decoded when somebody wants them.

A torn end costs what was not written yet; damage in the middle, or a line that does not follow, nobody may
pass over. It neither folds nor writes; see `journal_folder` for the writing, `app/recovering` for the use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from asyncflow.errors import StoreError
from asyncflow.ids import content_hash
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.store.codec import Codec
from asyncflow.store.journal_lines import FORMAT, VERSION, Events, Line, Over, decode_line, events_of

_CODEC = Codec()
_STRANGE = (AttributeError, KeyError, TypeError, ValueError)


class _Placed(NamedTuple):
    """Events, and where in the file they stand."""

    place: str
    events: Events


@dataclass(slots=True)
class JournalFile:
    """What a journal file holds.

    Attributes:
        execution_id: the execution that it is of; streams are its own and those below it.
        installation: who wrote it, by the id that tokens for outside services are made with.
        definitions: canonical JSON by content hash.
        code: fingerprints of functions by task name, the newest.
        ends: the last event of each stream.
        over: of each stream whose last line says that nothing of it goes on, what it says.
        lines: how many are whole, and `size` how many bytes they take.
        torn: what is wrong with the end, and from where; empty if nothing is.
    """

    path: Path
    execution_id: str = ""
    name: str = ""
    installation: str = ""
    definitions: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    over: dict[str, Over] = field(default_factory=dict)
    lines: int = 0
    size: int = 0
    torn: str = ""
    _events: list[_Placed] = field(default_factory=list, repr=False)
    _streams: dict[str, list[Recorded]] = field(default_factory=dict, repr=False)

    @property
    def streams(self) -> dict[str, list[Recorded]]:
        """The history of each stream; decoded at the first call.

        Raises:
            StoreError: events are of a newer version, or none; line and byte are named.
        """
        for place, events in self._events:
            try:
                self._decode(events)
            except StoreError as fault:
                raise StoreError(f"{self.path}: {place}: {fault}") from fault
        self._events = []
        return self._streams

    def last_of(self, stream: str) -> list[Recorded]:
        """What the last line of a stream holds, whatever the others do; raises as `streams`."""
        line = next((each.events for each in reversed(self._events) if each.events.stream == stream), None)
        return self._streams.get(stream, []) if line is None else _recorded(line)

    def take(self, line: Line, place: str, *, at_once: bool = False) -> None:
        """Take in the next whole line; its events `at_once`, or when they are asked for.

        Raises:
            StoreError: it does not follow, is of a newer version, or is none of ours.
        """
        try:
            members, events = line.members, line.events
            if members is not None:
                _check_version(members)
                events = events_of(members)
            if line.number != self.lines + 1:
                raise StoreError(f"line {self.lines + 1} is missing: {line.number} follows")
            self._take_members(members or {})
            if events is not None:
                self._take_events(events, place, at_once=at_once)
        except _STRANGE as error:
            raise StoreError(f"it is no line of a journal file: {type(error).__name__}: {error}") from error
        self.lines += 1

    def _take_members(self, members: JsonObject) -> None:
        if not self.lines:
            if members.get("format") != FORMAT:
                raise StoreError(f"it does not begin as a journal file does, with the format {FORMAT!r}")
            self.execution_id, self.name = str(members["execution"]), str(members["name"])
            self.installation = str(members["installation"])
        for name, body in cast("dict[str, str]", members.get("definitions", {})).items():
            if content_hash(body.encode()) != name:
                raise StoreError(f"definition {name} is not what its name says")
            self.definitions[name] = body
        self.code.update(cast("dict[str, str]", members.get("code", {})))

    def _take_events(self, events: Events, place: str, *, at_once: bool) -> None:
        stream, seq, last, over, _ = events
        known = self.ends.get(stream, 0)
        if seq != known + 1 or last < known:
            raise StoreError(f"stream {stream}: event {seq} follows {known}")
        if at_once:
            self._decode(events)
        else:
            self._events.append(_Placed(place, events))
        self.ends[stream] = last
        if over is None:
            self.over.pop(stream, None)
        else:
            self.over[stream] = over

    def _decode(self, events: Events) -> None:
        found = _recorded(events)
        self._streams.setdefault(events.stream, []).extend(found)


def _check_version(members: JsonObject) -> None:
    if members.get("v") != VERSION:
        raise StoreError(
            f"version {members.get('v')} of the format is unknown: the file is of a newer version"
        )


def _recorded(events: Events) -> list[Recorded]:
    try:
        return _CODEC.timed(events.decoded(), events.seq)
    except _STRANGE as error:
        raise StoreError(f"it is no line of a journal file: {type(error).__name__}: {error}") from error


def read_journal(path: Path, *, until_damage: bool = False) -> JournalFile:
    """Read a journal file, without its torn end.

    Args:
        until_damage: take what stands before damage in the middle instead of refusing the file.

    Raises:
        StoreError: it is no journal file, of a newer version, or damaged; line and byte are named.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return read_journal_from(file, path, until_damage=until_damage)


def read_journal_from(file: Iterable[bytes], path: Path, *, until_damage: bool = False) -> JournalFile:
    """Read a journal file that is open already; as `read_journal`."""
    found = JournalFile(path)
    _read_lines(found, file, until_damage=until_damage)
    if not found.lines:
        raise StoreError(f"{path}: no whole line: it is no journal file, or nothing of it was written")
    return found


def _read_lines(found: JournalFile, file: Iterable[bytes], *, until_damage: bool) -> None:
    offset = 0
    for count, raw in enumerate(file, start=1):
        place = f"line {count}, byte {offset}"
        offset += len(raw)
        try:
            if not raw.endswith(b"\n"):
                raise StoreError("it has no end")
            line = decode_line(raw[:-1])
        except StoreError as damage:
            if not found.torn:
                found.torn = f"{place}: {damage}"
            continue
        if found.torn:
            if until_damage:
                return
            raise StoreError(
                f"{found.path}: damaged at {found.torn}; whole lines follow, so that it is no torn end. "
                "--until-damage takes what is before it"
            )
        try:
            found.take(line, place, at_once=until_damage)
        except StoreError as fault:
            if not until_damage or not found.lines:
                raise StoreError(f"{found.path}: {place}: {fault}") from fault
            found.torn = f"{place}: {fault}"
            return
        found.size = offset

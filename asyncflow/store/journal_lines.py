"""Journal files as text: one JSON object per line, each with its number and its own check sum.

It says what a line is, reads a whole file, and tells a torn end, which costs what was not written yet, from
damage in the middle, which nobody may pass over. It neither folds nor writes; see `journal_folder` for the
writing and `app/journaling` for who has it done.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from asyncflow.errors import StoreError
from asyncflow.ids import content_hash
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.store.codec import Codec, decode_json, encode_json
from asyncflow.store.records import JsonArray

FORMAT = "asyncflow-journal"
VERSION = 1

_CRC = b',"crc":"'
_TAIL = len(_CRC) + len(b'00000000"}')
_CODEC = Codec()


def encode_line(number: int, body: Mapping[str, object]) -> bytes:
    """A line with its number and the CRC32 of all that stands before it.

    Raises:
        InvalidInput: a value has no JSON form.
    """
    text = encode_json({"v": VERSION, "line": number, **body})[:-1]
    return text + b'%s%08x"}\n' % (_CRC, zlib.crc32(text))


def decode_line(raw: bytes) -> JsonObject:
    """What a line says, without its line break.

    Raises:
        StoreError: it is not whole.
    """
    text, end = raw[:-_TAIL], raw[-_TAIL:]
    if end != b'%s%08x"}' % (_CRC, zlib.crc32(text)):
        raise StoreError("the check sum does not fit")
    found = decode_json(text + b"}")
    if not isinstance(found, dict):
        raise StoreError("it is no JSON object")
    return found


def encode_events(events: Sequence[Recorded]) -> list[JsonArray]:
    """Events as a line has them: `[at_ms, kind, field, …]` each."""
    return [[at_ms, type(event).__name__, *event] for _, at_ms, event in events]


@dataclass(slots=True)
class JournalFile:
    """What a journal file holds.

    Attributes:
        execution_id: the execution that it is of; `streams` has those below it too.
        installation: who wrote it, by the id that tokens for outside services are made with.
        definitions: canonical JSON by content hash.
        code: fingerprints of functions by task name, the newest.
        lines: how many are whole, and `size` how many bytes they take.
        torn: what is wrong with the end, and from where; empty if nothing is.
    """

    path: Path
    execution_id: str = ""
    name: str = ""
    installation: str = ""
    definitions: dict[str, str] = field(default_factory=dict)
    streams: dict[str, list[Recorded]] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    size: int = 0
    torn: str = ""

    def take(self, line: JsonObject) -> None:
        """Take in the next whole line.

        Raises:
            StoreError: it does not follow, is of a newer version, or is none of ours.
        """
        try:
            self._take(line)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"it is no line of a journal file: {type(error).__name__}: {error}") from error

    def _take(self, line: JsonObject) -> None:
        if line.get("v") != VERSION:
            raise StoreError(
                f"version {line.get('v')} of the format is unknown: the file is of a newer version"
            )
        if line.get("line") != self.lines + 1:
            raise StoreError(f"line {self.lines + 1} is missing: {line.get('line')} follows")
        if not self.lines:
            self._take_head(line)
        for name, body in cast("dict[str, str]", line.get("definitions", {})).items():
            if content_hash(body.encode()) != name:
                raise StoreError(f"definition {name} is not what its name says")
            self.definitions[name] = body
        self.code.update(cast("dict[str, str]", line.get("code", {})))
        if "stream" in line:
            self._take_events(cast("str", line["stream"]), cast("int", line["seq"]), line["events"])
        self.lines += 1

    def _take_head(self, line: JsonObject) -> None:
        if line.get("format") != FORMAT:
            raise StoreError(f"it does not begin as a journal file does, with the format {FORMAT!r}")
        self.execution_id, self.name = str(line["execution"]), str(line["name"])
        self.installation = str(line["installation"])

    def _take_events(self, stream: str, seq: int, events: object) -> None:
        history = self.streams.setdefault(stream, [])
        if seq != len(history) + 1:
            raise StoreError(f"stream {stream}: event {seq} follows {len(history)}")
        decoded, add = _CODEC.event, history.append
        for number, (at_ms, *record) in enumerate(cast("list[tuple[int, object]]", events), start=seq):
            add(Recorded(number, at_ms, decoded(record)))


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
            found.take(line)
        except StoreError as fault:
            if not until_damage or not found.lines:
                raise StoreError(f"{found.path}: {place}: {fault}") from fault
            found.torn = f"{place}: {fault}"
            return
        found.size = offset

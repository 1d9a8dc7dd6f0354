"""Executions taken up from journal files: checked by folding them, then put into a store as they are.

What a file holds becomes the history of the execution, with its times; nothing in it is done again. What
it does not hold runs when an engine is opened on the store. Files are written by `app/journaling`.
"""

from __future__ import annotations

import asyncio
import fcntl
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from asyncflow.app.database import reading
from asyncflow.app.hyperflow_recovery import is_of_hyperflow
from asyncflow.app.journaling import open_folder
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import Conflict, NotFound, StoreError, StoreLocked
from asyncflow.model import events as ev
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, Recorded, StoredDefinition, StreamEvents, Turn
from asyncflow.runtime import recovery
from asyncflow.runtime.garbage import without_collections
from asyncflow.runtime.rebuild import row_batches
from asyncflow.runtime.stored_definitions import know_definitions, named_definitions
from asyncflow.store.codec import Codec
from asyncflow.store.journal_file import JournalFile, read_journal
from asyncflow.store.journal_folder import Heading, Part
from asyncflow.store.records import Segment, StoreSettings, ViewBatch
from asyncflow.store.sqlite import SqliteReader, SqliteStore

_SEGMENT_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Journaled:
    """What a journal file holds, checked.

    Attributes:
        execution_id: the execution; `states` has it and those below it.
        name: the name of the workflow.
        torn: what is wrong with the end of the file; empty if nothing is.
        code: fingerprints of the functions that its results are of, by task name; see `app/code_prints`.
    """

    path: Path
    execution_id: str
    name: str
    installation: str
    torn: str
    definitions: Mapping[str, str] = field(repr=False)
    streams: Mapping[str, list[Recorded]] = field(repr=False)
    states: Mapping[str, ExecutionState] = field(repr=False)
    code: Mapping[str, str] = field(repr=False)
    catalog: DefinitionCatalog = field(repr=False)

    @property
    def state(self) -> ExecutionState:
        """The execution."""
        return self.states[self.execution_id]


class _Definitions(NamedTuple):
    """The definitions of a file, read as a journal's."""

    bodies: Mapping[str, str]

    async def read_definitions(self, hashes: Sequence[str]) -> dict[str, str]:
        return {name: self.bodies[name] for name in hashes if name in self.bodies}


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep others from taking up the same file within the context.

    Raises:
        StoreLocked: another process is taking it up.
        StoreError: it cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreLocked(f"{path}: another process is taking it up") from error
        yield


async def look_at(path: Path, *, until_damage: bool = False) -> JournalFile:
    """Read a journal file: its lines are whole and in their order, what they say is looked at later.

    Raises:
        StoreError: it is no journal file, damaged, or of a newer version. A torn end is no error.
    """
    try:
        found = await asyncio.to_thread(read_journal, path, until_damage=until_damage)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    except StoreError as error:
        if await asyncio.to_thread(is_of_hyperflow, path):
            raise StoreError(f"{path}: HyperFlow wrote it: see `asyncflow journal convert`") from error
        raise
    if found.execution_id not in found.ends:
        raise StoreError(f"{path}: it holds no event of execution {found.execution_id}: start it anew")
    return found


async def read_file(path: Path, *, until_damage: bool = False) -> Journaled:
    """Read a journal file and fold what it holds.

    Raises:
        StoreError: as `look_at` and `folded`; nothing of it was used.
    """
    return await folded(await look_at(path, until_damage=until_damage))


async def folded(found: JournalFile) -> Journaled:
    """Fold what a journal file holds.

    Raises:
        StoreError: it does not fit together, or is of a newer version.
    """
    with without_collections():
        return await _folded(found, await asyncio.to_thread(lambda: found.streams))


async def _folded(found: JournalFile, streams: Mapping[str, list[Recorded]]) -> Journaled:
    catalog = DefinitionCatalog()
    histories = {s: h for s, h in streams.items() if not _is_removed(h)}
    if found.execution_id not in histories:
        raise StoreError(f"{found.path}: execution {found.execution_id} was deleted")
    known = await know_definitions(_Definitions(found.definitions), catalog, histories.values())  # type: ignore[arg-type]  # it reads definitions only
    states: dict[str, ExecutionState] = {}
    for stream, history in histories.items():
        try:
            states[stream] = await recovery.fold(stream, history, known)
        except StoreError as error:
            raise StoreError(f"{found.path}: {error}") from error
        except Exception as fault:
            raise StoreError(
                f"{found.path}: execution {stream} cannot be folded: {type(fault).__name__}: {fault}"
            ) from fault
    return Journaled(
        found.path,
        found.execution_id,
        found.name,
        found.installation,
        found.torn,
        found.definitions,
        histories,
        states,
        found.code,
        catalog,
    )


def _is_removed(history: Sequence[Recorded]) -> bool:
    return type(history[-1].event) is ev.ExecutionRemoved


# --- into a store -----------------------------------------------------------------------------------


async def put_in(database: Path, found: Journaled) -> bool:
    """Make an execution part of a database file; the next engine on it goes on with it.

    An empty file becomes the installation that wrote the journal, so that its jobs are found again. A file
    that has the execution already is left as it is if it is as far or further.

    Returns:
        Whether anything was put in.

    Raises:
        StoreLocked: an engine has the file.
        Conflict: the database has another history of the execution, or is of another installation than
            the file while jobs outside are open.
        StoreError: the file cannot be used.

    Durability: all of it when it returns; a process that is killed before puts in all or nothing.
    """
    settings = StoreSettings(installation_id=found.installation)
    async with SqliteStore.open(database, settings=settings) as store:
        installation = (await store.facts()).installation.of(found.state.created_ms)
        present = await store.read_streams(list(found.streams))
        if installation != found.installation:
            _check_no_jobs(found, "the database is of another installation than the file")
        if not any(present.values()):
            await _import(store, found)
            return True
        for stream, history in present.items():
            _check_same(stream, history, found.streams[stream])
        if present[found.execution_id]:
            await _write_views(store, found, present)
        return False


def _check_no_jobs(found: Journaled, reason: str) -> None:
    """Return if no job outside is open: under other tokens it would not be found, and handed in twice."""
    if any(state.jobs for state in found.states.values()):
        raise Conflict(f"{found.path}: it has jobs outside that go on, and {reason}")


def _check_same(stream: str, present: Sequence[Recorded], wanted: Sequence[Recorded]) -> None:
    if len(present) < len(wanted) or any(
        one.event != other.event for one, other in zip(present, wanted, strict=False)
    ):
        raise Conflict(
            f"the database has execution {stream} with another history: take an empty one, or --new-id"
        )


async def _import(store: SqliteStore, found: Journaled) -> None:
    position = await store.recover()
    last_ms = max(history[-1].at_ms for history in found.streams.values())
    elapsed_ms = max(position.elapsed_ms, last_ms)
    definitions = [StoredDefinition(name, body) for name, body in found.definitions.items()]
    turn = Turn(position.last_turn + 1, Moment(elapsed_ms, max(position.wall_ms, last_ms)), [], definitions)
    await store.append(turn)
    await store.write_segments([segment for stream in found.streams for segment in _segments(found, stream)])
    await _write_views(store, found, {})
    await store.write_views(ViewBatch(turn.number, [], [], [], []))


def _segments(found: Journaled, stream: str) -> Iterable[Segment]:
    history, state = found.streams[stream], found.states[stream]
    is_open = not state.is_ended or bool(state.outbox or state.jobs)
    for start in range(0, len(history), _SEGMENT_EVENTS):
        part = history[start : start + _SEGMENT_EVENTS]
        yield Segment(stream, part[0].seq, part[-1].seq, part, is_open)


async def _write_views(
    store: SqliteStore, found: Journaled, present: Mapping[str, Sequence[Recorded]]
) -> None:
    """The rows of what is exactly as far as the file; an engine has written those of what is further."""
    for stream, state in found.states.items():
        if len(present.get(stream, found.streams[stream])) == len(found.streams[stream]):
            for batch in row_batches(state):
                await store.write_views(batch)


# --- under another id, and out of a store -------------------------------------------------------------


async def renamed(found: Journaled) -> Journaled:
    """The same under new ids, as an execution of its own.

    Raises:
        Conflict: it has jobs outside, which would be those of two executions.
    """
    _check_no_jobs(found, "only one execution can have them")
    ids = {stream: str(uuid.uuid4()) for stream in found.streams}
    streams = {ids[stream]: _with_ids(stream, history, ids) for stream, history in found.streams.items()}
    file = JournalFile(found.path, ids[found.execution_id], found.name, found.installation)
    file.definitions, file.torn, file.code = dict(found.definitions), found.torn, dict(found.code)
    return await _folded(file, streams)


def _with_ids(stream: str, history: Sequence[Recorded], ids: Mapping[str, str]) -> list[Recorded]:
    codec = Codec()
    text = codec.encode_entries([StreamEvents(stream, 1, [recorded.event for recorded in history])])
    for old, new in ids.items():
        text = text.replace(old.encode(), new.encode())
    events = codec.decode_entries(text)[0].events
    first = events[0]
    if isinstance(first, ev.ExecutionStarted):
        events[0] = first._replace(idempotency_key=None, request_hash="")
    return [old._replace(event=event) for old, event in zip(history, events, strict=True)]


async def export(database: Path, execution_id: str, folder: Path) -> Path:
    """Write the journal file of an execution, with those below it, from a database file.

    Raises:
        NotFound: there is no such execution.
        Conflict: it is a sub-workflow, which stands in the file of the one at the top.
        StoreError: the database cannot be read, or the file not be written; one that is there is continued.
    """
    async with reading(database) as reader:
        history = (await reader.read_streams([execution_id]))[execution_id]
        if not history or not isinstance(history[0].event, ev.ExecutionStarted):
            raise NotFound("execution", execution_id)
        if history[0].event.parent_id:
            raise Conflict(f"{execution_id} is a sub-workflow: export {history[0].event.parent_id}")
        parts = await _parts(reader, execution_id, history)
        installation = (await reader.facts()).installation
        heading = Heading.of(execution_id, history[0], installation.of(history[0].at_ms))
    return await asyncio.to_thread(_write_file, folder, heading, parts)


def _write_file(folder: Path, heading: Heading, parts: Sequence[Part]) -> Path:
    files = open_folder(folder)
    try:
        written = files.open_file(heading, parts[0].definitions)
        files.append(written, parts)
        files.sync(written.name)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error
    finally:
        files.close()
    return folder / written.name


async def _parts(reader: SqliteReader, root: str, history: Sequence[Recorded]) -> list[Part]:
    """The histories of an execution and of all below it; what was started first comes first."""
    found: list[Part] = []
    waiting = [(root, list(history))]
    seen = {root}
    while waiting:
        stream, events = waiting.pop(0)
        named = await reader.read_definitions(list(dict.fromkeys(named_definitions(events))))
        found.append(Part(stream, events, named))
        begun = [each.event.child_id for each in events if isinstance(each.event, ev.ChildStarted)]
        children = [child for child in dict.fromkeys(begun) if child not in seen]
        seen.update(children)
        for child, below in (await reader.read_streams(children)).items() if children else ():
            if (
                below
                and isinstance(first := below[0].event, ev.ExecutionStarted)
                and first.parent_id == stream
            ):
                waiting.append((child, below))
    return found

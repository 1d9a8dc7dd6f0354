"""A run that HyperFlow journaled, made an execution: what its records prove is done, and nothing else.

The workflow is imported, and played with the recorded results in place of its tasks. A record is used only
where it says what the task would be given; which ones are not, and why, is told. The execution is written as
a journal file of ours, to be taken up by `app/recovering`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from asyncflow.app.journaling import open_folder
from asyncflow.app.sandbox import Sandbox
from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.convert.hyperflow_document import Document, Port, Process, read_document
from asyncflow.convert.hyperflow_journal import (
    Fired,
    HyperflowJournal,
    Value,
    looks_like_hyperflow,
    read_hyperflow_journal,
)
from asyncflow.errors import Conflict, StoreError
from asyncflow.model.definition import WorkflowDefinition, parse_workflow
from asyncflow.model.events import Event
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, Message, StartExecution
from asyncflow.model.rendering import canonical_json
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.store.journal_folder import Heading, Part

_PARALLEL = "firings that ran side by side are all recorded under the newest number"


class Unused(NamedTuple):
    """A record that nothing is made of."""

    line: int
    what: str
    reason: str


@dataclass(slots=True)
class Converted:
    """An execution made of a journal.

    Attributes:
        reused: how many firings it takes as done.
        unused: what was not used, in order of lines.
        torn: what is wrong with the end of the journal; empty if nothing is.
        notes: what the import of the workflow said.
    """

    file: Path
    execution_id: str
    reused: int
    unused: list[Unused]
    torn: str
    notes: list[str]


async def convert(journal: Path, workflow: Path | None, options: HyperflowOptions, *, to: Path) -> Converted:
    """Write the journal file of an execution that has done what a HyperFlow journal shows.

    Args:
        workflow: the workflow.json of the run; None takes the one beside the journal, or where it was.

    Raises:
        StoreError: a file cannot be read or written, or the journal is damaged.
        DefinitionError: the workflow cannot be imported.
        Conflict: the workflow is not that of the run.
    """
    found = await asyncio.to_thread(_read, journal)
    text = await asyncio.to_thread(_workflow_text, workflow, journal, found.folder)
    chosen = replace(options, variables={**found.variables, **options.variables})
    definition = parse_workflow(import_hyperflow(text, chosen))
    document = read_document(text, {"function": chosen.function, **chosen.variables})
    replay = Replay(found, document, definition)
    replay.play()
    file = await asyncio.to_thread(_write, to, replay)
    source = definition.metadata.get("source")
    notes = source.get("notes") if isinstance(source, Mapping) else None
    return Converted(
        file,
        replay.execution_id,
        len(replay.used),
        sorted(replay.unused),
        found.torn,
        [str(note) for note in notes] if isinstance(notes, list) else [],
    )


def is_of_hyperflow(path: Path) -> bool:
    """Whether a file begins as HyperFlow begins a journal. Raises OSError."""
    with path.open("rb") as file:
        return looks_like_hyperflow(file.readline(65_536))


def _read(path: Path) -> HyperflowJournal:
    try:
        with path.open("rb") as file:
            return read_hyperflow_journal(file)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error


def _workflow_text(given: Path | None, journal: Path, folder: str) -> str:
    places = (
        [given] if given is not None else [journal.parent / "workflow.json", Path(folder) / "workflow.json"]
    )
    for place in places:
        try:
            return place.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise StoreError(f"{place}: {error}") from error
    raise StoreError(f"no workflow.json: {' and '.join(map(str, places))} are not there; say --workflow FILE")


def _write(folder: Path, replay: Replay) -> Path:
    state = replay.state
    files = open_folder(folder)
    try:
        heading = Heading.of(replay.execution_id, replay.history[0], str(uuid.uuid4()))
        bodies = {state.graph.hash: canonical_json(state.graph.definition).decode()}
        written = files.open_file(heading, bodies)
        files.append(written, [Part(replay.execution_id, replay.history, bodies)])
        files.sync(written.name)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error
    finally:
        files.close()
    return folder / written.name


# --- the replay -------------------------------------------------------------------------------------


@dataclass
class _History(Sandbox):
    """Keeps what is decided, as a journal has it."""

    recorded: list[Recorded] = field(default_factory=list)

    def decided(self, state: ExecutionState, events: list[Event]) -> None:  # noqa: ARG002 - there is only one
        first = len(self.recorded) + 1
        self.recorded += [Recorded(first + i, self.now_ms, event) for i, event in enumerate(events)]


class Replay:
    """The workflow played with recorded results.

    Attributes:
        used: the records that stand for a task, and `unused` the others.
    """

    def __init__(self, journal: HyperflowJournal, document: Document, definition: WorkflowDefinition) -> None:
        """Play nothing yet."""
        self.execution_id = str(uuid.uuid4())
        self.used: list[Fired] = []
        self.unused: list[Unused] = []
        self._journal, self._document = journal, document
        self._definition = definition
        self._world = _History(now_ms=journal.at_ms)
        names = {task.name for task in definition.tasks if task.type == "SIMPLE"}
        self._world.catalog.functions.update(dict.fromkeys(names, "thread"))
        self._processes = {process.position: process for process in document.processes}
        self._refs = dict(_references(definition))

    @property
    def state(self) -> ExecutionState:
        """The execution."""
        return self._world.states[self.execution_id]

    @property
    def history(self) -> list[Recorded]:
        """Its events."""
        return self._world.recorded

    def play(self) -> None:
        """Start it, and end every task that a record proves done.

        Raises:
            Conflict: the workflow is not that of the run.
        """
        graph = self._world.catalog.inline(self._definition)
        start = StartExecution(graph.hash, self._input(), created_by="HyperFlow journal")
        self._world.settle(Message(self.execution_id, start))
        waiting = list(self._usable())
        while waiting:
            left = [fired for fired in waiting if not self._ends_task(fired)]
            if len(left) == len(waiting):
                break
            waiting = left
        for fired in waiting:
            self._leave(fired, "what it needs was not recorded as done")

    def _leave(self, fired: Fired, reason: str) -> None:
        process = self._processes[fired.position]
        self.unused.append(Unused(fired.line, f"firing {fired.number} of {process.label}", reason))

    def _input(self) -> JsonObject:
        """The input of the execution; recorded data of other signals has to be what the workflow says."""
        wanted = set(self._definition.input_parameters)
        made = {port.signal for process in self._document.processes for port in process.outs}
        initial = {
            s.name: list(s.data) for n, s in enumerate(self._document.signals) if n not in made and s.data
        }
        names = {signal.name for signal in self._document.signals}
        recorded: dict[str, list[object]] = {}
        for line, value in self._journal.given:
            if value.name not in names:
                raise Conflict(
                    f"line {line}: the workflow has no signal {value.name!r}: it is not that of the run"
                )
            if value.name in wanted or value.name in initial:
                recorded.setdefault(value.name, []).append(value.data)
            else:
                reason = "processes of the workflow make it, and make it again"
                self.unused.append(Unused(line, f"input {value.name}", reason))
        for name, data in initial.items():
            if name in recorded and recorded[name] != data:
                raise Conflict(f"signal {name!r} had other data: the workflow is not that of the run")
        for name in wanted & recorded.keys():
            if len(recorded[name]) > 1:
                raise Conflict(f"signal {name!r} came {len(recorded[name])} times; an input is one value")
        return {name: recorded[name][0] for name in sorted(wanted & recorded.keys())}

    # --- firings --------------------------------------------------------------------------------------

    def _usable(self) -> Iterator[Fired]:
        """The firings whose record says what one firing gave."""
        times = Counter((fired.position, fired.number) for fired in self._journal.fired)
        doubled = {position for (position, _), count in times.items() if count > 1}
        for fired in self._journal.fired:
            self._check_names(fired)
            reason = self._fault(fired, self._processes[fired.position], doubled)
            if reason:
                self._leave(fired, reason)
            else:
                yield fired

    def _check_names(self, fired: Fired) -> None:
        """Return if the process at this position takes and gives signals of these names."""
        process = self._processes.get(fired.position)
        if process is None:
            raise Conflict(f"line {fired.line}: the workflow has no process number {fired.position}")
        for what, values, ports in (
            ("takes", fired.ins, process.ins),
            ("gives", fired.outs or (), process.outs),
        ):
            strange = {value.name for value in values} - set(self._names(ports))
            if strange:
                raise Conflict(
                    f"line {fired.line}: {process.label} {what} no signal {min(strange)!r}: "
                    "the workflow is not that of the run"
                )

    def _fault(self, fired: Fired, process: Process, doubled: set[int]) -> str:
        if fired.forced:
            return "it is marked to be computed again"
        if fired.outs is None and process.outs:
            return "no outputs: it failed, or gave nothing, and the record does not say which"
        if fired.position in doubled or (process.parlevel not in (None, 1) and fired.number > 1):
            return _PARALLEL
        if self._is_one_of_many(fired):
            return "how it belongs to the elements of a collection is not recorded"
        if (fired.position, fired.number) not in self._refs:
            return "the workflow has no such firing"
        if fired.outs is not None and _output(process, fired.outs, self._names(process.outs)) is None:
            return "it gave more or fewer signals than the workflow says"
        return ""

    def _is_one_of_many(self, fired: Fired) -> bool:
        process = self._processes[fired.position]
        counted = any(port.counted_by is not None for port in (*process.ins, *process.outs))
        return counted or (fired.position, 0) in self._refs

    def _names(self, ports: Sequence[Port]) -> list[str]:
        return [self._document.signals[port.signal].name for port in ports]

    def _ends_task(self, fired: Fired) -> bool:
        """End the task of a firing if it is due, or leave the record aside; False if it may be due later."""
        task = self.state.by_ref.get(self._refs[fired.position, fired.number])
        if task is None or task.is_ended:
            return False
        process = self._processes[fired.position]
        if not self._had_input(task, fired, process):
            self._leave(fired, "it was given something else than the task is: signals came in another order")
            return True
        given = _output(process, fired.outs or (), self._names(process.outs)) or {}
        output = given if task.node.type == "SIMPLE" else {}
        self._world.now_ms = max(self._world.now_ms, fired.at_ms)
        for report in (AttemptAdmitted(task.number), AttemptEnded(task.number, COMPLETED, output)):
            self._world.settle(Message(self.execution_id, report))
        self.used.append(fired)
        return True

    def _had_input(self, task: TaskState, fired: Fired, process: Process) -> bool:
        """Whether what a firing took is what the task is given; commands are given names of files only."""
        listed = task.input.get("ins")
        if task.node.type != "SIMPLE" or not isinstance(listed, list):
            return True
        taken = _by_name(fired.ins)
        for name, port, value in zip(self._names(process.ins), process.ins, listed, strict=True):
            wanted = value if port.count > 1 else [value]
            if taken.get(name, []) != wanted:
                return False
        return True


def _references(definition: WorkflowDefinition) -> Iterator[tuple[tuple[int, int], str]]:
    """The task of each firing, by position and number; number 0 for one of a whole collection."""
    for task in definition.tasks:
        about = task.metadata
        position, number = about.get("position"), about.get("firing")
        if isinstance(position, int) and isinstance(number, int):
            single = task.type in {"SIMPLE", "COMMAND"}
            yield (position, number if single else 0), task.task_reference_name


def _by_name(values: Sequence[Value]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for value in values:
        found.setdefault(value.name, []).append(value.data)
    return found


def _output(process: Process, outs: Sequence[Value], names: Sequence[str]) -> JsonObject | None:
    """What the task of a firing gives, or None where it is not as many signals as the workflow says."""
    given = _by_name(outs)
    found: JsonObject = {}
    for name, port in zip(names, process.outs, strict=True):
        values = given.get(name, [])
        if len(values) != port.count:
            return None
        found[name] = values if port.count > 1 else values[0]
    return found

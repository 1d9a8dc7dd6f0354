"""HyperFlow workflow.json files to one definition: a task for every firing, edges for its signals.

Takes text and gives parsed JSON; reads no file and runs nothing. `hyperflow_document` reads,
`hyperflow_firings` finds out what fires, and `docs/importing.md` has the table of what is taken.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncflow.convert.hyperflow_collections import ElementPort, ElementTask, Task, one_by_one, side_by_side
from asyncflow.convert.hyperflow_document import Document, Port, Process, read_document
from asyncflow.convert.hyperflow_firings import Firing, Token, Unrolled, unroll
from asyncflow.convert.reading import Faults, refuse
from asyncflow.convert.references import ReferenceNames, definition_name, expression, literal, path_to
from asyncflow.convert.tasks import CommandOptions, Program, check_times, command_task, extension, wait_task
from asyncflow.errors import InvalidInput

_EXECUTOR_KEYS = ("executable", "args", "stdout", "stderr", "env")
_FILE_EXISTS: dict[str, object] = {}  # what HyperFlow itself sends for "this file is there"


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperflowOptions(CommandOptions):
    """What to make of a workflow.json.

    Attributes:
        variables: values of the template's variables.
        function: value of the template variable `function`, if `variables` has none.
        execute: make real commands of processes with a `config.executor`.
        simulate: make every firing a timed wait; excludes `execute`.
        simulated_seconds: length of such a wait before scaling; the format records no runtimes.
        time_scale: factor on simulated waits and firing intervals.
        name: the definition's name, if not the document's own.
        version: the definition's version.
        most_firings: refuse a workflow that fires more often.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    function: str = "command"
    execute: bool = False
    simulate: bool = False
    simulated_seconds: float = 1.0
    time_scale: float = 1.0
    name: str | None = None
    version: int = 1
    most_firings: int = 10_000


def import_hyperflow(text: str, options: HyperflowOptions) -> dict[str, object]:
    """The definition of a workflow.json text, its tasks in an order in which they can fire.

    What was read and has no effect is listed under `metadata.source.notes`.

    Raises:
        DefinitionError: the text is not well formed, or uses what cannot be unrolled before it
            runs; every reason names the process.
        InvalidInput: the options contradict each other or are out of range.
    """
    check_times(time_scale=options.time_scale, simulated_seconds=options.simulated_seconds)
    if options.execute and options.simulate:
        raise InvalidInput("choose one of execute and simulate", field="simulate")
    document = read_document(text, {"function": options.function, **options.variables})
    unrolled = unroll(document, most=options.most_firings)
    writer = _Writer(document, unrolled, options)
    tasks = writer.tasks()
    externals = {
        token.signal: None for tokens in unrolled.emitted.values() for token in tokens if token.external
    }
    return {
        "name": definition_name(options.name or document.name or "hyperflow"),
        "version": options.version,
        "schemaVersion": 2,
        "tasks": tasks,
        "inputParameters": [document.signals[signal].name for signal in externals],
        "outputParameters": writer.output_parameters(),
        "timeoutPolicy": "ALERT_ONLY",
        "timeoutSeconds": 0,
        "metadata": {"source": {"format": "hyperflow", "notes": list(dict.fromkeys(writer.notes))}},
    }


def _words(args: str, path: str, faults: Faults) -> list[str]:
    try:
        return shlex.split(args)
    except ValueError as error:  # a quote is open
        faults.add(f"{path}.args", f"cannot be split as a shell would: {error}")
        return []


class _Writer:
    """Writes firings down as tasks, in their order, remembering where the results of each are."""

    def __init__(self, document: Document, unrolled: Unrolled, options: HyperflowOptions) -> None:
        self._document, self._unrolled, self._options = document, unrolled, options
        self.notes = [*document.notes, *unrolled.notes]
        self._names = ReferenceNames()
        self._ends: list[str] = []  # of each firing: the task whose end is its end
        self._results: list[str | None] = []  # of each firing: the path of its outputs, if it has any
        self._last_interval: dict[int, str] = {}
        self._bearers = Counter(process.name for process in document.processes)
        self._fired = Counter(firing.process.position for firing in unrolled.firings)

    def tasks(self) -> list[Task]:
        """All tasks of the definition."""
        written: list[Task] = []
        for firing in self._unrolled.firings:
            needs = [self._ends[source] for source in sorted(firing.sources())]
            if firing.number > 1 and firing.process.firing_interval_ms is not None and not firing.process.ins:
                written.append(self._interval(firing, needs))
                needs = [*needs, self._last_interval[firing.process.position]]
            written += self._each(firing, needs) if firing.each else [self._single(firing, needs)]
        return written

    def output_parameters(self) -> dict[str, object]:
        """The workflow's output signals by name; a list where one carried several values."""
        consumed = {port.signal for process in self._document.processes for port in process.ins}
        signals = self._document.outs or [
            signal for signal in sorted(self._unrolled.emitted) if signal not in consumed
        ]
        outputs: dict[str, object] = {}
        for signal in signals:
            tokens = self._unrolled.emitted.get(signal, [])
            values = [
                self._value(token) for token in tokens if token.source is None or self._has_result(token)
            ]
            if values:
                outputs[self._document.signals[signal].name] = values[0] if len(values) == 1 else values
        return outputs

    def _has_result(self, token: Token) -> bool:
        return token.source is not None and self._results[token.source] is not None

    def _reference(self, firing: Firing) -> str:
        process = firing.process
        parts = [process.name or "process"]
        if self._bearers[process.name] > 1:
            parts.append(str(process.position))  # names repeat, positions do not
        if self._fired[process.position] > 1:
            parts.append(str(firing.number))
        return self._names.claim("_".join(parts))

    def _interval(self, firing: Firing, needs: list[str]) -> Task:
        # The interval runs from the end of the last firing, or, if firings overlap, from its start.
        process = firing.process
        seconds = (process.firing_interval_ms or 0) / 1000 * self._options.time_scale
        name = f"{process.name or 'process'}_interval"
        task = wait_task(name, self._names.claim(f"{name}_{firing.number}"), seconds=seconds)
        last = self._last_interval.get(process.position)
        overlapping = process.parlevel not in (None, 1)
        extension(task)["dependsOn"] = ([last] if last else []) if overlapping else needs
        self._last_interval[process.position] = str(task["taskReferenceName"])
        return task

    def _single(self, firing: Firing, needs: list[str]) -> Task:
        process, reference = firing.process, self._reference(firing)
        executor = process.config.get("executor")
        result: str | None = None
        if self._options.simulate:
            self._refuse_counted(process)
            seconds = self._options.simulated_seconds * self._options.time_scale
            task = wait_task(process.name or process.function, reference, seconds=seconds)
        elif self._options.execute and isinstance(executor, Mapping):
            self._refuse_counted(process)
            task = command_task(reference, self._program(process, executor), self._options)
        else:
            result = f"{reference}.output"
            task = self._simple(firing, reference)
        self._ends.append(reference)
        self._results.append(result)
        own = extension(task)
        own["dependsOn"] = needs
        if process.recovers:
            own["executeWhenRecovering"] = True
        task["metadata"] = self._metadata(firing)
        return task

    def _metadata(self, firing: Firing) -> dict[str, object]:
        process = firing.process
        files = {"inputFiles": self._port_names(process.ins), "outputFiles": self._port_names(process.outs)}
        return {"process": process.name, "position": process.position, "firing": firing.number, **files}

    def _refuse_counted(self, process: Process) -> None:
        if any(port.counted_by is not None for port in (*process.ins, *process.outs)):
            word = "a timed wait" if self._options.simulate else "a command"
            raise refuse(process.path, f"{process.label}: {word} says nothing of the size of a collection")

    def _program(self, process: Process, executor: Mapping[str, object]) -> Program:
        faults, path = Faults(), f"{process.path}.config.executor"
        executable = faults.text_at(executor, "executable", path)
        if not executable:
            faults.add(f"{path}.executable", "is missing, so there is nothing to execute")
        args = executor.get("args")
        settings: dict[str, object] = {
            key: faults.text_at(executor, key, path) for key in ("stdout", "stderr") if executor.get(key)
        }
        if executor.get("env"):
            settings["env"] = faults.object_at(executor, "env", path)
        given = (
            _words(args, path, faults) if isinstance(args, str) else faults.texts_at(executor, "args", path)
        )
        faults.raise_any()
        self.notes += [f"{path}.{key} is not used" for key in sorted(executor.keys() - set(_EXECUTOR_KEYS))]
        return Program(
            executable=executable,
            args=given,
            inputs=self._port_names(process.ins),
            outputs=self._port_names(process.outs),
            settings=settings,
        )

    def _simple(self, firing: Firing, reference: str) -> Task:
        process = firing.process
        values: list[object] = []
        for port, tokens in zip(process.ins, firing.inputs, strict=True):
            given = [self._value(token) for token in tokens]
            values.append(given if port.count > 1 else given[0])
        by_name = dict(zip(self._port_names(process.ins), values, strict=True))
        return {
            "name": self._function(process),
            "taskReferenceName": reference,
            "type": "SIMPLE",
            "inputParameters": {**by_name, **self._fixed(process, resolved=True), "ins": values},
        }

    def _each(self, firing: Firing, needs: list[str]) -> list[Task]:
        process = firing.process
        if self._options.simulate or (self._options.execute and "executor" in process.config):
            raise refuse(
                process.path, f"{process.label}: fires for every element of a collection; use functions"
            )
        task = ElementTask(
            name=self._function(process),
            reference=self._reference(firing),
            ports=[
                self._element_port(port, tokens[0])
                for port, tokens in zip(process.ins, firing.inputs, strict=True)
            ],
            fixed=self._fixed(process, resolved=False),
            signals=self._port_names(process.outs),
            recovers=process.recovers,
        )
        if process.parlevel is None:
            note = "elements of a collection run side by side; parlevel 1 keeps HyperFlow's one at a time"
            self.notes.append(f"{process.label}: {note}")
        arrange = one_by_one if process.parlevel == 1 else side_by_side
        tasks, gather = arrange(task, self._names, needs=needs)
        for written in tasks:
            written["metadata"] = self._metadata(firing)
        self._ends.append(gather)
        self._results.append(f"{gather}.output.result")
        return tasks

    def _element_port(self, port: Port, token: Token) -> ElementPort:
        name = self._document.signals[port.signal].name
        path = self._path(token)
        if path is None:
            return ElementPort(name, value=_FILE_EXISTS if token.source is not None else token.value)
        return ElementPort(name, path=path, each=token.bundle is not None)

    def _function(self, process: Process) -> str:
        if not process.function:
            raise refuse(f"{process.path}.function", f"{process.label}: is missing, so nothing can run it")
        return process.function

    def _fixed(self, process: Process, *, resolved: bool) -> dict[str, object]:
        fixed: dict[str, object] = {"outs": self._port_names(process.outs)}
        if process.config:
            fixed["config"] = literal(process.config) if resolved else dict(process.config)
        return fixed

    def _port_names(self, ports: tuple[Port, ...]) -> list[str]:
        return [self._document.signals[port.signal].name for port in ports]

    def _path(self, token: Token) -> str | None:
        name = self._document.signals[token.signal].name
        if token.external:
            return path_to("workflow.input", name)
        root = None if token.source is None else self._results[token.source]
        if root is None:
            return None
        return path_to(root, name) if token.item is None else path_to(root, name, token.item)

    def _value(self, token: Token) -> object:
        path = self._path(token)
        if path is not None:
            return expression(path)
        return dict(_FILE_EXISTS) if token.source is not None else literal(token.value)

"""Reads a HyperFlow workflow.json: fills its template, resolves its references, refuses what is dead.

The result is a small record of processes and signals by position; what fires when is found in
`hyperflow_firings`. Facts about the format: `docs/importing.md` has the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from asyncflow.convert.reading import Faults, refuse
from asyncflow.model.json_values import find_fault
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.shape import path_of

_TAG = re.compile(r"\{\{\{(?P<raw>[^{}]*+)\}\}\}|\{\{(?P<plain>[^{}]*+)\}\}")
_VARIABLE = re.compile(r"[A-Za-z_][\w.-]*\Z")
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_UNSUPPORTED_TYPES = {
    "choice": "which outputs it emits is decided by its function while it runs; use a SWITCH",
    "join": "how many of its branches take part is decided while it runs; use FORK_JOIN and JOIN",
    "foreach": "HyperFlow accepts it and never fires it; use a collection with a count signal",
    "splitter": "HyperFlow accepts it and never fires it; use a collection with a count signal",
}
_KNOWN_KEYS = {
    *("name", "type", "function", "config", "ins", "outs", "parlevel", "ordering", "firingLimit"),
    *("firingInterval", "sticky", "executeWhenRecovering"),
}
_KNOWN_TOP = {"name", "processes", "tasks", "signals", "data", "ins", "outs"}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a process: a signal, and how many of it a firing takes or gives.

    `counted_by` is the position of the control signal that says how many, where it is not fixed.
    """

    signal: int
    count: int = 1
    counted_by: int | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal by its name, with the instances that are there from the start."""

    name: str
    data: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process. `parlevel` 0 is no limit; what is absent in the document is None, intervals are in ms."""

    path: str
    position: int
    name: str
    function: str
    config: Mapping[str, object]
    ins: tuple[Port, ...]
    outs: tuple[Port, ...]
    parlevel: int | None
    firing_limit: int | None
    firing_interval_ms: float | None
    sticky: frozenset[int]
    recovers: bool

    @property
    def label(self) -> str:
        """How messages call it: name and position, as names repeat."""
        return f"{self.name or 'process'} (number {self.position})"


@dataclass(frozen=True, slots=True)
class Document:
    """A whole workflow.json; `notes` say what was read and has no effect."""

    name: str
    processes: tuple[Process, ...]
    signals: tuple[Signal, ...]
    ins: frozenset[int]
    outs: tuple[int, ...]
    notes: list[str]


def fill_template(text: str, variables: Mapping[str, str]) -> str:
    """The text with every `{{name}}` and `{{{name}}}` replaced by the variable, as it is.

    Raises:
        DefinitionError: a variable is missing, or the template uses more of Mustache.
    """
    faults = Faults()

    def value_of(tag: re.Match[str]) -> str:
        name = (tag["raw"] if tag["raw"] is not None else tag["plain"]).strip()
        if not _VARIABLE.match(name):
            faults.add(tag[0], "only plain variables are filled in: no sections, partials or comments")
        elif name not in variables:
            faults.add(tag[0], f"the template variable {name!r} has no value")
        return variables.get(name, "")

    filled = _TAG.sub(value_of, text)
    faults.raise_any()
    return filled


def read_document(text: str, variables: Mapping[str, str]) -> Document:
    """The document of a workflow.json text.

    Raises:
        DefinitionError: names every fault found: template, JSON, references, unsupported parts.
    """
    try:
        parsed: object = json.loads(fill_template(text, variables))
    except json.JSONDecodeError as error:
        raise refuse(f"line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # an integer of more than 4,300 digits; a nest
        raise refuse("", f"not JSON that can be read: {error}") from error
    fault = find_fault(parsed, depth=DEFAULT_LIMITS.definition_depth)
    if fault is not None:
        raise refuse(path_of(fault.parts), fault.message)
    if not isinstance(parsed, Mapping):
        raise refuse("", "a workflow.json is a JSON object")
    return _Reader(parsed).document()


class _Reader:
    """One pass over a parsed document."""

    def __init__(self, parsed: Mapping[str, object]) -> None:
        self._parsed = parsed
        self._faults = Faults()
        self._notes: list[str] = []
        self._signals: list[Signal] = []
        self._controls: dict[int, str] = {}
        self._positions: dict[str, int] = {}

    def document(self) -> Document:
        """All of it, or every fault."""
        parsed, faults = self._parsed, self._faults
        for key in sorted(parsed.keys() - _KNOWN_TOP):
            self._notes.append(f"$.{key} is not used")
        self._read_signals("signals" if "signals" in parsed else "data")
        key = "processes" if "processes" in parsed else "tasks"
        read = [self._process(path, entry) for path, entry in faults.objects_at(parsed, key, "$")]
        processes = tuple(process for process in read if process is not None)
        if not processes:
            faults.add(f"$.{key}", "holds no process that can fire")
        ins = frozenset(port.signal for port in self._ports(parsed, "ins", "$"))
        outs = tuple(port.signal for port in self._ports(parsed, "outs", "$"))
        name = faults.text_at(parsed, "name", "$")
        faults.raise_any()
        return Document(name, processes, tuple(self._signals), ins, outs, self._notes)

    def _read_signals(self, key: str) -> None:
        for index, (path, entry) in enumerate(self._faults.objects_at(self._parsed, key, "$")):
            name = self._faults.text_at(entry, "name", path)
            if not name:
                self._faults.add(f"{path}.name", "is missing")
            if name in self._positions:
                self._notes.append(f"{path}: the name {name!r} repeats; by name it is the first one")
            self._positions.setdefault(name, index)
            data = tuple(self._faults.list_at(entry, "data", path))
            self._signals.append(Signal(name, data))
            self._check_signal(path, entry, index)

    def _check_signal(self, path: str, entry: Mapping[str, object], index: int) -> None:
        control = entry.get("control")
        if control == "count":
            self._controls[index] = "count"
        elif control:
            self._faults.add(f"{path}.control", f"the control signal {control!r} is not supported")
        if entry.get("remoteSinks"):
            self._faults.add(f"{path}.remoteSinks", "delivery to other servers is not supported")
        if entry.get("schema"):
            self._notes.append(f"{path}.schema is not checked")

    def _process(self, path: str, entry: Mapping[str, object]) -> Process | None:
        faults = self._faults
        self._check_kind(path, entry)
        position = int(path[path.rindex("[") + 1 : -1]) + 1
        ins, outs = self._ports(entry, "ins", path), self._ports(entry, "outs", path)
        name, function = faults.text_at(entry, "name", path), faults.text_at(entry, "function", path)
        config = faults.object_at(entry, "config", path)
        if not ins and not outs and not function:
            self._notes.append(f"{path} ({name}) has no inputs, outputs or function: left out")
            return None
        interval = faults.number_at(entry, "firingInterval", path)
        if interval is not None and ins:
            self._notes.append(f"{path}.firingInterval has no effect on a process with inputs")
        limit = self._whole(entry, "firingLimit", path) or None  # 0 is no limit, as in HyperFlow
        if not ins and limit is None:
            faults.add(path, f"{name!r} has no inputs and no firingLimit: it would fire for ever")
        if len({port.signal for port in ins}) < len(ins):
            faults.add(f"{path}.ins", "a signal is listed twice")
        return Process(
            path=path,
            position=position,
            name=name,
            function=function,
            config=config,
            ins=ins,
            outs=outs,
            parlevel=self._whole(entry, "parlevel", path),
            firing_limit=limit,
            firing_interval_ms=interval,
            sticky=frozenset(port.signal for port in self._ports(entry, "sticky", path)),
            recovers=self._recovers(path, entry),
        )

    def _check_kind(self, path: str, entry: Mapping[str, object]) -> None:
        kind = entry.get("type") or "dataflow"
        if kind in _UNSUPPORTED_TYPES:
            self._faults.add(f"{path}.type", f"{kind!r} cannot be imported: {_UNSUPPORTED_TYPES[str(kind)]}")
        elif kind != "dataflow":
            self._faults.add(f"{path}.type", f"{kind!r} is not a process type")
        for key in sorted(entry.keys() - _KNOWN_KEYS):
            self._notes.append(f"{path}.{key} is not used")

    def _recovers(self, path: str, entry: Mapping[str, object]) -> bool:
        # HyperFlow keeps the value as text, so false and "false" switch it on, too.
        value = entry.get("executeWhenRecovering")
        if value in (False, "false"):
            self._notes.append(f"{path}.executeWhenRecovering: {value!r} means on in HyperFlow, and here")
        return value is not None and value != ""

    def _whole(self, entry: Mapping[str, object], key: str, path: str) -> int | None:
        value = entry.get(key)
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            return int(value)
        number = self._faults.number_at(entry, key, path)
        if number is not None and number != int(number):
            self._faults.add(f"{path}.{key}", "must be a whole number")
        return None if number is None else int(number)

    def _ports(self, holder: Mapping[str, object], key: str, path: str) -> tuple[Port, ...]:
        ports = []
        for index, value in enumerate(self._faults.list_at(holder, key, path)):
            port = self._port(value, f"{path}.{key}[{index}]")
            if port is not None:
                ports.append(port)
        return tuple(ports)

    def _port(self, value: object, path: str) -> Port | None:
        if isinstance(value, str) and value not in self._positions and ":" in value:
            name, _, needed = value.rpartition(":")
            signal = self._signal(name, path)
            return None if signal is None else self._counted(signal, needed, path)
        signal = self._signal(value, path)
        if signal is not None and signal in self._controls:
            self._faults.add(path, f"the control signal {value!r} can only be a count, as in 'data:{value}'")
        return None if signal is None else Port(signal)

    def _counted(self, signal: int, needed: str, path: str) -> Port | None:
        if _DIGITS.fullmatch(needed) and int(needed) > 0:
            return Port(signal, count=int(needed))
        control = self._signal(needed, path)
        if control is not None and control not in self._controls:
            self._faults.add(path, f"{needed!r} is not a control signal of the kind 'count'")
        return None if control is None else Port(signal, counted_by=control)

    def _signal(self, value: object, path: str) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self._signals):
            return value
        if isinstance(value, str) and value in self._positions:
            return self._positions[value]
        self._faults.add(path, f"{value!r} is not a signal")
        return None

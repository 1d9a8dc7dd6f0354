"""Finds out which processes of a HyperFlow workflow fire how often, and on which signals.

The workflow is played through without running anything: every firing takes what its ports need
and gives each output once. What depends on values stays unknown: a collection of unknown size
is one bundle, a firing for each of its elements one `each` firing. `hyperflow` writes the result
down as tasks; what cannot be played is refused here, by name.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import islice

from asyncflow.convert.hyperflow_document import Document, Port, Process
from asyncflow.convert.reading import refuse

_MOST_ITEMS = 1_000_000
Bundle = tuple[int, int]  # the firing that made a collection, the control signal that counts it


@dataclass(frozen=True, slots=True)
class Token:
    """One signal instance, or a whole collection of them if it has a bundle.

    It came from a firing, by its number in the list of all firings, and is `item` of what that
    gave for the signal; or it was there from the start, with this value; or it is `external`,
    an input of the execution.
    """

    signal: int
    source: int | None = None
    item: int | None = None
    value: object = None
    bundle: Bundle | None = None
    external: bool = False


@dataclass(slots=True)
class Firing:
    """One firing, or with `each` one for every element of the collections among its inputs.

    `number` counts the firings of its process from 1; `after` are earlier firings that must have
    ended although nothing of theirs is used here.
    """

    process: Process
    number: int
    inputs: list[list[Token]]
    each: bool
    after: set[int]

    def sources(self) -> set[int]:
        """The earlier firings that must have ended before this one."""
        used = {token.source for tokens in self.inputs for token in tokens if token.source is not None}
        return used | self.after


@dataclass(slots=True)
class Unrolled:
    """All firings, each after those it needs; and every token that each signal ever carried."""

    firings: list[Firing] = field(default_factory=list)
    emitted: dict[int, list[Token]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def unroll(document: Document, *, most: int) -> Unrolled:
    """Play the workflow through until nothing can fire any more.

    Raises:
        DefinitionError: it does not come to rest within `most` firings, a process never fires,
            or a port is used in a way whose outcome depends on values.
    """
    return _Player(document, most).play()


class _Player:
    """The queues of all ports, and what has fired so far."""

    def __init__(self, document: Document, most: int) -> None:
        self._document = document
        self._most = most
        self._result = Unrolled()
        self._items = 0  # of outputs that a firing gives several of
        self._queues: dict[tuple[int, int], deque[Token]] = {}
        self._sinks: dict[int, list[int]] = {}
        self._own: list[list[int]] = [[] for _ in document.processes]  # firings of each process
        self._ready: deque[int] = deque(range(len(document.processes)))
        for index, process in enumerate(document.processes):
            for port in process.ins:
                self._queues[index, port.signal] = deque()
                self._sinks.setdefault(port.signal, []).append(index)

    def play(self) -> Unrolled:
        """Everything that fires, in an order in which it could."""
        self._start()
        while self._ready:
            index = self._ready.popleft()
            if self._may_fire(index):
                self._fire(index)
                self._ready.append(index)
        self._check_rest()
        return self._result

    def _start(self) -> None:
        produced = Counter(port.signal for process in self._document.processes for port in process.outs)
        for number, signal in enumerate(self._document.signals):
            for value in signal.data:
                self._emit(Token(number, value=value))
            if number in self._document.ins and not signal.data and number not in produced:
                self._emit(Token(number, external=True))
            if produced[number] > 1 and number in self._sinks:
                note = f"{signal.name!r} has {produced[number]} producers: the order of its use is fixed here"
                self._result.notes.append(note)

    def _emit(self, token: Token) -> None:
        self._result.emitted.setdefault(token.signal, []).append(token)
        for sink in self._sinks.get(token.signal, ()):
            queue = self._queues[sink, token.signal]
            process = self._document.processes[sink]
            if token.signal in process.sticky and (queue or token.bundle):
                name = self._document.signals[token.signal].name
                raise refuse(
                    process.path, f"{process.label}: the sticky port {name!r} gets more than one value"
                )
            queue.append(token)
            self._ready.append(sink)

    def _may_fire(self, index: int) -> bool:
        process = self._document.processes[index]
        if process.firing_limit is not None and len(self._own[index]) >= process.firing_limit:
            return False
        if (
            process.ins
            and process.firing_limit is None
            and all(p.signal in process.sticky for p in process.ins)
        ):
            raise refuse(
                process.path, f"{process.label}: all its ports are sticky, so it would fire for ever"
            )
        return all(self._satisfied(index, port) for port in process.ins)

    def _satisfied(self, index: int, port: Port) -> bool:
        queue = self._queues[index, port.signal]
        if not queue:
            return False
        process, name = self._document.processes[index], self._document.signals[port.signal].name
        if port.counted_by is not None:
            bundle = queue[0].bundle
            if bundle is None or bundle[1] != port.counted_by:
                count = self._document.signals[port.counted_by].name
                raise refuse(
                    process.path, f"{process.label}: {name!r} is not a collection counted by {count!r}"
                )
            return True
        if len(queue) < port.count and queue[-1].bundle is None:
            return False  # asked again for each that arrives: not a look at all that did
        taken = list(islice(queue, port.count))
        if port.count > 1 and any(token.bundle for token in taken):
            reason = f"takes {port.count} of {name!r} at a time, a collection of unknown size"
            raise refuse(process.path, f"{process.label}: {reason}")
        return len(taken) == port.count

    def _fire(self, index: int) -> None:
        process, firings = self._document.processes[index], self._result.firings
        if len(firings) >= self._most:
            raise refuse("", f"more than {self._most} firings: {self._busiest()}")
        inputs = [self._take(index, port) for port in process.ins]
        bundles = {
            token.bundle
            for port, tokens in zip(process.ins, inputs, strict=True)
            for token in tokens
            if token.bundle is not None and port.counted_by is None
        }
        if bundles:
            self._check_each(process, inputs, bundles)
        own = self._own[index]
        together = 1 if process.parlevel is None else process.parlevel
        waits = {own[-together]} if 0 < together <= len(own) else set[int]()
        own.append(len(firings))
        firings.append(Firing(process, len(own), inputs, bool(bundles), waits))
        self._emit_outputs(process, len(firings) - 1, next(iter(bundles), None))

    def _take(self, index: int, port: Port) -> list[Token]:
        queue = self._queues[index, port.signal]
        if port.signal in self._document.processes[index].sticky:
            return [queue[0]]
        return [queue.popleft() for _ in range(port.count)]

    def _check_each(self, process: Process, inputs: list[list[Token]], bundles: set[Bundle]) -> None:
        mixed = any(
            token.bundle is None
            for port, tokens in zip(process.ins, inputs, strict=True)
            for token in tokens
            if port.signal not in process.sticky
        )
        counted = any(port.counted_by is not None for port in process.ins)
        reasons = {
            "mixes collections of different sizes": len(bundles) > 1,
            "pairs a collection of unknown size with other signals": mixed or counted,
            "makes a collection of each element of a collection": any(
                port.counted_by is not None or port.count > 1 for port in process.outs
            ),
            "has a firingLimit on a collection of unknown size": process.firing_limit is not None,
            "has a parlevel above 1 on a collection of unknown size": (process.parlevel or 0) > 1,
        }
        for reason, applies in reasons.items():
            if applies:
                raise refuse(process.path, f"{process.label}: {reason}")

    def _emit_outputs(self, process: Process, source: int, bundle: Bundle | None) -> None:
        for port in process.outs:
            if bundle is not None:
                self._emit(Token(port.signal, source, bundle=bundle))
            elif port.counted_by is not None:
                self._emit(Token(port.signal, source, bundle=(source, port.counted_by)))
            elif port.count == 1:
                self._emit(Token(port.signal, source))
            else:
                self._items += port.count
                if self._items > _MOST_ITEMS:
                    reason = f"gives {port.count} of a signal at a time: more than {_MOST_ITEMS} in all"
                    raise refuse(process.path, f"{process.label}: {reason}")
                for item in range(port.count):
                    self._emit(Token(port.signal, source, item=item))

    def _busiest(self) -> str:
        counts = Counter(firing.process.label for firing in self._result.firings)
        named = ", ".join(label for label, _ in counts.most_common(3))
        return f"{named} would not come to rest; give a process of the loop a firingLimit"

    def _check_rest(self) -> None:
        for index, process in enumerate(self._document.processes):
            names = [
                (self._document.signals[port.signal].name, port, len(self._queues[index, port.signal]))
                for port in process.ins
                if port.signal not in process.sticky
            ]
            if not self._own[index]:
                wants = ", ".join(f"{port.count} of {name!r}, got {got}" for name, port, got in names)
                raise refuse(
                    process.path, f"{process.label} never fires: it needs {wants or 'its sticky ports'}"
                )
            left = [f"{got} of {name!r}" for name, _, got in names if got]
            if left:
                self._result.notes.append(f"{process.label}: {' and '.join(left)} arrive and are not used")

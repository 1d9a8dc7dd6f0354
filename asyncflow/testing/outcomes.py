"""What tasks are to answer: outcomes by reference name, one per attempt, and a record of who asked.

Only a table; nothing here knows an engine or lets time pass. `testing/answering` plays the
outcomes to an engine, and the rules of look-up and consumption are in `Outcomes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self, cast

from asyncflow.errors import InvalidInput
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED,
    COMPLETED_WITH_ERRORS,
    FAILED,
    FAILED_TERMINALLY,
    IN_PROGRESS,
    TIMED_OUT,
)
from asyncflow.model.values import JsonObject
from asyncflow.runtime.attempt_results import failure_of
from asyncflow.runtime.binding import normalise_result

NEVER: Final = "NEVER"
NOT_TAKEN: Final = "NOT_TAKEN"
_REPORTED: Final = frozenset(
    {COMPLETED, COMPLETED_WITH_ERRORS, FAILED, FAILED_TERMINALLY, TIMED_OUT, CANCELED, IN_PROGRESS}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt goes; made by the class methods, durations are virtual seconds.

    Attributes:
        status: a task status, or NEVER, or NOT_TAKEN.
        after: how long the attempt works before it says so.
        queued: how long nobody takes the task before that.
        heartbeat: a sign of life every so many seconds while it works; 0 for none.
        again_after: of an attempt that is still in progress: when it is to be called again.
    """

    status: str = COMPLETED
    output: JsonObject = field(default_factory=dict)
    reason: str | None = None
    after: float = 0
    queued: float = 0
    heartbeat: float = 0
    again_after: float = 0

    @classmethod
    def complete(cls, output: object = None) -> Outcome:
        """The attempt succeeds; `output` is made an object as what a function returns is."""
        return cls(output=normalise_result(output) if output is not None else {})

    @classmethod
    def fail(cls, reason: str = "failed as scripted", output: JsonObject | None = None) -> Outcome:
        """The attempt fails; retries follow their policy."""
        return cls(FAILED, output or {}, reason)

    @classmethod
    def fail_terminally(cls, reason: str = "failed as scripted") -> Outcome:
        """The task fails for good: no retry follows."""
        return cls(FAILED_TERMINALLY, {}, reason)

    @classmethod
    def raises(cls, error: BaseException) -> Outcome:
        """The attempt ends as if its function had raised this."""
        status, reason, output = failure_of(error)
        return cls(status, output, reason)

    @classmethod
    def never(cls, *, heartbeat: float = 0) -> Outcome:
        """The attempt begins and says no more; with signs of life it meets no response timeout, either."""
        return cls(NEVER, heartbeat=heartbeat)

    @classmethod
    def not_taken(cls) -> Outcome:
        """No worker takes the task: its poll timeout decides."""
        return cls(NOT_TAKEN)

    @classmethod
    def in_progress(cls, output: JsonObject | None = None, *, again_after: float = 0) -> Outcome:
        """A worker says that it goes on; the next outcome of the list follows, after so many seconds."""
        return cls(IN_PROGRESS, output or {}, again_after=again_after)

    @classmethod
    def delayed(cls, seconds: float, outcome: Outcome | None = None, *, heartbeat: float = 0) -> Outcome:
        """Another outcome, success unless told otherwise, after working for so many seconds."""
        return replace(outcome or cls(), after=seconds, heartbeat=heartbeat)

    @classmethod
    def from_mock(cls, mock: Mapping[str, object]) -> Outcome:
        """One entry of Conductor's `taskRefToMockOutput`; its times are milliseconds.

        Raises:
            InvalidInput: a field has the wrong type, or the status is none that can be reported.
        """
        status, output = mock.get("status", COMPLETED), mock.get("output", {})
        if status not in _REPORTED:
            raise InvalidInput(f"one of {', '.join(sorted(_REPORTED))}, got {status!r}", field="status")
        if output is not None and not isinstance(output, dict):
            raise InvalidInput("an object is expected", field="output")
        after, queued = _seconds(mock, "executionTime"), _seconds(mock, "queueWaitTime")
        return cls(str(status), dict(output or {}), after=after, queued=queued)


def _seconds(mock: Mapping[str, object], key: str) -> float:
    value = mock.get(key) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InvalidInput("milliseconds from 0 are expected", field=key)
    return value / 1000


Scripted = Outcome | Mapping[str, object] | Sequence[object] | Callable[[JsonObject], object] | None
"""An outcome, an output, a list of them with one per attempt, or a function of the input."""


@dataclass(frozen=True, slots=True)
class Call:
    """An attempt that was answered: which, with what input, as which try (from 1), at what virtual second."""

    ref: str
    task: str
    input: JsonObject
    attempt: int
    at: float
    execution_id: str
    outcome: Outcome


class Outcomes:
    """A table of outcomes, and what was asked of it.

    A task is looked up by its exact reference (`poll__2` in the second iteration), then its plain
    reference, then its task name; then it gets `default`, if there is one. A list gives one outcome
    per attempt, over all iterations and executions that share its key; its last one repeats unless
    `repeat_last` is off. The table remembers: take a new one for another run. A function gets the
    input, returns an outcome or an output, or raises.

    Attributes:
        calls: what was answered, by plain reference name, in order.
        history: the same in one list.
    """

    def __init__(
        self,
        table: Mapping[str, Scripted] | None = None,
        *,
        default: Scripted = None,
        repeat_last: bool = True,
    ) -> None:
        """Nothing was asked yet. A default of None answers nothing: give `{}` to complete everything.

        Raises:
            InvalidInput: an entry is of no kind that can be an outcome.
        """
        self._queues = {
            key: _Queue(value, key, repeat_last=repeat_last) for key, value in (table or {}).items()
        }
        self._default = None if default is None else _Queue(default, "default", repeat_last=repeat_last)
        self.calls: dict[str, list[Call]] = {}
        self.history: list[Call] = []

    @classmethod
    def from_mocks(cls, mocks: Mapping[str, Sequence[Mapping[str, object]]]) -> Self:
        """Conductor's `taskRefToMockOutput`: exact references, one entry per attempt, none repeated.

        Raises:
            InvalidInput: an entry is malformed; the message names its path.
        """
        table: dict[str, Scripted] = {}
        for ref, entries in mocks.items():
            found: list[object] = []
            for index, entry in enumerate(entries):
                try:
                    found.append(Outcome.from_mock(entry))
                except InvalidInput as error:
                    raise InvalidInput(str(error), field=f"taskRefToMockOutput.{ref}[{index}]") from None
            table[ref] = found
        return cls(table, repeat_last=False)

    def __contains__(self, key: str) -> bool:
        """Whether the table has an entry of its own for this key."""
        return key in self._queues

    def take(
        self, keys: Sequence[str], given: JsonObject, *, default: bool = True
    ) -> tuple[Outcome, bool] | None:
        """The next outcome of the first of these keys that has one left, and whether more follow it.

        None where neither they nor, if it may be used, the default have one.
        """
        queues = [self._queues[key] for key in keys if key in self._queues]
        if default and self._default is not None:
            queues.append(self._default)
        for queue in queues:
            found = queue.next(given)
            if found is not None:
                return found, queue.has_more
        return None

    def record(self, plain_ref: str, call: Call) -> None:
        """Keep what was answered."""
        self.calls.setdefault(plain_ref, []).append(call)
        self.history.append(call)

    def unused(self) -> list[str]:
        """Keys of entries that nothing was ever taken from: a misspelt reference, or a branch not taken."""
        return [key for key, queue in self._queues.items() if not queue.taken]


class _Queue:
    """The outcomes of one key, handed out one by one."""

    def __init__(self, value: Scripted, key: str, *, repeat_last: bool) -> None:
        self._items = list(_items(value, key))
        self._is_list = isinstance(value, Sequence)
        self._repeat = repeat_last or not self._is_list
        self.taken = 0

    @property
    def has_more(self) -> bool:
        return self.taken < len(self._items)

    def next(self, given: JsonObject) -> Outcome | None:
        if not self._items or (not self.has_more and not self._repeat):
            return None
        item = self._items[min(self.taken, len(self._items) - 1)]
        self.taken += 1
        return _outcome(item, given)


def _items(value: Scripted, key: str) -> Iterator[Scripted]:
    if isinstance(value, str | bytes) or not (
        value is None or callable(value) or isinstance(value, Outcome | Mapping | Sequence)
    ):
        raise InvalidInput(
            f"an Outcome, an output object, a list or a function is expected, got {value!r}", field=key
        )
    if not isinstance(value, Sequence):
        yield value
        return
    for index, item in enumerate(value):
        if isinstance(item, Sequence):
            raise InvalidInput(f"a list within a list: {item!r}", field=f"{key}[{index}]")
        yield from _items(cast("Scripted", item), f"{key}[{index}]")


def _outcome(item: Scripted, given: JsonObject) -> Outcome:
    if isinstance(item, Outcome):
        return item
    if not callable(item):
        return Outcome.complete(item)
    try:
        value = item(given)
        return value if isinstance(value, Outcome) else Outcome.complete(value)
    except Exception as error:  # noqa: BLE001 - the author's function: what it raised is the outcome
        return Outcome.raises(error)

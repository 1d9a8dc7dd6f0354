"""What a task function may know of its attempt, and how it tells the engine things.

It knows no engine: what a function tells goes to an `AttemptSink`, and only there. Read `binding` for how
inputs become parameters, `attempt_results` for what is made of the end, `attempts` for who makes contexts.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

from pydantic_core import to_json

from asyncflow.errors import InvalidInput
from asyncflow.ids import TaskId, attempt_token, task_id
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.attempt_records import (
    AttemptSink,
    Direction,
    IoRecorded,
    LogLine,
    MetricObserved,
    ProgressMade,
)
from asyncflow.runtime.attempt_results import REASON_CHARACTERS, clean_text, failure_of, freeze_output
from asyncflow.runtime.binding import normalise_result

__all__ = ["AttemptSink", "TaskContext", "failure_of", "freeze_output"]

MESSAGE_CHARACTERS: Final = 8_192
FIELDS_BYTES: Final = 8_192
LINES_PER_ATTEMPT: Final = 10_000

MOST_UNTOLD = 1_000
"""Records that a thread has told and the loop has not taken; then the thread waits for it."""
_PATIENCE_S = 5.0
_running_loop = asyncio._get_running_loop  # noqa: SLF001  # documented; None in a thread, at a tenth of an exception's cost
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_FACTS: Final = (
    "execution_id",
    "workflow_name",
    "ref",
    "number",
    "attempt",
    "iteration",
    "retry_count",
    "priority",
    "correlation_id",
    "epoch",
    "fence",
    "deadline_ms",
    "recovered",
    "previous_outputs",
    "_installation",
)


class TaskContext:
    """What a task function may know of its attempt, and how it tells the engine things.

    Every method may be called on the loop, in a thread and in a process; none blocks. Facts stay as
    they were when the attempt began.

    Attributes:
        execution_id: the execution this attempt belongs to.
        workflow_name: the name of its definition.
        ref: the task's reference name, unique in the execution.
        number: the task's record in the execution.
        attempt: which try this is, from 1.
        iteration: the loop's iteration, 0 outside loops.
        retry_count: retries used before this attempt.
        priority: the execution's priority.
        correlation_id: what the starter gave, or None.
        epoch: rises with every rerun, retry or restart of the execution.
        fence: the fence number of what the attempt holds; rises with every grant, 0 without one.
        deadline_ms: when the attempt times out, UTC milliseconds; None without a timeout.
        recovered: whether an earlier start of this attempt was broken off by the engine's end, or the task is
            performed again as another process took its execution up (`executeWhenRecovering`).
        previous_outputs: what the task had given before it is performed again, for this reason or by a smart
            rerun; None the first time.
    """

    __slots__ = (
        *_FACTS,
        "_beat_every_s",
        "_cancelled",
        "_clients",
        "_clock",
        "_lines",
        "_loop",
        "_next_beat",
        "_sink",
        "_token",
        "_untold",
    )

    execution_id: str
    workflow_name: str
    ref: str
    number: int
    attempt: int
    iteration: int
    retry_count: int
    priority: int
    correlation_id: str | None
    epoch: int
    fence: int
    deadline_ms: int | None
    recovered: bool
    previous_outputs: JsonObject | None
    _installation: str
    _clients: Callable[[str], object] | None

    def __init__(  # noqa: PLR0913  # made in one place, which knows all of them
        self,
        state: ExecutionState,
        task: TaskState,
        *,
        sink: AttemptSink,
        installation: str,
        deadline_ms: int | None = None,
        recovered: bool = False,
        previous_outputs: JsonObject | None = None,
        beat_every_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        clients: Callable[[str], object] | None = None,
    ) -> None:
        """Describe the attempt under way of a task record; on the loop only.

        Args:
            installation: the database's own id, for the token.
            beat_every_s: heartbeats closer together than this are not reported.
            clock: seconds, never backwards; only differences count.
            previous_outputs: the function's own from now on.
            clients: gives what `resource` gives.
        """
        self.execution_id, self.workflow_name = state.execution_id, state.name
        self.priority, self.correlation_id = state.priority, state.correlation_id
        self.ref, self.number = task.ref, task.number
        self.retry_count, self.attempt = task.retry_count, task.retry_count + 1
        self.iteration = task.iteration
        self.epoch, self.fence = task.epoch, task.fence
        self.deadline_ms = deadline_ms
        self.recovered, self.previous_outputs = recovered, previous_outputs
        self._installation = installation
        self._begin(sink, asyncio.get_running_loop(), beat_every_s, clock)
        self._clients = clients

    def _begin(
        self,
        sink: AttemptSink,
        loop: asyncio.AbstractEventLoop | None,
        beat_every_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._sink, self._loop = sink, loop
        self._beat_every_s, self._clock = beat_every_s, clock
        self._token = ""
        self._clients = None
        self._next_beat = -math.inf
        self._lines = 0
        self._untold = threading.Semaphore(MOST_UNTOLD)
        self._cancelled = False

    def facts(self) -> JsonObject:
        """What `from_facts` needs to make this context anew in another process; plain JSON."""
        return {**{name: getattr(self, name) for name in _FACTS}, "_beat_every_s": self._beat_every_s}

    @classmethod
    def from_facts(cls, facts: Mapping[str, object], sink: AttemptSink) -> Self:
        """The context in a process without the engine's loop: `sink` is called in the author's thread."""
        context = cls.__new__(cls)
        for name in _FACTS:
            setattr(context, name, facts[name])
        beat_every_s = facts["_beat_every_s"]
        assert isinstance(beat_every_s, int | float)
        context._begin(  # noqa: SLF001  # of the class itself
            sink, None, beat_every_s, time.monotonic
        )
        return context

    def __repr__(self) -> str:
        """The task and which try it is."""
        return f"<attempt {self.attempt} of {self.ref} in {self.execution_id}>"

    @property
    def task_id(self) -> TaskId:
        """The id of the task record, as the REST interface shows it."""
        return task_id(self.execution_id, self.number)

    @property
    def token(self) -> str:
        """32 characters of `[a-z2-7]`, the same for every start of this attempt, never for another one.

        Give it to outside services as their idempotency key.
        """
        if not self._token:
            self._token = attempt_token(
                self._installation, self.execution_id, self.ref, attempt=self.attempt, epoch=self.epoch
            )
        return self._token

    def resource(self, name: str) -> object:
        """What the manager of a resource has for tasks that name it: a client, a connection, a path.

        Where the resource has instances it is of the one that this attempt has reserved.

        Raises:
            InvalidInput: the task does not name the resource, or runs in another process.
            PluginError: its manager is not open.
        """
        if self._clients is None:
            raise InvalidInput("resources are at hand in the engine's own process only", field=name)
        return self._clients(name)

    def keep_previous(self) -> JsonObject:
        """The result that the task had before, to be returned so that it stays what it was.

        Raises:
            InvalidInput: it had none.
        """
        if self.previous_outputs is None:
            raise InvalidInput("the task had no result before", field=self.ref)
        return self.previous_outputs

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt was broken off. A thread cannot be stopped: a long function should ask."""
        return self._cancelled

    def check_cancelled(self) -> None:
        """Do nothing while the attempt is wanted.

        Raises:
            asyncio.CancelledError: it was broken off; no `except Exception` holds it up.
        """
        if self._cancelled:
            raise asyncio.CancelledError(f"{self.ref} is no longer wanted")

    def mark_cancelled(self) -> None:
        """Tell the function that its attempt was broken off. The engine's to call."""
        self._cancelled = True

    def heartbeat(self) -> None:
        """Say that the attempt is alive, which puts off its response timeout; cheap to call often."""
        now = self._clock()
        if now >= self._next_beat and not self._cancelled:
            self._next_beat = now + self._beat_every_s
            self._tell(self._sink.report_heartbeat)

    def log(self, message: str, /, **fields: object) -> None:
        """Keep a line in the task's log.

        Messages beyond 8,192 characters are cut, fields beyond 8 KiB of JSON are replaced by their size,
        and after 10,000 lines of an attempt a last one says that the rest is dropped.
        """
        self._lines += 1
        if self._lines > LINES_PER_ATTEMPT:
            return
        if self._lines == LINES_PER_ATTEMPT:
            message, fields = f"further lines are dropped: {LINES_PER_ATTEMPT} were logged", {}
        self._tell(
            self._sink.write_log, LogLine(clean_text(str(message), MESSAGE_CHARACTERS), _plain(fields))
        )

    def record_io(self, *, rows: int = 0, bytes: int = 0, direction: Direction = "out") -> None:  # noqa: A002  # its unit
        """Count data that the attempt read (`in`) or wrote (`out`), added to what was told before.

        Raises:
            InvalidInput: a count is negative or no integer, or the direction is unknown.
        """
        if direction not in ("in", "out"):
            raise InvalidInput('"in" or "out" is expected', field="direction")
        given: tuple[tuple[str, object], ...] = (("rows", rows), ("bytes", bytes))
        for field, count in given:
            if not isinstance(count, int) or count < 0:
                raise InvalidInput("a count from 0 is expected", field=field)
        self._tell(self._sink.record, IoRecorded(direction, rows, bytes))

    def progress(self, fraction: float, note: str = "") -> None:
        """Say how much is done, from 0 to 1, and what is being done; counts as a heartbeat.

        Raises:
            InvalidInput: the fraction is no number from 0 to 1.
        """
        if not 0 <= _number(fraction, "fraction") <= 1:
            raise InvalidInput("a number from 0 to 1 is expected", field="fraction")
        self.heartbeat()
        self._tell(self._sink.record, ProgressMade(float(fraction), clean_text(str(note), REASON_CHARACTERS)))

    def metric(self, name: str, value: float, labels: Mapping[str, object] | None = None) -> None:
        """Add a value to a metric of your own, shown with the engine's.

        Raises:
            InvalidInput: the name or a label is not of letters, digits and `_`, or the value not finite.
        """
        texts = {str(key): clean_text(str(label), REASON_CHARACTERS) for key, label in (labels or {}).items()}
        for word in (name, *texts):
            if not _METRIC.fullmatch(word):
                raise InvalidInput(f"{word!r}: letters, digits and _ are expected", field="metric")
        self._tell(self._sink.record, MetricObserved(name, _number(value, "value"), texts))

    def relay(self, kind: str, values: JsonObject) -> None:
        """Tell what this attempt told in another process, by the names of the sink's methods."""
        if kind == "report_heartbeat":
            self._tell(self._sink.report_heartbeat)  # the other side held it back already
        elif kind == "write_log":
            fields = values["fields"]
            assert isinstance(fields, dict)
            self.log(str(values["message"]), **fields)
        else:
            record = _RECORDS[kind](**values)  # type: ignore[arg-type]  # our own encoding, see process_child
            self._tell(self._sink.record, record)

    def _tell(self, method: Callable[..., None], *what: object) -> None:
        loop = self._loop
        if loop is None or _running_loop() is loop:
            method(self.execution_id, self.number, *what)
            return
        if not self._untold.acquire(timeout=_PATIENCE_S):
            return  # the loop does not come round: what is told now is lost, the function goes on
        try:
            loop.call_soon_threadsafe(self._tell_now, method, what)
        except RuntimeError:  # the loop has closed: the thread outlived the engine and nobody listens
            return

    def _tell_now(self, method: Callable[..., None], what: tuple[object, ...]) -> None:
        """On the loop: pass on what a thread told, and let it tell more."""
        self._untold.release()
        method(self.execution_id, self.number, *what)


_RECORDS: Final = {kind.__name__: kind for kind in (IoRecorded, ProgressMade, MetricObserved)}


def _plain(fields: dict[str, object]) -> JsonObject:
    """The fields as JSON values; what has no JSON form as its text."""
    if not fields:
        return {}
    try:
        plain = normalise_result(fields)
        size = len(to_json(plain))
    except ValueError:
        return {"dropped": "no JSON form"}
    except InvalidInput:
        return _plain({key: clean_text(repr(value), REASON_CHARACTERS) for key, value in fields.items()})
    return plain if size <= FIELDS_BYTES else {"dropped_bytes": size}


def _number(value: object, field: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput("a finite number is expected", field=field)
    return float(value)

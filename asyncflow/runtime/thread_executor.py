"""Threads for the author's blocking functions, replaced when one of them never comes back.

`concurrent.futures` waits for its threads at exit and counts a hung one for ever; anyio's threads cost
a limiter and two events per call. Nothing here knows what a task is; read `attempts` for who calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Thread, current_thread
from types import FrameType, TracebackType
from typing import NamedTuple, Self

from asyncflow.errors import ConfigurationError, ShuttingDown, TaskFailed
from asyncflow.runtime.clock import stopwatch_s
from asyncflow.runtime.log_context import Subject, subject

Call = Callable[[], object]

_THREAD_NAME = "asyncflow-task"
_JOIN_SECONDS = 1.0  # an idle thread ends within microseconds; this only bounds a stopped machine


class ThreadStatistics(NamedTuple):
    """How the threads stand.

    Attributes:
        size: threads that calls may use at once.
        busy: threads at work on calls that somebody waits for.
        waiting: calls not begun.
        abandoned: threads still held by calls that nobody waits for any more.
        abandoned_total: how often a call was given up since the start.
        stuck: calls wait because abandoned threads have used up all replacements.
    """

    size: int
    busy: int
    waiting: int
    abandoned: int
    abandoned_total: int
    stuck: bool


class HungCall(NamedTuple):
    """A call that was given up and still runs.

    Attributes:
        line: the line of code it is at; "" if unknown.
        subject: the attempt that it was of, if it was one's.
        since_ms: when it was given up, by the clock of the executor.
    """

    label: str
    line: str
    subject: Subject | None
    since_ms: int


class _Job:
    """One call on its way: what to run, in which context, and who waits for it."""

    __slots__ = ("_ticket", "answer", "call", "context", "error", "given_up_ms", "label", "thread", "value")

    def __init__(self, call: Call, label: str, answer: asyncio.Future[object]) -> None:
        self.call, self.label, self.answer = call, label, answer
        self.context: Context = copy_context()
        self.given_up_ms = 0
        self.thread: Thread | None = None
        self.value: object = None
        self.error: BaseException | None = None
        self._ticket = [True]

    def claim(self) -> bool:
        """Whether the asker is the first: either a thread may begin it, or the loop may drop it."""
        try:
            return self._ticket.pop()  # the one step in which the two sides meet, and it is atomic
        except IndexError:
            return False

    def perform(self) -> None:
        """Run the call in this thread; whatever comes of it is kept for the loop."""
        try:
            self.value = self.context.run(self.call)
        except Exception as error:  # noqa: BLE001  # the author's code: it must reach who waits
            self.error = error
        except BaseException as error:  # noqa: BLE001  # sys.exit() in a task ends the task, not the engine
            self.error = _contained(error)

    def settle(self) -> None:
        """Answer whoever waits."""
        if not self.answer.done():
            if isinstance(self.error, StopIteration):  # which no future can carry
                self.error = _contained(self.error)
            if self.error is None:
                self.answer.set_result(self.value)
            else:
                self.answer.set_exception(self.error)
        self.value = self.error = None  # a traceback holds this frame


def _serve(queue: SimpleQueue[_Job | None], report: Callable[[_Job | Thread], None]) -> None:
    """A thread's life: perform what comes, until None comes."""
    thread = current_thread()
    while (job := queue.get()) is not None:
        job.thread = thread
        if job.claim():
            job.perform()
            report(job)
        job = None  # an idle thread keeps nobody's values alive
    report(thread)


class ThreadExecutor:
    """Runs calls in at most `size` threads, first come first served; an async context manager.

    Threads start on demand and are daemons: one that hangs keeps neither the pool nor the process. All
    methods belong to the loop that entered it.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        replacements: int | None = None,
        now_ms: Callable[[], int] = lambda: round(stopwatch_s() * 1_000),
    ) -> None:
        """A pool without threads.

        Args:
            size: threads at most that serve at once; by default four per core, 32 at most.
            replacements: threads held by given-up calls that may be replaced, at once; by default `size`.
            now_ms: the clock that calls are given up by.

        Raises:
            ConfigurationError: `size` is below one, or `replacements` below nought.
        """
        self._now_ms = now_ms
        self._size = min(32, 4 * (os.cpu_count() or 1)) if size is None else size
        self._spare = self._size if replacements is None else replacements
        if self._size < 1 or self._spare < 0:
            raise ConfigurationError("threads: at least one, and no negative number of replacements")
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: set[Thread] = set()
        self._jobs: set[_Job] = set()
        self._abandoned: set[_Job] = set()
        self._abandoned_total = 0
        self._retiring = 0
        self._reports: deque[_Job | Thread] = deque()
        self._told = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Serve calls of the running loop."""
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End idle threads and answer everybody who waits with `ShuttingDown`.

        Threads at work are not waited for: each ends after its call, or with the process.
        """
        self._loop = None
        begun = {job for job in self._jobs if not job.claim()} | self._abandoned
        for job in self._jobs:
            if not job.answer.done():
                job.answer.set_exception(ShuttingDown("the engine is stopping"))
        self._jobs.clear()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads - {job.thread for job in begun}:
            thread.join(_JOIN_SECONDS)

    async def run(
        self, call: Call, *, label: str = "", on_cancel: Callable[[], None] | None = None
    ) -> object:
        """What the call returns or raises, run in a thread with the caller's context variables.

        A `BaseException` that would end the engine (`SystemExit`) comes as `TaskFailed`.

        Args:
            label: names the call in `hung_calls`.
            on_cancel: called on the loop when the call is given up, so that it can be told.

        Raises:
            ShuttingDown: the pool is closed, or was while the call waited or ran.
            TaskFailed: there is no thread, and the system starts none.

        Cancellation: a call not begun is dropped. One under way goes on in its thread, which is counted
            as abandoned, replaced while replacements last, and serves again should the call end.
        Cost: about 3 µs a call that does nothing, 32 at once (`run_in_executor` 11 to 29):
            a thread that is awake takes the next call without waiting for the loop.
        """
        if self._loop is None:
            raise ShuttingDown("the engine is not running")
        job = _Job(call, label, self._loop.create_future())
        self._jobs.add(job)
        self._grow()
        if not self._threads:
            self._jobs.discard(job)
            raise TaskFailed("the system starts no thread now")
        self._queue.put(job)
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._give_up(job)
            if on_cancel is not None:
                on_cancel()
            raise

    def statistics(self) -> ThreadStatistics:
        """How the threads stand now."""
        serving = self._serving()
        waiting = max(0, len(self._jobs) - serving)
        return ThreadStatistics(
            size=self._size,
            busy=len(self._jobs) - waiting,
            waiting=waiting,
            abandoned=len(self._abandoned),
            abandoned_total=self._abandoned_total,
            stuck=waiting > 0 and len(self._abandoned) > self._spare,
        )

    def hung_calls(self) -> tuple[HungCall, ...]:
        """The calls that were given up and still run, each with the line of code it is at."""
        if not self._abandoned:
            return ()
        frames = sys._current_frames()  # noqa: SLF001  # documented, in spite of its name
        found = []
        for job in self._abandoned:
            frame = None if job.thread is None else frames.get(job.thread.ident or 0)
            line = "" if frame is None else _place(frame)
            found.append(HungCall(job.label, line, job.context.get(subject), job.given_up_ms))
        return tuple(found)

    def _serving(self) -> int:
        return len(self._threads) - len(self._abandoned) - self._retiring

    def _grow(self) -> None:
        """Start threads while calls wait and the bounds allow."""
        while self._serving() < min(len(self._jobs), self._size):
            if len(self._threads) >= self._size + self._spare:
                return
            thread = Thread(target=_serve, args=(self._queue, self._report), name=_THREAD_NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more: those there are must do
                return
            self._threads.add(thread)

    def _give_up(self, job: _Job) -> None:
        if job not in self._jobs:  # it has ended meanwhile
            return
        self._jobs.discard(job)
        if job.claim():
            job.call = bool  # never called; it lets go of the arguments while the job lies in the queue
        else:
            job.given_up_ms = self._now_ms()
            self._abandoned.add(job)
            self._abandoned_total += 1
            self._grow()

    def _report(self, ended: _Job | Thread) -> None:
        """A job or a thread has ended. Runs in that thread; one wake of the loop serves many reports."""
        self._reports.append(ended)
        loop = self._loop
        if self._told or loop is None:  # `_collect` lowers it before it looks, so nothing is left lying
            return
        self._told = True
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile: nobody waits
            loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._told = False
        while self._reports:
            ended = self._reports.popleft()
            if isinstance(ended, Thread):
                self._threads.discard(ended)
                self._retiring -= 1
                continue
            self._jobs.discard(ended)
            if ended in self._abandoned:
                self._take_back(ended)
            ended.settle()

    def _take_back(self, job: _Job) -> None:
        """The thread of a given-up call is free: it serves again, or one leaves if it was replaced."""
        self._abandoned.discard(job)
        if self._serving() > self._size:
            self._retiring += 1
            self._queue.put(None)  # whichever thread takes it ends
        self._grow()


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} {code.co_name}"


def _contained(error: BaseException) -> TaskFailed:
    """The failure of a task whose function raised what must not travel through the loop."""
    text = str(error)
    failure = TaskFailed(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    failure.__cause__ = error
    return failure

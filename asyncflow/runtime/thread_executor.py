"""Threads for the author's blocking functions, replaced when one of them never comes back.

`concurrent.futures` waits for its threads at exit and counts a hung one for ever; anyio's threads cost
a limiter and two events per call. Nothing here knows what a task is; read `attempts` for who calls.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Thread
from types import FrameType, TracebackType
from typing import NamedTuple, Self

from asyncflow.errors import ConfigurationError, ShuttingDown, TaskFailed

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
    """A call that was given up and still runs: what it is, and the line it is at (empty if unknown)."""

    label: str
    line: str


class _Job:
    """One call on its way: what to run, in which context, and who waits for it."""

    __slots__ = ("answer", "call", "context", "error", "label", "value")

    def __init__(self, call: Call, label: str, answer: asyncio.Future[object]) -> None:
        self.call, self.label, self.answer = call, label, answer
        self.context: Context = copy_context()
        self.value: object = None
        self.error: BaseException | None = None

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
        if self.answer.done():
            return
        if isinstance(self.error, StopIteration):  # which no future can carry
            self.error = _contained(self.error)
        if self.error is None:
            self.answer.set_result(self.value)
        else:
            self.answer.set_exception(self.error)
        self.error = None  # its traceback holds this frame


class _Worker:
    """One daemon thread: it takes a job, performs it, tells the loop, waits."""

    __slots__ = ("inbox", "job", "thread")

    def __init__(self, done: Callable[[_Worker], None]) -> None:
        self.inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self.job: _Job | None = None
        self.thread = Thread(target=self._serve, args=(done,), name=_THREAD_NAME, daemon=True)
        self.thread.start()

    def give(self, job: _Job) -> None:
        """Let the thread perform the job next; the loop's side only."""
        self.job = job
        self.inbox.put(job)

    def _serve(self, done: Callable[[_Worker], None]) -> None:
        while (job := self.inbox.get()) is not None:
            job.perform()
            del job  # an idle thread keeps nobody's values alive
            try:
                done(self)
            except RuntimeError:  # the loop has closed meanwhile: nobody waits
                return


class ThreadExecutor:
    """Runs calls in at most `size` threads, first come first served; an async context manager.

    Threads start on demand and are daemons: one that hangs keeps neither the pool nor the process. All
    methods belong to the loop that entered it.
    """

    def __init__(self, size: int | None = None, *, replacements: int | None = None) -> None:
        """A pool without threads.

        Args:
            size: threads at most that serve at once; by default four per core, 32 at most.
            replacements: threads held by given-up calls that may be replaced, at once; by default `size`.

        Raises:
            ConfigurationError: `size` is below one, or `replacements` below nought.
        """
        self._size = min(32, 4 * (os.cpu_count() or 1)) if size is None else size
        self._spare = self._size if replacements is None else replacements
        if self._size < 1 or self._spare < 0:
            raise ConfigurationError("threads: at least one, and no negative number of replacements")
        self._waiting: deque[_Job] = deque()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._abandoned: set[_Worker] = set()
        self._abandoned_total = 0
        self._done: deque[_Worker] = deque()
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
        jobs = [*self._waiting, *(worker.job for worker in self._workers if worker.job is not None)]
        self._waiting.clear()
        for job in jobs:
            if not job.answer.done():
                job.answer.set_exception(ShuttingDown("the engine is stopping"))
        for worker in self._workers | self._abandoned:
            worker.inbox.put(None)
        for worker in self._idle:
            worker.thread.join(_JOIN_SECONDS)
        self._idle.clear()
        self._workers.clear()

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

        Cancellation: a call not begun is dropped. One under way goes on in its thread, which is counted
            as abandoned, replaced while replacements last, and serves again should the call end.
        """
        if self._loop is None:
            raise ShuttingDown("the engine is not running")
        job = _Job(call, label, self._loop.create_future())
        self._waiting.append(job)
        self._dispatch()
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._give_up(job)
            if on_cancel is not None:
                on_cancel()
            raise

    def statistics(self) -> ThreadStatistics:
        """How the threads stand now."""
        waiting = sum(not job.answer.done() for job in self._waiting)
        return ThreadStatistics(
            size=self._size,
            busy=len(self._workers) - len(self._idle),
            waiting=waiting,
            abandoned=len(self._abandoned),
            abandoned_total=self._abandoned_total,
            stuck=bool(waiting) and len(self._abandoned) > self._spare,
        )

    def hung_calls(self) -> tuple[HungCall, ...]:
        """The calls that were given up and still run, each with the line of code it is at."""
        frames = sys._current_frames()  # noqa: SLF001  # documented, in spite of its name
        found = []
        for worker in self._abandoned:
            frame = frames.get(worker.thread.ident or 0)
            line = "" if frame is None else _place(frame)
            found.append(HungCall("" if worker.job is None else worker.job.label, line))
        return tuple(found)

    def _dispatch(self) -> None:
        while self._waiting and (self._idle or self._may_grow()):
            job = self._waiting.popleft()
            if job.answer.done():
                continue
            if self._idle:
                worker = self._idle.pop()
            else:
                worker = _Worker(self._report_done)
                self._workers.add(worker)
            worker.give(job)

    def _may_grow(self) -> bool:
        workers = len(self._workers)
        return workers < self._size and workers + len(self._abandoned) < self._size + self._spare

    def _give_up(self, job: _Job) -> None:
        worker = next((worker for worker in self._workers if worker.job is job), None)
        if worker is None:  # it waited, or has ended meanwhile
            return
        self._workers.discard(worker)
        self._abandoned.add(worker)
        self._abandoned_total += 1
        self._dispatch()

    def _report_done(self, worker: _Worker) -> None:
        """A thread has performed its job. Runs in that thread; many are told of in one wake of the loop."""
        self._done.append(worker)
        if not self._told:  # `_collect` lowers it before it looks, so nothing is left lying
            self._told = True
            loop = self._loop
            if loop is not None:
                loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._told = False
        while self._done:
            worker = self._done.popleft()
            job, worker.job = worker.job, None
            if job is not None:
                job.settle()
            self._take_back(worker)
        self._dispatch()

    def _take_back(self, worker: _Worker) -> None:
        """The thread serves again, unless its replacement has taken the place."""
        self._abandoned.discard(worker)
        if self._loop is None:
            return
        if worker in self._workers or len(self._workers) < self._size:
            self._workers.add(worker)
            self._idle.append(worker)
        else:
            worker.inbox.put(None)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} {code.co_name}"


def _contained(error: BaseException) -> TaskFailed:
    """The failure of a task whose function raised what must not travel through the loop."""
    text = str(error)
    failure = TaskFailed(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    failure.__cause__ = error
    return failure

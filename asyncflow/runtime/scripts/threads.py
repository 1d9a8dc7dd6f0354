"""A small pool of threads for JavaScript that survives a thread which never comes back.

`concurrent.futures` cannot be used: it waits for its threads at exit and counts a hung one for
ever. Nothing here knows what the work is; read `evaluator` for who gives it, and `javascript`
for why its work ends by itself in all known cases.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from asyncflow.runtime.scripts.outcome import ERROR, WALL, Outcome

Work = Callable[[], Outcome]

_THREAD_NAME = "asyncflow-script"


class _Worker:
    """One daemon thread: it takes work, gives the outcome back to the loop, waits."""

    def __init__(self, done: Callable[[_Worker, Outcome], None]) -> None:
        self.job: asyncio.Future[Outcome] | None = None
        self.watchdog: asyncio.TimerHandle | None = None
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()
        Thread(target=self._serve, name=_THREAD_NAME, daemon=True).start()

    def give(self, work: Work | None) -> None:
        """Hand over work, or None to end the thread once its work is done."""
        self._inbox.put(work)

    def _serve(self) -> None:
        while (work := self._inbox.get()) is not None:
            try:
                outcome = work()
            except Exception as error:  # noqa: BLE001  # it must reach who waits, whatever it is
                outcome = Outcome(ERROR, f"{type(error).__name__}: {error}")
            try:
                self._loop.call_soon_threadsafe(self._done, self, outcome)
            except RuntimeError:  # the loop has closed meanwhile: nobody waits
                return


class ScriptThreads:
    """Runs work in at most `size` threads, first come first served.

    Attributes:
        abandoned: threads given up since the start, because their script did not end; each
            holds a core until the interpreter notices.
    """

    def __init__(self, size: int, *, patience_seconds: float) -> None:
        """A pool whose threads start on demand.

        Args:
            size: threads at most, those given up not counted.
            patience_seconds: real time after which a thread at work is given up and replaced;
                well above the script's own limit.
        """
        self.abandoned = 0
        self._size, self._patience = size, patience_seconds
        self._waiting: deque[tuple[Work, asyncio.Future[Outcome]]] = deque()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()

    @property
    def size(self) -> int:
        """Threads that belong to the pool now, at work or idle."""
        return len(self._workers)

    @property
    def busy(self) -> int:
        """Threads at work now."""
        return len(self._workers) - len(self._idle)

    async def run(self, work: Work) -> Outcome:
        """The outcome of the work, which must be bounded in time by itself.

        Cancellation: work not yet begun is dropped; work under way ends by its own limits, its
        outcome is dropped and its thread goes on serving.
        """
        job: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, job))
        self._dispatch()
        return await job

    def close(self) -> None:
        """Let every thread end after what it is doing; does not wait for any."""
        for worker in self._workers:
            worker.give(None)
            _settle(worker, Outcome(ERROR, "the engine is stopping"))
        for _work, job in self._waiting:
            job.cancel()
        self._workers.clear()
        self._idle.clear()
        self._waiting.clear()

    def _dispatch(self) -> None:
        while self._waiting and (self._idle or len(self._workers) < self._size):
            work, job = self._waiting.popleft()
            if job.done():
                continue
            worker = self._idle.pop() if self._idle else self._new_worker()
            worker.job = job
            worker.watchdog = asyncio.get_running_loop().call_later(self._patience, self._abandon, worker)
            worker.give(work)

    def _new_worker(self) -> _Worker:
        worker = _Worker(self._finished)
        self._workers.add(worker)
        return worker

    def _finished(self, worker: _Worker, outcome: Outcome) -> None:
        _settle(worker, outcome)
        if worker in self._workers:  # else it was given up, or the pool is closed
            self._idle.append(worker)
            self._dispatch()

    def _abandon(self, worker: _Worker) -> None:
        self.abandoned += 1
        self._workers.discard(worker)
        worker.give(None)
        _settle(worker, Outcome(WALL))
        self._dispatch()


def _settle(worker: _Worker, outcome: Outcome) -> None:
    """Answer the job of the worker, if somebody still waits for it."""
    if worker.watchdog is not None:
        worker.watchdog.cancel()
        worker.watchdog = None
    job, worker.job = worker.job, None
    if job is not None and not job.done():
        job.set_result(outcome)

"""Processes for the author's functions that compute, crash or must be killed: `executor="process"`.

Arguments and results cross as JSON and functions by their names: nothing is pickled, and nothing is forked
from the engine. Read `task_process` for one process, `function_location` for which functions can be named.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from pydantic_core import to_json

from asyncflow.errors import ConfigurationError, InvalidInput, ShuttingDown, TaskFailed
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.runtime.context import TaskContext
from asyncflow.runtime.function_location import location_of
from asyncflow.runtime.task_process import ProcessCall, TaskProcess


class ProcessStatistics(NamedTuple):
    """How the processes stand.

    Attributes:
        size: processes that may serve at once.
        live: processes there are, those coming up or ending not counted.
        busy: processes at work.
        waiting: calls not begun.
        replaced: processes that ended before the pool was closed, killed or crashed.
    """

    size: int
    live: int
    busy: int
    waiting: int
    replaced: int


class ProcessExecutor:
    """Runs functions in at most `size` processes, first come first served; an async context manager.

    Processes start on demand, stay for later calls, and die with the engine. All methods belong to the loop
    that entered it.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        output_limit: int = DEFAULT_LIMITS.payload_bytes,
        grace_seconds: float = 1.0,
    ) -> None:
        """A pool without processes.

        Args:
            size: processes at most; by default one per core.
            output_limit: bytes of JSON a result may take; more is refused where it arises.
            grace_seconds: between asking a process to end (SIGTERM) and killing it.

        Raises:
            ConfigurationError: `size` is below one.
        """
        self._size = (os.cpu_count() or 1) if size is None else size
        if self._size < 1:
            raise ConfigurationError("processes: at least one is needed")
        self._limit, self._grace = output_limit, grace_seconds
        self._waiting: deque[asyncio.Future[TaskProcess]] = deque()
        self._idle: list[TaskProcess] = []
        self._live: set[TaskProcess] = set()
        self._ending: set[TaskProcess] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._replaced = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Serve calls of the running loop."""
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process and wait until it is gone; who waits gets `ShuttingDown`.

        Cost: the grace at most, and the time the system takes to kill.
        """
        self._loop = None
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ShuttingDown("the engine is stopping"))
        self._waiting.clear()
        await asyncio.gather(*self._starting)
        processes = self._live | self._ending
        for process in processes:
            process.refuse(ShuttingDown("the engine is stopping"))
            process.terminate()
        try:
            await asyncio.gather(*(asyncio.shield(process.ended) for process in processes))
        except asyncio.CancelledError:
            for process in processes:
                process.kill()
            raise

    async def run(self, function: Callable[..., object], kwargs: Mapping[str, object]) -> object:
        """The task output for what the function returned, computed in another process.

        Args:
            kwargs: what `Binding.bind` gave. A task context among them is made anew over there; all else
                crosses as JSON and is converted again to what the function's annotations say.

        Raises:
            InvalidInput: the function cannot be found by name, or an argument has no JSON form.
            TaskFailed: it raised, its result is no JSON, or its process died; the cause has the traceback.
            TerminalTaskFailed: it raised that.
            LimitExceeded: its result is larger than the limit.
            ShuttingDown: the pool is closed, or was meanwhile.

        Cancellation: a call not begun is dropped. One under way has its process, and all that started,
            ended before the cancellation goes on: SIGTERM, then SIGKILL after the grace; a second
            cancellation kills at once and does not wait.
        """
        call = self._encode(function, kwargs)
        process = await self._take()
        answer = process.perform(call)
        try:
            output = await answer
        except asyncio.CancelledError:
            await self._break_off(process)
            raise
        finally:
            self._give_back(process)
        return output

    def statistics(self) -> ProcessStatistics:
        """How the processes stand now."""
        live = len(self._live)
        waiting = sum(not waiter.done() for waiter in self._waiting)
        return ProcessStatistics(self._size, live, live - len(self._idle), waiting, self._replaced)

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes there are now, in no order."""
        return tuple(process.process_id for process in self._live | self._ending)

    def _encode(self, function: Callable[..., object], kwargs: Mapping[str, object]) -> ProcessCall:
        location = location_of(function)
        context = next((value for value in kwargs.values() if isinstance(value, TaskContext)), None)
        inputs = {name: value for name, value in kwargs.items() if not isinstance(value, TaskContext)}
        facts = None if context is None else context.facts()
        call = {"function": location, "inputs": inputs, "context": facts, "limit": self._limit}
        try:
            body = to_json(call)
        except ValueError as error:
            raise InvalidInput(f"its arguments are not JSON: {error}", field=location.label) from error
        return ProcessCall(body, location.label, context, self._limit)

    async def _take(self) -> TaskProcess:
        if self._loop is None:
            raise ShuttingDown("the engine is not running")
        if self._idle and not self._waiting:
            return self._idle.pop()
        waiter: asyncio.Future[TaskProcess] = self._loop.create_future()
        self._waiting.append(waiter)
        self._dispatch()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise

    def _dispatch(self) -> None:
        """Give idle processes to those who wait longest, and start more if that is not enough."""
        while self._waiting and self._idle:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(self._idle.pop())
        wanted = min(len(self._waiting), self._size - len(self._live)) - len(self._starting)
        for _ in range(wanted if self._loop is not None else 0):
            assert self._loop is not None
            starting = self._loop.create_task(self._start())  # the pool's own: a caller may leave meanwhile
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)

    async def _start(self) -> None:
        process = TaskProcess(self._forget, grace_seconds=self._grace)
        try:
            await process.start()
        except (OSError, RuntimeError) as error:  # no process, or no thread that looks after one
            self._refuse_first(TaskFailed(f"no process for the task could be started: {error}"))
            return
        if process.ended.done():
            self._refuse_first(TaskFailed("the process for the task ended before its start"))
            return
        self._live.add(process)
        self._give_back(process)

    def _refuse_first(self, error: TaskFailed) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error)
                return

    def _give_back(self, process: TaskProcess) -> None:
        if process in self._live:
            self._idle.append(process)
        self._dispatch()

    async def _break_off(self, process: TaskProcess) -> None:
        self._live.discard(process)
        if process.ended.done():
            return
        self._replaced += 1
        self._ending.add(process)
        process.terminate()
        self._dispatch()  # those who wait need not see it end
        try:
            await asyncio.shield(process.ended)
        except asyncio.CancelledError:
            process.kill()
            raise

    def _forget(self, process: TaskProcess) -> None:
        """A process is gone, for whatever reason."""
        if process in self._live:
            self._replaced += self._loop is not None
            self._live.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        self._ending.discard(process)
        self._dispatch()

"""Calls that wait: an execution started and followed until it ends or stands at a task, and signals.

They wait for committed events, with a limit, and never poll; what they give back is shown by
`app/signal_response`. Where an execution stands is said by `app/blocking`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from asyncflow.app.blocking import Standing, blocking_task, waiting_task
from asyncflow.app.following import Following, TaskSeen
from asyncflow.app.idempotency import Idempotency
from asyncflow.app.payloads import check_texts
from asyncflow.app.service import Service
from asyncflow.app.showing import Showing, Shown
from asyncflow.app.signal_response import ReturnStrategy, SignalResponse
from asyncflow.app.simulation import Simulation
from asyncflow.app.start_requests import Strategy, WorkflowTestRequest
from asyncflow.app.starting import StartRequest
from asyncflow.errors import AsyncflowError, NotFound
from asyncflow.model.inputs import UpdateTask
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Moment, StreamEvents
from asyncflow.model.values import JsonObject
from asyncflow.runtime.reading import Watch
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Views

_SIMULATIONS = 2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits, and for what.

    Attributes:
        seconds: at most; the execution goes on then.
        refs: tasks whose end is waited for, by their exact reference names.
        strategy: what is given back.
        request_id: repeated in the answer.
    """

    seconds: float = 10
    refs: Collection[str] = ()
    strategy: ReturnStrategy = "TARGET_WORKFLOW"
    request_id: str = ""


class Executing:
    """Synchronous calls on one engine."""

    def __init__(self, service: Service, views: Views) -> None:
        """Start and follow the executions of this service."""
        self._service, self._engine = service, service.engine
        self._keys = Idempotency(service, views)
        self._showing = Showing(service.engine)
        self._waiting: set[_News] = set()
        self._is_hurried = False
        self._simulations = asyncio.Semaphore(_SIMULATIONS)

    def hurry(self) -> None:
        """Answer everybody who waits with what there is, from here on: the server stops."""
        self._is_hurried = True
        for news in self._waiting:
            news.end()

    async def start(self, request: StartRequest, strategy: Strategy | None = None) -> str:
        """Start an execution, heeding its idempotency key; see `Idempotency.start`."""
        return await self._keys.start(request, strategy)

    async def start_all(
        self, starts: Sequence[tuple[StartRequest, Strategy | None]]
    ) -> list[str | AsyncflowError]:
        """Start several executions in one turn; see `Idempotency.start_all`."""
        return await self._keys.start_all(starts)

    async def execute(
        self, request: StartRequest, patience: Patience, strategy: Strategy | None = None
    ) -> Shown | None:
        """Start an execution and wait until it has ended or stands at a task, but no longer than told.

        Returns:
            A SignalResponse; None where a task was asked for and there is none.

        Raises:
            StoreError, ShuttingDown: the engine stopped meanwhile; the execution is durable.
            And as `start`.
        """
        root = await self.start(request, strategy)
        return await self._response(root, patience, is_signal=False)

    async def simulate(self, request: WorkflowTestRequest) -> Shown:
        """Play a definition with mocked answers in virtual time; nothing is stored.

        Raises as `Simulation.run`.
        Cost: some 100 µs of the loop for each task, in slices; few are played at a time.
        """
        async with self._simulations:
            return await self._showing.detached(await Simulation(self._service, request).run())

    async def signal(
        self, execution_id: str, status: str = COMPLETED, output: JsonObject | None = None
    ) -> bool:
        """Update the first WAIT that is open in an execution, else in one below it; whether there was one.

        Raises:
            NotFound: no such execution.
            InvalidInput, LimitExceeded: the status or the output cannot be recorded.
        """
        check_texts(status=status)
        checked, size = await self._service.accepted_payload(output or {}, "output", merged=True)
        standing = waiting_task(await self._engine.state(execution_id), self._engine.turns.states.get)
        if standing is None:
            return False
        command = UpdateTask(standing.task.number, status, checked, merge=True, output_bytes=size)
        await self._engine.submit(standing.state.execution_id, command, size=size)
        return True

    async def signal_sync(
        self, execution_id: str, patience: Patience, status: str = COMPLETED, output: JsonObject | None = None
    ) -> Shown:
        """Signal as `signal`, then wait as `execute`; the answer always names the execution.

        Raises:
            NotFound: no such execution, or nothing in it waits. And as `signal`.
        """
        if not await self.signal(execution_id, status, output):
            raise NotFound("waiting task in workflow", execution_id)
        shown = await self._response(execution_id, patience, is_signal=True)
        assert shown is not None  # a signal is always answered
        return shown

    async def update_state(
        self,
        execution_id: str,
        patience: Patience,
        *,
        ref: str,
        result: JsonObject | None,
        variables: JsonObject,
    ) -> Shown | None:
        """Merge variables, update a task by reference (with its TaskResult), then wait as `execute`.

        Raises:
            NotFound: no such execution, or no task of this name.
            Refused: it has ended.
            InvalidInput, LimitExceeded: something cannot be recorded.
        """
        if variables:
            await self._service.set_variables(execution_id, variables)
        if ref and result is not None:
            output, status = result.get("outputData") or {}, str(result.get("status") or COMPLETED)
            reason = result.get("reasonForIncompletion")
            await self._service.signal(
                execution_id,
                ref,
                output if isinstance(output, dict) else {"result": output},
                status=status,
                reason=reason if isinstance(reason, str) else None,
            )
        return await self._response(execution_id, patience, is_signal=False)

    # --- waiting ------------------------------------------------------------------------------------

    async def _response(self, root: str, patience: Patience, *, is_signal: bool) -> Shown | None:
        standing, timed_out = await self._stands(root, patience)
        state = await self._engine.state(root)
        response = SignalResponse(
            self._showing, patience.strategy, patience.request_id, timed_out=timed_out, is_signal=is_signal
        )
        return await response.shown(state, standing)

    async def _stands(self, root: str, patience: Patience) -> tuple[Standing | None, bool]:
        """Where the execution stands once there is something to tell, and whether time ran out before."""
        turns = self._engine.turns
        news = _News(turns)

        def seen(now: TaskSeen, _: TaskSeen | None) -> None:
            if now.type == "WAIT" or now.ref in patience.refs:
                news.bring()

        def ended(entry: StreamEvents, _: Moment) -> None:
            state = turns.states.get(entry.stream)
            if state is None or state.is_ended:
                news.bring()

        with self._limited(news, patience.seconds), Following(self._service, seen) as following:
            following.follow(root)
            with Watch(turns, root, ended):
                while True:
                    state = await self._engine.state(root)
                    standing = None if state.is_ended else self._standing(state, patience)
                    if state.is_ended or standing is not None:
                        return standing, False
                    if news.is_over:
                        return None, True
                    await news.come()

    @contextmanager
    def _limited(self, news: _News, seconds: float) -> Iterator[None]:
        """End the news when the time is up, or at once when nobody is to wait any more."""
        self._waiting.add(news)
        alarm = asyncio.get_running_loop().call_later(0 if self._is_hurried else seconds, news.end)
        try:
            yield
        finally:
            alarm.cancel()
            self._waiting.discard(news)

    def _standing(self, state: ExecutionState, patience: Patience) -> Standing | None:
        return blocking_task(state, self._engine.turns.states.get, patience.refs)


class _News:
    """Tells one who waits that something may have changed, or that there will be no more waiting."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.is_over = False
        self._is_here = False
        self._hope: asyncio.Future[None] | None = None

    def bring(self) -> None:
        self._is_here = True
        if self._hope is not None and not self._hope.done():
            self._hope.set_result(None)

    def end(self) -> None:
        self.is_over = True
        self.bring()

    async def come(self) -> None:
        """Wait until something was brought since the last time; raises as `Turns.unless_failed`."""
        if not self._is_here:
            self._hope = asyncio.get_running_loop().create_future()
            await self._turns.unless_failed(self._hope)
        self._is_here = False

"""A definition tried out: an execution played to its end in virtual time, its tasks answered by mocks.

Nothing is stored, no worker and no service is asked; only the scripts of the definition run. The
mocks are Conductor's, one per attempt by exact reference name; the executions live in a `Sandbox`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple, cast

from pydantic_core import to_json

from asyncflow.app.definitions import find_graph
from asyncflow.app.sandbox import Sandbox
from asyncflow.app.service import Service
from asyncflow.app.start_requests import Mock, WorkflowTestRequest
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.durations import wait_due
from asyncflow.decide.scripts import script_request
from asyncflow.decide.wanted import DUE, LOCAL_EXECUTORS
from asyncflow.errors import AsyncflowError, InvalidInput
from asyncflow.model import inputs
from asyncflow.model.effects import RunScript, Timer
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS, SCHEDULED
from asyncflow.model.values import JsonValue
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.scripts.evaluator import Language, ScriptRequest

MOST_ROUNDS: Final = 20_000
"""Answers, timers and scripts of one test; what is left then stays open."""

_ANSWERED: Final = LOCAL_EXECUTORS | {"remote", "external", "wait"}
_BY_ITSELF: Final = frozenset({"wait", DUE})  # timers that bring an execution on; others only end it
_WORKER: Final = "test"

Key = tuple[str, int]


@dataclass(slots=True)
class _Mocks:
    """The request that an execution is played by, and how many mocks of each reference were used."""

    request: WorkflowTestRequest
    used: dict[str, int] = field(default_factory=dict)
    children: dict[str, _Mocks] = field(default_factory=dict)

    def take(self, ref: str) -> Mock | None:
        listed = self.request.task_ref_to_mock_output.get(ref, [])
        taken = self.used.get(ref, 0)
        if taken >= len(listed):
            return None
        self.used[ref] = taken + 1
        return listed[taken]

    def below(self, ref: str) -> _Mocks:
        """Those of a child: its own, or none at all."""
        if ref not in self.children:
            request = self.request.sub_workflow_test_request.get(ref, WorkflowTestRequest())
            self.children[ref] = _Mocks(request)
        return self.children[ref]


class _Planned(NamedTuple):
    """An attempt that is to begin or to end, by its mock; `order` keeps what is at one time in order."""

    at_ms: int
    order: int
    key: Key
    epoch: int
    mock: Mock
    is_end: bool


class _Due(NamedTuple):
    """A timer that is wanted, or was."""

    at_ms: int
    order: int
    key: Key
    timer: Timer


# What is to happen lies in heaps by time: beginnings and ends of answered attempts, and timers. Time
# passes to the next answer; timers that come before it count. After every step only the records that
# it changed are looked at, so a test costs what it plays.


class Simulation:
    """One test of one definition."""

    def __init__(self, service: Service, request: WorkflowTestRequest) -> None:
        """Begin nothing yet; definitions are those of the service, with those of the request laid over."""
        engine = service.engine
        self._service, self._scripts, self._request = service, engine.scripts, request
        self._world = Sandbox(
            limits=engine.settings.limits,
            slice_size=500,
            now_ms=engine.clock.now().elapsed_ms,
            environment=engine.settings.environment,
            catalog=_copied(engine.catalog),
        )
        self._mocks: dict[str, _Mocks] = {}
        self._order = count()
        self._plan: list[_Planned] = []
        self._planned: set[tuple[Key, int]] = set()
        self._timers: list[_Due] = []
        self._wakers: list[_Due] = []
        self._asked: list[tuple[str, RunScript]] = []
        self._unanswered: dict[Key, None] = {}

    async def run(self) -> ExecutionState:
        """The execution at its end, or as it stands when nothing is left that answers it.

        Raises:
            NotFound: no such workflow, or a sub-workflow that it names is not there.
            DefinitionError: a definition given with the request is refused.
            InvalidInput, LimitExceeded: the input is refused.
        """
        start = self._start()
        self._mocks[start.to] = _Mocks(self._request)
        await self._decide(start)
        root = self._world.states[start.to]
        for _ in range(MOST_ROUNDS):
            if root.is_ended or not await self._go_on():
                break
        return root

    def _start(self) -> inputs.Message:
        request, service = self._request, self._service
        if request.workflow_def is None and not request.name:
            raise InvalidInput("Workflow name cannot be null or empty", field="name")
        self._lay_over(request)
        definition = request.workflow_def
        checked = None if definition is None else service.check_workflow(definition)
        graph = find_graph(self._world.catalog, checked, request.name, version=request.version)
        start = inputs.StartExecution(
            graph.hash,
            service.checked_payload(request.input, "input"),
            request.correlation_id,
            request.priority,
            dict(request.task_to_domain) or None,
            created_by=request.created_by or "",
        )
        return inputs.Message(service.draw_id(), start, graph)

    def _lay_over(self, request: WorkflowTestRequest) -> None:
        """Make the definitions of children known that come with the request."""
        for child in request.sub_workflow_test_request.values():
            if child.workflow_def is not None:
                checked = self._service.check_workflow(child.workflow_def)
                self._world.catalog.workflows.setdefault(checked.name, {})[checked.version] = checked
            self._lay_over(child)

    # --- one thing after another ------------------------------------------------------------------

    async def _go_on(self) -> bool:
        """Let the next thing happen; whether there was any."""
        if self._asked:
            await self._run_script(*self._asked.pop())
            return True
        until_ms = self._next_ms()
        if until_ms is None:
            return False
        if self._timers and self._timers[0].at_ms <= until_ms:
            due = heapq.heappop(self._timers)
            if self._is_wanted(due):
                await self._happen(due, inputs.TimerDue(due.timer.number, due.timer.kind))
        else:
            planned = heapq.heappop(self._plan)
            given = self._given(planned)
            if given is not None:
                await self._happen(planned, given)
        return True

    def _next_ms(self) -> int | None:
        """Until when time passes now: to the next answer, or to what goes on by itself; None for never."""
        if self._plan:
            return self._plan[0].at_ms
        while self._wakers and not self._is_wanted(self._wakers[0]):
            heapq.heappop(self._wakers)
        if not self._wakers or self._waits_in_vain():
            return None
        return self._wakers[0].at_ms

    def _waits_in_vain(self) -> bool:
        """Whether a task is open that no mock is left for."""
        for key in [*self._unanswered]:
            task = self._open(key)
            if task is not None:
                return True
            del self._unanswered[key]
        return False

    async def _happen(self, at: _Planned | _Due, given: inputs.Input) -> None:
        self._world.now_ms = max(self._world.now_ms, at.at_ms)
        await self._decide(inputs.Message(at.key[0], given))

    async def _decide(self, message: inputs.Message) -> None:
        """Decide an input; one that is refused changes nothing, but a start says why."""
        try:
            for state in self._world.steps(message):
                self._look(state)
                await breathe()
        except AsyncflowError:
            if isinstance(message.input, inputs.StartExecution):
                raise

    async def _run_script(self, stream: str, effect: RunScript) -> None:
        state = self._world.states[stream]
        if effect not in state.wanted.get(effect.number, ()):
            return
        value: JsonValue = None
        error: str | None = None
        try:
            language, source, given = script_request(state, effect.number, self._world.context())
            value = await self._scripts.run(ScriptRequest(cast("Language", language), source, given))
        except AsyncflowError as fault:
            error = str(fault)
        ended = inputs.ScriptEnded(effect.number, value, error, effect.iteration)
        await self._decide(inputs.Message(stream, ended))

    # --- what waits, and for what -------------------------------------------------------------------

    def _look(self, state: ExecutionState) -> None:
        """Plan what the records that changed are waiting for."""
        numbers = dict.fromkeys([*state.changed, *state.dirty])
        state.changed.clear()
        state.dirty.clear()
        mocks = self._mocks_of(state)
        if mocks is None:
            return
        for number in numbers:
            key = (state.execution_id, number)
            for effect in state.wanted.get(number, ()):
                if isinstance(effect, RunScript):
                    self._asked.append((state.execution_id, effect))
                elif isinstance(effect, Timer):
                    self._await(key, effect)
            task = self._open(key)
            if task is not None:
                self._consider(key, task, mocks)

    def _mocks_of(self, state: ExecutionState) -> _Mocks | None:
        """What an execution is played by; None where it is neither the one tested nor below it."""
        found = self._mocks.get(state.execution_id)
        if found is None and state.parent_id in self._mocks:
            task = self._world.states[state.parent_id].tasks[state.parent_number]
            found = self._mocks[state.execution_id] = self._mocks[state.parent_id].below(task.ref)
        return found

    def _await(self, key: Key, timer: Timer) -> None:
        due = _Due(timer.due_ms, next(self._order), key, timer)
        heapq.heappush(self._timers, due)
        if timer.kind in _BY_ITSELF:
            heapq.heappush(self._wakers, due)

    def _consider(self, key: Key, task: TaskState, mocks: _Mocks) -> None:
        """Plan how an attempt goes, if it is one that somebody has to answer."""
        if (key, task.epoch) in self._planned or not _is_answered(task, mocks.request):
            return
        mock = mocks.take(task.ref)
        if mock is None:
            if task.executor != "wait" or wait_due(task) is None:
                self._unanswered[key] = None
            return
        self._planned.add((key, task.epoch))
        held_until_ms = task.due_ms if task.status == SCHEDULED else 0
        begin_ms = max(self._world.now_ms, held_until_ms) + mock.queue_wait_time
        for at_ms, is_end in ((begin_ms, False), (begin_ms + mock.execution_time, True)):
            planned = _Planned(at_ms, next(self._order), key, task.epoch, mock, is_end)
            heapq.heappush(self._plan, planned)

    # --- answering ----------------------------------------------------------------------------------

    def _given(self, planned: _Planned) -> inputs.Input | None:
        """What a plan comes to: nothing, where its record is not open any more."""
        task = self._open(planned.key)
        if planned.is_end:
            self._planned.discard((planned.key, planned.epoch))
        if task is None or task.epoch != planned.epoch:
            return None
        number, mock = task.number, planned.mock
        if not planned.is_end:
            if task.status != SCHEDULED or task.executor == "external":
                return None
            worker = _WORKER if task.executor == "remote" else ""
            return inputs.AttemptAdmitted(number, worker_id=worker)
        size = len(to_json(mock.output))
        is_ours = task.executor in LOCAL_EXECUTORS and not task.node.task.async_complete
        if is_ours and mock.status != IN_PROGRESS:
            return inputs.AttemptEnded(number, mock.status, mock.output, None, size)
        return inputs.UpdateTask(number, mock.status, mock.output, merge=True, output_bytes=size)

    def _open(self, key: Key) -> TaskState | None:
        """A record that is open, in an execution that goes on."""
        state = self._world.states[key[0]]
        task = None if state.is_ended else state.tasks.get(key[1])
        return None if task is None or task.is_ended else task

    def _is_wanted(self, due: _Due) -> bool:
        state = self._world.states[due.key[0]]
        return due.timer in state.wanted.get(due.key[1], ())


def _is_answered(task: TaskState, request: WorkflowTestRequest) -> bool:
    """Whether somebody outside has to answer a task; a child may be answered for as a whole."""
    if task.node.type == "SUB_WORKFLOW":
        mocks, children = request.task_ref_to_mock_output, request.sub_workflow_test_request
        return task.status == IN_PROGRESS and task.ref in mocks and task.ref not in children
    return task.status in {SCHEDULED, IN_PROGRESS} and task.executor in _ANSWERED


def _copied(catalog: DefinitionCatalog) -> DefinitionCatalog:
    """What is registered now, without the functions of this process: every task is answered by a mock."""
    copied = DefinitionCatalog()
    copied.workflows = {name: dict(versions) for name, versions in catalog.workflows.items()}
    copied.tasks = dict(catalog.tasks)
    return copied

"""Whole executions in a test: a real engine on a database in memory, virtual time, scripted outcomes.

`run_definition` is one call; `VirtualEngine` is for tests that give commands between. Nothing of
the engine is replaced but the clock and those who answer; see `testing/answering`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack, get_args

from asyncflow.decide.render import render_execution
from asyncflow.decide.waiting import waits_for
from asyncflow.errors import InvalidInput, NotFound, StoreError
from asyncflow.model.definition import TaskDefinition, WorkflowDefinition, iterate_tasks
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from asyncflow.sdk.engine import Engine, Execution
from asyncflow.sdk.tasks import TaskFunction
from asyncflow.sdk.workflow import Workflow
from asyncflow.testing.answering import Answering
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.outcomes import Outcomes, Scripted
from asyncflow.testing.runs import TestRun, task_records
from asyncflow.testing.sources import Registrable, Runnable, any_definition, stub, workflow_definition

Table = Outcomes | Mapping[str, Scripted] | None
Until = float | Callable[[ExecutionState], bool] | None
OnUnanswered = Literal["raise", "stop", "wait"]

_MEMORY = ":memory:"


class Unanswered(AssertionError):
    """A task waits and no outcome answers it: add one under its reference name, or a default."""


class VirtualEngine(Engine):
    """An `Engine` whose time and whose outside world belong to the test; an async context manager.

    Time stands except inside `clock.advance`, `clock.run`, `finish` and `run`.

    Attributes:
        clock: its time.
        outcomes: what is answered, and what was asked.
        answering: who answers.
    """

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        database: str | Path = _MEMORY,
        *,
        tasks: Iterable[TaskFunction[..., object]] = (),
        outcomes: Table = None,
        sub_outcomes: Mapping[str, Table] | None = None,
        live: Collection[str] = (),
        clock: VirtualClock | None = None,
        settings: EngineSettings | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            tasks: functions that run for real; an outcome under their own name wins.
            outcomes: a table for `Outcomes`, or one made before.
            sub_outcomes: tables of child executions, by their task's reference or the child's name.
            live: of "http" and "command", those that are really carried out.
            clock: one that goes on from an engine before; by default a new one.
        """
        self.clock = clock or VirtualClock(auto=False)
        super().__init__(database, tasks=tasks, durability="normal", settings=settings, clock=self.clock)
        self.outcomes = _table(outcomes)
        self._sub_outcomes = {key: _table(value) for key, value in (sub_outcomes or {}).items()}
        self._live = live

    async def __aenter__(self) -> Self:
        """Open the engine and stand between it and the world. Raises as `Engine`."""
        await super().__aenter__()
        engine = self.service.engine
        self.answering = Answering(
            engine, self.clock, self.outcomes, sub_outcomes=self._sub_outcomes, live=self._live
        )
        engine.carry.perform_by(self.answering)
        self.clock.attach(engine)
        self.clock.on_rest(self.answering.look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; the clock may serve another engine."""
        self.clock.detach(self.answering.look)
        await super().__aexit__(kind, error, trace)

    async def register_all(self, *bodies: Registrable) -> None:
        """Register workflow and task definitions, task definitions first.

        Raises:
            DefinitionError: as `Engine.register`.
        """
        known = [any_definition(body) for body in bodies]
        for definition in known:
            if isinstance(definition, TaskDefinition):
                await self.service.register_task(definition)
        for body, definition in zip(bodies, known, strict=True):
            if isinstance(body, Workflow):
                self.load(body)
            if isinstance(definition, WorkflowDefinition):
                await self.service.register_workflow(definition)

    async def begin(self, workflow: Runnable | str, given: JsonObject | None = None) -> Execution:
        """Start an execution; what answers for children that are not registered is registered first.

        Raises as `Engine.start`.
        """
        if isinstance(workflow, str):
            return await self.start(workflow, given)
        if isinstance(workflow, Workflow):
            self.load(workflow)
        definition = workflow_definition(workflow)
        await self._stub_children(definition)
        return await self.start(definition, given)

    async def _stub_children(self, root: WorkflowDefinition) -> None:
        """Give children that exist in the table only a body that asks the table."""
        workflows = self.service.engine.catalog.workflows
        known = [each for versions in workflows.values() for each in versions.values()]
        for definition in (root, *known):
            for _, task in iterate_tasks(definition):
                param = task.sub_workflow_param
                if param is None or param.workflow_definition is not None or not param.name:
                    continue
                keys = (task.task_reference_name, param.name)
                if param.name not in workflows and any(key in self.outcomes for key in keys):
                    self.answering.stubs.add(param.name)
                    await self.service.register_workflow(stub(param.name, param.version or 1))

    async def finish(self, execution: Execution | str, until: Until = None) -> TestRun:
        """Let time pass until the execution has ended, nothing is due any more, or `until` is reached.

        What it started beside itself, such as a failure workflow, is waited for, too. It stops as well
        where a task waits that nobody answers: see `TestRun.unanswered`.

        Args:
            until: virtual seconds from now, or what says at a moment of rest that it is enough.

        Raises:
            StoreError: the engine stopped, or the execution could not be decided.
        """
        stream = execution if isinstance(execution, str) else execution.id
        turns = self.service.engine.turns

        def is_over() -> bool:
            state = turns.states.get(stream)
            if state is None or self.answering.open_unanswered():
                return True
            if state.is_ended:
                beside = (turns.states.get(other) for other in _started_by(state))
                return all(other is None or other.is_ended for other in beside)
            return callable(until) and until(state)

        seconds = until if isinstance(until, int | float) else math.inf
        await self.clock.run(is_over, seconds=seconds)
        if stream in turns.quarantined:
            raise StoreError(f"execution {stream} is quarantined: {turns.quarantined[stream].reason}")
        return await self.picture(stream)

    async def picture(self, execution: Execution | str) -> TestRun:
        """The execution, its children and what they started, as they stand.

        Raises:
            NotFound: there is no such execution.
        """
        stream = execution if isinstance(execution, str) else execution.id
        state = await self.service.engine.state(stream)
        await self.service.engine.turns.settled(stream)
        children: dict[str, TestRun] = {}
        for task in list(state.tasks.values()):
            if task.more is not None and task.more.child_id is not None:
                children[task.ref] = await self.picture(task.more.child_id)
        others = [run for other in _started_by(state) if (run := await self._picture_of_other(other))]
        downtimes = self.service.engine.catalog.downtimes
        ended_ms = state.ended_ms if state.is_ended else self.clock.now().elapsed_ms
        return TestRun(
            execution_id=stream,
            name=state.name,
            status=state.status,
            output=dict(state.output),
            reason=state.reason,
            variables=dict(state.variables),
            definition=state.graph.definition,
            tasks=task_records(state),
            events=await self._history(stream, state.seq),
            duration=(ended_ms - state.created_ms) / 1000,
            workflow=render_execution(state),
            children=children,
            rounds=self.answering.rounds,
            others=others,
            waiting=[] if state.is_ended else waits_for(state, downtimes),
            unanswered=[task.ref for owner, task in self.answering.open_unanswered() if owner is state],
        )

    async def _picture_of_other(self, stream: str) -> TestRun | None:
        try:
            return await self.picture(stream)
        except NotFound:  # a failure workflow that could not be started has an error text for an id
            return None

    async def _history(self, stream: str, last_seq: int) -> list[Recorded]:
        found: list[Recorded] = []
        async for recorded in self.service.events(stream):
            found.append(recorded)
            if recorded.seq >= last_seq:
                break
        return found

    def explain_unanswered(self) -> str:
        """Which tasks wait in vain, under which keys an outcome would be found, and what there is."""
        lines = []
        for state, task in self.answering.open_unanswered():
            lines.append(f"no outcome for {_name(task)} of workflow {state.name}")
        unused = self.outcomes.unused()
        if unused:
            lines.append(f"outcomes that nothing asked for: {', '.join(unused)}")
        return "; ".join(lines)


def _started_by(state: ExecutionState) -> list[str]:
    """Executions that this one started beside itself: its failure workflow, START_WORKFLOW tasks."""
    failure = state.output.get("conductor.failure_workflow")
    named = [failure] if state.status != COMPLETED else []
    named += [
        (task.output or {}).get("workflowId")
        for task in state.tasks.values()
        if task.node.type == "START_WORKFLOW"
    ]
    return [each for each in named if isinstance(each, str)]


def _name(task: TaskState) -> str:
    name = task.name or task.node.name
    return f"task {task.ref} ({task.node.type} {name}, attempt {task.retry_count + 1})"


class RunOptions(TypedDict, total=False):
    """What a run may be given; see `VirtualEngine` and `VirtualEngine.finish` for the words they share.

    `registered` are the workflow and task definitions that are there before it starts. A task that no
    outcome answers raises, or stops the run, or waits in vain: `on_unanswered`, "raise" unless told.
    """

    outcomes: Table
    sub_outcomes: Mapping[str, Table]
    tasks: Iterable[TaskFunction[..., object]]
    registered: Iterable[Registrable]
    live: Collection[str]
    clock: VirtualClock
    settings: EngineSettings
    until: Until
    on_unanswered: OnUnanswered


async def run_definition(
    workflow: Runnable,
    input: JsonObject | None = None,  # noqa: A002 - the word users know it by
    **options: Unpack[RunOptions],
) -> TestRun:
    """Run a definition on a real engine in memory, in virtual time, and give what came of it.

    Tasks of functions of this process (`tasks`, and those of a built `Workflow`) run for real; workers'
    tasks, HTTP, COMMAND, HUMAN and WAIT for a signal are answered from `outcomes`. A sub-workflow is
    found in `registered`; one that is not is answered whole, as one task, under its task's reference or
    its own name.

    Returns:
        The run as it stood at its end. RUNNING means that nothing was due any more, or `until` came.

    Raises:
        Unanswered: a task had no outcome; the message names it, and the outcomes nothing asked for.
        DefinitionError, InvalidInput, NotFound, LimitExceeded: nothing was started; an option that is
            misspelt is named.
        StoreError: the execution could not be decided.
    """
    in_vain = _checked(options)
    engine = VirtualEngine(
        tasks=options.get("tasks", ()),
        outcomes=options.get("outcomes"),
        sub_outcomes=options.get("sub_outcomes"),
        live=options.get("live", ()),
        clock=options.get("clock"),
        settings=options.get("settings"),
    )
    async with engine:
        await engine.register_all(*options.get("registered", ()))
        execution = await engine.begin(workflow, input)
        if in_vain == "wait":
            engine.answering.expect_silence()
        run = await engine.finish(execution, options.get("until"))
        if in_vain == "raise" and engine.answering.open_unanswered():
            raise Unanswered(engine.explain_unanswered())
        return run


def _checked(options: RunOptions) -> OnUnanswered:
    """What is done with tasks nobody answers; a misspelt option would otherwise change nothing at all."""
    unknown = sorted(options.keys() - RunOptions.__annotations__.keys())
    if unknown:
        known = ", ".join(RunOptions.__annotations__)
        raise InvalidInput(f"there is no option {', '.join(unknown)}; there are {known}", field="run")
    in_vain = options.get("on_unanswered", "raise")
    if in_vain not in get_args(OnUnanswered):
        raise InvalidInput(f"one of {', '.join(get_args(OnUnanswered))}", field="on_unanswered")
    return in_vain


def _table(given: Table) -> Outcomes:
    return given if isinstance(given, Outcomes) else Outcomes(given)

"""The deciding core driven by hand: no loop, no store, time that moves when told to.

A `World` is a sandbox of executions with their histories; attempts end when the
test says so. Histories can be cut anywhere and folded again, which is how the laws of recovery
are tested. What executions wait for is read in `testing/open_work`.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from asyncflow.app.sandbox import Sandbox
from asyncflow.decide.evolve import evolve, new_state
from asyncflow.decide.scripts import script_request
from asyncflow.errors import AsyncflowError, ScriptError
from asyncflow.model import inputs
from asyncflow.model.definition import parse_task_definition, parse_workflow
from asyncflow.model.effects import RunScript, Timer
from asyncflow.model.events import Event, ExecutionStarted
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import Input, Message
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED, FAILED
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonMapping, JsonObject, JsonValue
from asyncflow.testing.open_work import (
    child_id,
    newest_task,
    next_due_ms,
    next_script,
    open_attempts,
    open_timers,
)

ScriptFunction = Callable[[str, str, JsonMapping], JsonValue]


def _no_scripts(language: str, _source: str, _given: JsonMapping) -> JsonValue:
    raise ScriptError(f"no {language} in this world")


@dataclass
class World(Sandbox):
    """Executions, their histories, and a clock. Everything is decided at once, in order.

    `scripts` evaluates scripts; `local` names the functions that count as known here, all other
    SIMPLE tasks wait for `end`.
    """

    scripts: ScriptFunction = _no_scripts
    local: frozenset[str] = frozenset()
    journal: dict[str, list[Recorded]] = field(default_factory=dict)
    _drawn: int = 0
    _graphs: dict[str, Graph] = field(default_factory=dict)  # of what may be folded again

    def __post_init__(self) -> None:
        """Make the functions known."""
        self.catalog.functions.update(dict.fromkeys(self.local, "loop"))

    def register(self, *bodies: JsonObject) -> None:
        """Register workflow definitions."""
        for body in bodies:
            definition = parse_workflow(body)
            self.catalog.workflows.setdefault(definition.name, {})[definition.version] = definition
        self.catalog.forget_bound()

    def register_task(self, **body: JsonValue) -> None:
        """Register a task definition, by its JSON fields."""
        definition = parse_task_definition(dict(body))
        self.catalog.tasks[definition.name] = definition
        self.catalog.forget_bound()

    def start(
        self, body: JsonObject | str, given: JsonObject | None = None, **more: object
    ) -> ExecutionState:
        """Start an execution of a definition, or of a registered one by name."""
        if isinstance(body, str):
            graph = self.catalog.latest(body, None)
            assert graph is not None, f"not registered: {body}"
        else:
            graph = self.catalog.inline(parse_workflow(body))
        self._drawn += 1
        identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"world:{self._drawn}"))
        self.send(identity, inputs.StartExecution(graph.hash, given or {}, **more))  # type: ignore[arg-type]
        return self.states[identity]

    def send(self, to: str, given: Input) -> None:
        """Decide an input and everything that follows from it without time passing."""
        self.settle(Message(to, given))
        while (asked := next_script(self.states.values())) is not None:
            state, effect = asked
            self.settle(Message(state.execution_id, self._run_script(state, effect)))

    def send_alone(self, state: ExecutionState, given: Input) -> list[Message]:
        """Decide one input and nothing of what it leaves for another turn; messages are not delivered."""
        return self.decide_one(Message(state.execution_id, given))[1]

    def decided(self, state: ExecutionState, events: list[Event]) -> None:
        """Record them."""
        self._graphs[state.graph.hash] = state.graph
        history = self.journal.setdefault(state.execution_id, [])
        history += [Recorded(len(history) + i + 1, self.now_ms, event) for i, event in enumerate(events)]

    def _run_script(self, state: ExecutionState, effect: RunScript) -> inputs.ScriptEnded:
        value: JsonValue = None
        error: str | None = None
        try:
            language, source, given = script_request(state, effect.number, self.context())
            value = self.scripts(language, source, copy.deepcopy(given))
        except AsyncflowError as fault:
            error = str(fault)
        return inputs.ScriptEnded(effect.number, value, error, effect.iteration)

    # --- opening again -------------------------------------------------------------------------

    def terminate(self, state: ExecutionState, reason: str = "") -> None:
        """Terminate an execution, as its API does."""
        self.send(state.execution_id, inputs.TerminateExecution(reason))

    def pause(self, state: ExecutionState) -> None:
        """Pause an execution."""
        self.send(state.execution_id, inputs.PauseExecution())

    def restart(self, state: ExecutionState, *, definition: str | None = None) -> None:
        """Restart an execution, under another definition (by content hash) if one is named."""
        self.send(state.execution_id, inputs.RestartExecution(definition))

    def retry(self, state: ExecutionState, *, resume: bool = False) -> None:
        """Retry an execution, with `resume` inside the children that failed."""
        self.send(state.execution_id, inputs.RetryExecution(resume_children=resume))

    def rerun(
        self,
        state: ExecutionState,
        task: str | int = 0,
        *,
        task_input: JsonObject | None = None,
        workflow_input: JsonObject | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Rerun an execution from a record, by number or newest of a name, or from its beginning."""
        at = self.task(state, task).number if isinstance(task, str) else task
        self.send(state.execution_id, inputs.RerunExecution(at, task_input, workflow_input, correlation_id))

    def skip(self, state: ExecutionState, ref: str, output: JsonObject | None = None) -> None:
        """Declare a task done before it is scheduled."""
        self.send(state.execution_id, inputs.SkipTask(ref, {}, output or {}))

    def set_variables(self, state: ExecutionState, **variables: JsonValue) -> None:
        """Merge variables in from outside."""
        self.send(state.execution_id, inputs.SetVariables(dict(variables)))

    def child(self, state: ExecutionState, ref: str) -> ExecutionState:
        """The execution of a SUB_WORKFLOW task."""
        return self.states[child_id(state, ref)]

    # --- what happens outside ------------------------------------------------------------------

    def task(self, state: ExecutionState, ref: str) -> TaskState:
        """The newest record of a full or plain reference name."""
        return newest_task(state, ref)

    def begin(self, state: ExecutionState, ref: str) -> None:
        """Let a task begin, as admission or a worker's poll would."""
        self.send(state.execution_id, inputs.AttemptAdmitted(self.task(state, ref).number))

    def end(
        self,
        state: ExecutionState,
        ref: str,
        output: JsonObject | None = None,
        *,
        status: str = COMPLETED,
        reason: str | None = None,
    ) -> None:
        """End the present attempt of a task."""
        number = self.task(state, ref).number
        self.send(state.execution_id, inputs.AttemptAdmitted(number))
        self.send(state.execution_id, inputs.AttemptEnded(number, status, output or {}, reason))

    def fail(self, state: ExecutionState, ref: str, reason: str = "boom", *, status: str = FAILED) -> None:
        """Fail the present attempt of a task."""
        self.end(state, ref, status=status, reason=reason)

    def runnable(self) -> Iterator[tuple[ExecutionState, TaskState]]:
        """Every task whose attempt could end now, here or at a worker, in order of numbers."""
        return open_attempts(self.states.values())

    def run(self, outcome: Callable[[TaskState], JsonObject] | None = None, *, most: int = 10_000) -> None:
        """Complete everything that can be completed, moving time to the next timer when idle."""
        for _ in range(most):
            chosen = next(((s, t) for s, t in self.runnable() if t.due_ms <= self.now_ms), None)
            if chosen is None:
                if not self.pass_time():
                    return
                continue
            state, task = chosen
            self.send(state.execution_id, inputs.AttemptAdmitted(task.number))
            output = {} if outcome is None else outcome(task)
            self.send(state.execution_id, inputs.AttemptEnded(task.number, COMPLETED, output))
        raise AssertionError("the world did not come to rest")

    def pass_time(self, until_ms: int | None = None) -> bool:
        """Move the clock to the next due timer, or on to `until_ms`, firing what is due.

        Returns:
            Whether there was anything to wait for.
        """
        next_ms = next_due_ms(self.states.values(), self.now_ms)
        if until_ms is None:
            if self._fire_due():  # such as what came due while its execution was paused
                return True
            if next_ms is None:
                return False
            until_ms = next_ms
        self.now_ms = max(self.now_ms, until_ms)
        self._fire_due()
        return True

    def _fire_due(self) -> bool:
        """Report every timer that is due; whether anything came of it."""
        before = sum(map(len, self.journal.values()))
        for state, timer in list(self.timers()):
            if timer.due_ms <= self.now_ms:
                self.send(state.execution_id, inputs.TimerDue(timer.number, timer.kind))
        return sum(map(len, self.journal.values())) > before

    def timers(self) -> Iterator[tuple[ExecutionState, Timer]]:
        """Every timer that is wanted."""
        return open_timers(self.states.values())

    # --- the law of recovery -------------------------------------------------------------------

    def fold(self, execution_id: str, upto: int | None = None) -> ExecutionState:
        """The state that the first `upto` recorded events make, from nothing."""
        history = self.journal[execution_id][:upto]
        first = history[0].event
        assert isinstance(first, ExecutionStarted)
        state = new_state(execution_id, self.catalog.graphs, first.definition)
        for recorded in history:
            evolve(state, copy.deepcopy(recorded.event), recorded.at_ms)
        return state

    def recover(self, execution_id: str, upto: int | None = None) -> ExecutionState:
        """Replace the live state by what its history makes, as a restart would."""
        self.states[execution_id] = self.fold(execution_id, upto)
        return self.states[execution_id]

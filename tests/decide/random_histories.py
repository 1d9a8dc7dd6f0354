"""Random definitions of all operators, and random histories of them: everything follows from a seed.

A history is what callers, workers, timers and crashes do to an execution; what happens next is
drawn from what could happen in its state.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from asyncflow.errors import NotFound
from asyncflow.model import inputs
from asyncflow.model.effects import RunAttempt
from asyncflow.model.inputs import Input
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS, PAUSED, RUNNING, SCHEDULED
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, dynamic_fork, evaluate, fork, loop, switch, task, workflow

_LEAVES = ("SIMPLE",) * 6 + (
    "REMOTE",
    "NOOP",
    "SET_VARIABLE",
    "INLINE",
    "LAMBDA",
    "JSON_JQ_TRANSFORM",
    "WAIT",
    "HUMAN",
    "EVENT",
    "HTTP",
    "DYNAMIC",
    "START_WORKFLOW",
    "TERMINATE",
)
_BRANCHING = ("fork", "dynamic", "switch", "decision", "loop", "items", "child", "exclusive")


class Author:
    """Writes definitions; reference names are unique in each."""

    def __init__(self, dice: random.Random, *, ends: bool = True) -> None:
        """`ends` allows TERMINATE tasks."""
        self.dice, self.ends, self.count = dice, ends, 0

    def definition(self) -> Json:
        """A whole definition; some end by timeout, some weigh failures, some name a failure workflow."""
        more: Json = {}
        if self.dice.random() < 0.1:
            more["timeoutSeconds"], more["timeoutPolicy"] = 500, "TIME_OUT_WF"
        if self.dice.random() < 0.15:
            more["asyncflow"] = {"failIfFailedWeightAbove": 0.5}
        if self.dice.random() < 0.15:
            more["failureWorkflow"] = "cleanup"
        if self.dice.random() < 0.15:
            more["rateLimitConfig"] = {"rateLimitKey": "${workflow.input.n}", "concurrentExecLimit": 1}
        return workflow(*self.tasks(self.dice.randint(1, 4), 3), **more)

    def tasks(self, most: int, depth: int) -> list[Json]:
        """A list of tasks, in a row or as a DAG."""
        found: list[Json] = []
        for _ in range(self.dice.randint(1, most)):
            if depth and self.dice.random() < 0.4:
                found += self._branching(self.dice.choice(_BRANCHING), depth - 1)
            else:
                found.append(self._leaf())
        if self.dice.random() < 0.2:
            self._make_dag(found)
        return found

    def _make_dag(self, tasks: list[Json]) -> None:
        for place, each in enumerate(tasks):
            behind_fork = place and str(tasks[place - 1]["type"]).startswith("FORK")
            if each["type"] in {"JOIN", "EXCLUSIVE_JOIN"} or behind_fork:
                continue
            before = [str(other["taskReferenceName"]) for other in tasks[:place]]
            needs = self.dice.sample(before, self.dice.randint(0, min(2, len(before))))
            each["asyncflow"] = {"dependsOn": needs}

    def ref(self) -> str:
        """A new reference name."""
        self.count += 1
        return f"t{self.count}"

    def _leaf(self) -> Json:
        kind = self.dice.choice(_LEAVES)
        if kind == "TERMINATE" and not (self.ends and self.dice.random() < 0.5):
            kind = "NOOP"
        ref = self.ref()
        more: Json = {}
        tolerance = self.dice.random()
        if tolerance < 0.15 and kind != "TERMINATE":
            more["optional"] = True
        elif tolerance < 0.3:
            more["permissive"] = True
        if self.dice.random() < 0.1:
            more["startDelay"] = 5
        made = {"taskReferenceName": ref, "inputParameters": self._inputs(kind), **more}
        if kind == "SIMPLE":
            return {**made, "type": kind, "name": self.dice.choice(["plain", "retried", "timed"])}
        if kind == "REMOTE":
            return {**made, "type": "SIMPLE", "name": self.dice.choice(["far", "far_timed"])}
        if kind == "DYNAMIC":
            return {**made, "type": kind, "name": "d", "dynamicTaskNameParam": "name"}
        if kind == "EVENT":
            return {**made, "type": kind, "name": "e", "sink": self.dice.choice(["conductor", "nowhere:x"])}
        return {**made, "type": kind, "name": "retried" if kind == "INLINE" else kind.lower()}

    def _inputs(self, kind: str) -> Json:
        dice = self.dice
        known: dict[str, Json] = {
            "SET_VARIABLE": {f"v{dice.randint(1, 3)}": "${workflow.input.n}"},
            "INLINE": {"expression": dice.choice(["true", "1", "throw bad", ""])},
            "LAMBDA": {"scriptExpression": dice.choice(["return 1", "throw bad"])},
            "JSON_JQ_TRANSFORM": {"queryExpression": "."},
            "WAIT": dice.choice([{"duration": "10s"}, {}, {"until": "2020-01-01"}, {"duration": "x"}]),
            "HTTP": {"http_request": {"uri": "http://x", "method": "GET"}},
            "DYNAMIC": {"name": dice.choice(["plain", "far"])},
            "START_WORKFLOW": {"startWorkflow": {"name": dice.choice(["cleanup", "nobody"])}},
            "TERMINATE": {"terminationStatus": dice.choice(["COMPLETED", "FAILED", "TERMINATED"])},
        }
        return known.get(kind, {"n": "${workflow.input.n}", "seen": f"${{t{dice.randint(1, 9)}.output.r}}"})

    def _branching(self, kind: str, depth: int) -> list[Json]:
        ref = self.ref()
        more: Json = {"optional": True} if self.dice.random() < 0.1 else {}
        if kind == "fork":
            return fork(ref, *[self.tasks(2, depth) for _ in range(self.dice.randint(1, 3))], **more)
        if kind == "dynamic":
            return self._dynamic(ref)
        if kind in {"loop", "items"}:
            body = self.tasks(2, depth)
            listed = {"items": "${workflow.input.list}", "loopCondition": ""} if kind == "items" else {}
            keep = {"inputParameters": {"keepLastN": 1}} if self.dice.random() < 0.2 else {}
            return [loop(ref, *body, times=self.dice.randint(1, 3), **listed, **keep, **more)]
        if kind == "child":
            inner = workflow(*self.tasks(2, min(depth, 1)), name="inner")
            return [
                task(ref, "SUB_WORKFLOW", subWorkflowParam={"name": "i", "workflowDefinition": inner}, **more)
            ]
        return self._choosing(kind, ref, depth)

    def _choosing(self, kind: str, ref: str, depth: int) -> list[Json]:
        cases: dict[str, list[Json]] = {"1": self.tasks(2, depth), "2": []}
        default = self.tasks(1, depth) if self.dice.random() < 0.5 else []
        made = switch(ref, self.dice.choice([1, 2, 3]), cases, default)
        if kind == "decision":
            made = {**made, "type": "DECISION", "caseValueParam": "on"}
        if self.dice.random() < 0.3:
            made = {**made, "evaluatorType": "javascript", "expression": "$.on", "caseExpression": "$.on"}
        if kind != "exclusive":
            return [made]
        named = [str(branch[-1]["taskReferenceName"]) for branch in (cases["1"], default) if branch]
        return [made, task(self.ref(), "EXCLUSIVE_JOIN", joinOn=named, defaultExclusiveJoinTask=[ref])]

    def _dynamic(self, ref: str) -> list[Json]:
        dice = self.dice
        count = dice.randint(0, 3)
        if dice.random() < 0.5:
            listed: list[object] = [dice.choice([{"k": n}, n, {"optional": True}]) for n in range(count)]
            kind = dice.choice(
                [{"forkTaskName": "plain"}, {"forkTaskName": "far"}, {"forkTaskWorkflow": "cleanup"}]
            )
            return dynamic_fork(ref, {"forkTaskInputs": listed, **kind})
        names = [self.ref() for _ in range(count)]
        forked = [task(name, dice.choice(["SIMPLE", "NOOP", "HTTP"]), name="retried") for name in names]
        given: Json = {"tasks": forked, "inputs": {name: {"n": 1} for name in names}}
        params = {"dynamicForkTasksParam": "tasks", "dynamicForkTasksInputParamName": "inputs"}
        return dynamic_fork(ref, given, **params)


def random_world(seed: int, *, slice_size: int = 2_000, ends: bool = True) -> tuple[World, Json]:
    """A world with task definitions of several policies, and a definition to start in it."""
    dice = random.Random(seed)
    made = World(scripts=evaluate, local=frozenset({"plain", "retried", "timed"}), slice_size=slice_size)
    logic = dice.choice(["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"])
    made.register_task(
        name="retried",
        retryCount=2,
        retryLogic=logic,
        retryDelaySeconds=dice.choice([0, 3]),
        backoffJitterMs=500,
    )
    made.register_task(name="plain", retryCount=0)
    for name in ("timed", "far_timed"):
        policy = dice.choice(["RETRY", "TIME_OUT_WF", "ALERT_ONLY"])
        made.register_task(
            name=name,
            retryCount=1,
            timeoutSeconds=30,
            responseTimeoutSeconds=20,
            pollTimeoutSeconds=40,
            totalTimeoutSeconds=100,
            timeoutPolicy=policy,
        )
    made.register(workflow(task("clean", name="plain"), name="cleanup"))
    return made, Author(dice, ends=ends).definition()


class History:
    """Things that happen to the executions of a world, one by one; `sent` are the reports so far."""

    def __init__(self, world: World, seed: int) -> None:
        """Draw from a seed of its own."""
        self.world, self.dice = world, random.Random(seed)
        self.sent: list[tuple[str, Input]] = []

    def happen(self) -> None:
        """One thing happens: mostly what was asked for, sometimes what disturbs."""
        open_ones = [state for state in self.world.states.values() if not state.is_ended]
        if not open_ones:
            return
        state = self.dice.choice(open_ones)
        chosen = self.dice.choices(
            [self._attempt, self._time, self._disturb, self._command], weights=[70, 15, 8, 7]
        )
        chosen[0](state)

    def report(self, state: ExecutionState, given: Input) -> None:
        """Send a report and remember it."""
        self.sent.append((state.execution_id, given))
        self.world.send(state.execution_id, given)

    def _attempt(self, state: ExecutionState) -> None:
        waiting = [
            t for t in state.tasks.values() if not t.is_ended and t.executor not in {"", "child", "script"}
        ]
        if not waiting:
            self._time(state)
            return
        chosen = self.dice.choice(waiting)
        if chosen.status == SCHEDULED and self.dice.random() < 0.8:
            if chosen.due_ms > self.world.now_ms:
                self._time(state)
            self.report(state, inputs.AttemptAdmitted(chosen.number))
            return
        self._end(state, chosen)

    def _end(self, state: ExecutionState, chosen: TaskState) -> None:
        luck = self.dice.random()
        status = "COMPLETED" if luck < 0.85 else "FAILED" if luck < 0.96 else "FAILED_WITH_TERMINAL_ERROR"
        output: Json = {"r": self.dice.randint(0, 9)}
        if chosen.executor in {"remote", "external", "wait"}:
            self.report(state, inputs.UpdateTask(chosen.number, status, output, reason="told"))
            return
        running = [e for e in state.wanted.get(chosen.number, ()) if isinstance(e, RunAttempt)]
        start = running[0].start if running else 0
        self.report(state, inputs.AttemptEnded(chosen.number, status, output, "broke", start=start))

    def _time(self, state: ExecutionState) -> None:
        self.world.pass_time()

    def _disturb(self, state: ExecutionState) -> None:
        number = self.dice.randint(1, state.next_number)
        choices: list[Callable[[], None]] = [
            lambda: self.report(state, inputs.AttemptInterrupted(number, "stopped")),
            lambda: self.report(state, inputs.ScriptEnded(number, self.dice.choice([True, 1]), None, 1)),
            lambda: self.report(state, inputs.TimerDue(number, self.dice.choice(["wait", "timeout", "due"]))),
            lambda: self.report(state, inputs.ChildEnded(number, "nobody", "COMPLETED", {}, None)),
            lambda: self.world.send(state.execution_id, inputs.ExtendLease(number)),
            self._repeat,
        ]
        self.dice.choice(choices)()

    def _repeat(self) -> None:
        if self.sent:
            with suppress(NotFound):  # an update may come for a record that a loop keeps no longer
                self.world.send(*self.dice.choice(self.sent))

    def _command(self, state: ExecutionState) -> None:
        luck = self.dice.random()
        if luck < 0.4 and state.status == RUNNING:
            self.world.send(state.execution_id, inputs.PauseExecution())
        elif state.status == PAUSED:
            self.world.send(state.execution_id, inputs.ResumeExecution())
        elif luck < 0.5:
            self.world.send(state.execution_id, inputs.TerminateExecution("enough"))
        elif luck < 0.7:
            self.world.send(state.execution_id, inputs.SetVariables({"x": self.dice.randint(0, 9)}))
        elif luck < 0.8:
            self._skip(state)
        else:
            self._give_back(state)

    def _skip(self, state: ExecutionState) -> None:
        left = [ref for ref in state.graph.nodes if ref not in state.by_ref]
        if left and state.status == RUNNING:
            self.world.send(state.execution_id, inputs.SkipTask(self.dice.choice(left), {}, {}))

    def _give_back(self, state: ExecutionState) -> None:
        far = [t for t in state.tasks.values() if t.executor == "remote" and t.status == IN_PROGRESS]
        if far:
            number = self.dice.choice(far).number
            if number % 2:
                self.report(state, inputs.ReleaseAttempt(number, "given back"))
                return
            given = inputs.UpdateTask(number, IN_PROGRESS, {}, callback_after_s=5)
            self.world.send(state.execution_id, given)

    def settle(self, most: int = 2_000) -> None:
        """Let everything that is open come to an end, without disturbance."""
        for _ in range(most):
            open_ones = [state for state in self.world.states.values() if not state.is_ended]
            if not open_ones:
                return
            paused = next((state for state in open_ones if state.status == PAUSED), None)
            if paused is not None:
                self.world.send(paused.execution_id, inputs.ResumeExecution())
            elif not self._finish_one(open_ones) and not self.world.pass_time():
                return

    def _finish_one(self, states: list[ExecutionState]) -> bool:
        for state in states:
            for chosen in state.tasks.values():
                if chosen.is_ended or chosen.executor in {"", "child", "script"}:
                    continue
                if chosen.due_ms <= self.world.now_ms:
                    self.report(state, inputs.UpdateTask(chosen.number, "COMPLETED", {"r": 1}))
                    return True
        return False

"""Workflows drawn at random, and what each must give: the reference model of the simulation.

A plan is a tree of steps. It writes its own definition, and computes with plain numbers what the definition
must output, whatever happens on the way. Nothing here knows an engine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from asyncflow.model.values import JsonObject, JsonValue

TIERS = ("token", "tag", "once", "again")
"""What the services of the simulation promise; each is a resource of that name."""

TRIED_AGAIN: JsonObject = {"name": "tried_again", "retryCount": 20, "retryDelaySeconds": 0}
"""The definition of the tasks of forks that are jobs; it has to be registered."""

_MODULUS = 1_000_003


def task_type(tier: str) -> str:
    """The type of the jobs of a service."""
    return f"JOB_{tier.upper()}"


def step_of(number: int, n: int) -> int:
    """What a step with this number makes of its input: different for every step, and for every order."""
    return (n * 31 + number) % _MODULUS


@dataclass
class Plan:
    """One workflow.

    Attributes:
        definition: of Conductor's format.
        given: its input.
        output: what it ends with.
        ends: by reference, how often a task record of it is to end successfully.
        terminates: whether a client ends it early.
        is_registered: whether it is started by name; else its definition comes with the start.
    """

    name: str
    given: JsonObject
    definition: JsonObject = field(default_factory=dict)
    output: JsonObject = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    terminates: bool = False
    is_registered: bool = False


class Drawing:
    """Draws one plan; references are numbered through, so that a child's never meet its parent's."""

    def __init__(self, dice: random.Random, plan: Plan) -> None:
        self._dice, self._plan, self._drawn = dice, plan, 0

    def body(self, depth: int, n: int, source: str, *, times: int = 1) -> tuple[list[JsonObject], int, str]:
        """Steps one after the other, what the last gives, and the expression that refers to it."""
        tasks: list[JsonObject] = []
        for _ in range(self._dice.randint(1, 3)):
            made, n, source = self._step(depth, n, source, times)
            tasks += made
        return tasks, n, source

    def _step(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        simple = [self._function, self._function, self._job, self._job, self._wait, self._variable]
        nested = [self._fork, self._fork, self._dynamic, self._jobs, self._loop, self._child, self._switch]
        if times == 1:
            simple.append(self._signal)
        draw = self._dice.choice(simple + nested if depth else simple)
        return draw(depth, n, source, times)

    def _ref(self, kind: str, times: int) -> str:
        self._drawn += 1
        ref = f"{kind}{self._drawn}"
        self._plan.ends[ref] = times
        return ref

    def _leaf(self, kind: str, n: int, source: str, times: int) -> tuple[JsonObject, int, str]:
        ref = self._ref(kind, times)
        given: JsonObject = {"n": source, "number": self._drawn}
        task: JsonObject = {
            "name": kind,
            "taskReferenceName": ref,
            "type": "SIMPLE",
            "inputParameters": given,
        }
        return task, step_of(self._drawn, n), f"${{{ref}.output.n}}"

    def _function(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        kind = self._dice.choice(("step", "step", "flaky", "locked"))
        task, n, source = self._leaf(kind, n, source, times)
        if kind == "flaky":
            task["inputParameters"]["fails"] = self._dice.randint(0, 2)  # type: ignore[index]  # an object
        if kind == "locked":
            task["asyncflow"] = {"resources": [{"name": "lock", "mode": "exclusive", "key": "k"}]}
        return [task], n, source

    def _job(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        task, _, after = self._leaf("job", n, source, times)  # a job gives what it was given
        if self._dice.random() < 0.4:  # a constant, its keys in no order: nothing of it is in the journal
            n = self._drawn
            task["inputParameters"] |= {"n": n, "more": {"z": [{"y": 1, "b": 2}], "a": 3}}  # type: ignore[operator]
        tier = self._dice.choice(TIERS)
        task |= {"type": task_type(tier), "asyncflow": {"resources": [{"name": tier}]}}
        task["inputParameters"]["name"] = str(task["taskReferenceName"])  # type: ignore[index]  # an object
        policy = {"retryCount": 20, "retryDelaySeconds": self._dice.choice((0, 7))}
        task["taskDefinition"] = {"name": "job", **policy}
        return [task], n, after

    def _wait(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        ref = self._ref("wait", times)
        given = {"duration": f"{self._dice.choice((1, 13, 120))} seconds"}
        return [_task("WAIT", ref, inputParameters=given)], n, source

    def _signal(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        ref = self._ref("human", times)
        n = step_of(self._drawn, n)
        return [_task("HUMAN", ref, inputParameters={"n": n})], n, f"${{{ref}.output.n}}"

    def _variable(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        ref = self._ref("set", times)
        return [_task("SET_VARIABLE", ref, inputParameters={ref: source})], n, source

    def _fork(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        fork, join = self._ref("fork", times), self._ref("join", times)
        branches, lasts, total = [], [], 0
        parts: list[str] = []
        for _ in range(self._dice.randint(2, 3)):
            tasks, made, where = self.body(depth - 1, n, source, times=times)
            if tasks[-1]["type"] == "SWITCH":  # it ends as soon as it has chosen, and a join with it
                tasks += self._variable(depth, made, where, times)[0]
            branches.append(tasks)
            lasts.append(tasks[-1]["taskReferenceName"])
            parts.append(where)
            total += made
        adding, n, source = self._leaf("add", total, "", times)
        adding["inputParameters"]["parts"] = parts  # type: ignore[index]  # an object
        joining = _task("JOIN", join, joinOn=lasts)
        return [_task("FORK_JOIN", fork, forkTasks=branches), joining, adding], n, source

    def _dynamic(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        inputs = [{"n": source, "number": number} for number in range(self._dice.randint(1, 6))]
        return self._branches({"forkTaskName": "step"}, inputs, times), n, source

    def _jobs(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        """Jobs side by side, with constants."""
        kind = {"forkTaskType": task_type(self._dice.choice(TIERS)), "forkTaskName": TRIED_AGAIN["name"]}
        inputs = [{"z": {"y": 1, "b": 2}, "number": each} for each in range(self._dice.randint(1, 4))]
        return self._branches(kind, inputs, times), n, source

    def _branches(self, what: JsonObject, inputs: list[JsonObject], times: int) -> list[JsonObject]:
        fork, join = self._ref("fork", times), self._ref("join", times)
        self._plan.ends["branch"] = self._plan.ends.get("branch", 0) + len(inputs) * times
        given: JsonObject = {**what, "forkTaskInputs": inputs}
        return [_task("FORK_JOIN_DYNAMIC", fork, inputParameters=given), _task("JOIN", join)]

    def _loop(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        ref = self._ref("loop", times)
        rounds = self._dice.randint(1, 4)
        # The input of an iteration is that of the first: what a loop gives does not depend on their number.
        tasks, n, source = self.body(depth - 1, n, source, times=times * rounds)
        loop = _task(
            "DO_WHILE",
            ref,
            loopOver=tasks,
            loopCondition=f"$.{ref}['iteration'] < $.rounds",
            inputParameters={"rounds": rounds},
        )
        return [loop], n, source

    def _child(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        ref = self._ref("child", times)
        tasks, n, inside = self.body(depth - 1, n, "${workflow.input.n}", times=times)
        child = _workflow(f"{self._plan.name}_{ref}", tasks, {"n": inside})
        param = {"name": child["name"], "version": 1, "workflowDefinition": child}
        task = _task("SUB_WORKFLOW", ref, subWorkflowParam=param, inputParameters={"n": source})
        return [task], n, f"${{{ref}.output.n}}"

    def _switch(self, depth: int, n: int, source: str, times: int) -> tuple[list[JsonObject], int, str]:
        ref = self._ref("switch", times)
        taken, n, after = self.body(depth - 1, n, source, times=times)
        task = _task(
            "SWITCH",
            ref,
            evaluatorType="value-param",
            expression="way",
            inputParameters={"way": "taken"},
            decisionCases={"taken": taken},
            defaultCase=[_task("TERMINATE", f"wrong_{ref}", inputParameters={"terminationStatus": "FAILED"})],
        )
        return [task], n, after


def draw_plan(dice: random.Random, name: str) -> Plan:
    """A plan of up to some thirty tasks."""
    n = dice.randrange(1_000)
    plan = Plan(name, {"n": n})
    tasks, last, source = Drawing(dice, plan).body(2, n, "${workflow.input.n}")
    plan.definition = _workflow(name, tasks, {"n": source})
    plan.output = {"n": last}
    plan.terminates = dice.random() < 0.15
    plan.is_registered = dice.random() < 0.5
    return plan


def _task(kind: str, ref: str, **fields: object) -> JsonObject:
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def _workflow(name: str, tasks: list[JsonObject], output: dict[str, JsonValue]) -> JsonObject:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": tasks, "outputParameters": output}

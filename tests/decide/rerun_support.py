"""Executions that are run to their end, then planned, changed and run again, with what ran counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asyncflow.decide.rerun_plan import RerunPlan, RerunRequest, command_of, plan_rerun
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject
from asyncflow.testing.pure import World
from tests.decide.reopening_support import scripts

Outcome = Callable[[TaskState], JsonObject]


def echo(task: TaskState) -> JsonObject:
    """A result that is another for every other input."""
    return {"ref": task.ref, "of": dict(task.input)}


@dataclass
class Rerun:
    """One execution of one definition, and the tasks whose attempts were performed, in order."""

    definition: JsonObject
    given: JsonObject = field(default_factory=dict)
    outcome: Outcome = echo
    others: tuple[JsonObject, ...] = ()
    slice_size: int = 2_000
    fails: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Run it once."""
        self.world = World(scripts=scripts, slice_size=self.slice_size)
        self.world.register(*self.others)
        self.state: ExecutionState = self.world.start(self.definition, self.given)
        self.go_on()

    def go_on(self, most: int = 100_000) -> list[str]:
        """Perform all that can be; the full names of what was, since the last time."""
        self.ran.clear()
        for _ in range(most):
            state, task = next(self.world.runnable(), (None, None))
            if state is None or task is None:
                if not self.world.pass_time():
                    return list(self.ran)
                continue
            self.ran.append(task.ref)
            ends = "FAILED" if task.ref in self.fails else "COMPLETED"
            self.world.send(state.execution_id, AttemptAdmitted(task.number))
            self.world.send(state.execution_id, AttemptEnded(task.number, ends, self.outcome(task)))
        raise AssertionError("the execution did not come to rest")

    def plan(self, *changed: str, completed: str = "keep", cut_off: str = "outputs") -> RerunPlan:
        """What a change would do."""
        return plan_rerun(self.state, RerunRequest(changed, completed, cut_off))

    def apply(self, plan: RerunPlan, actions: Mapping[str, str] | None = None) -> list[str]:
        """Carry a plan out with actions chosen by hand, by full name; what was performed, sorted."""
        numbers = {task.ref: task.number for task in plan.tasks}
        chosen = {numbers[ref]: action for ref, action in (actions or {}).items()}
        self.world.send(self.state.execution_id, command_of(plan, chosen))
        return sorted(self.go_on())

    def change(self, *changed: str, cut_off: str = "outputs", outcome: Outcome | None = None) -> list[str]:
        """Plan and carry out; with `outcome`, tasks have other results from now on."""
        self.outcome = outcome or self.outcome
        return self.apply(self.plan(*changed, cut_off=cut_off))


def actions(plan: RerunPlan) -> dict[str, str]:
    """The action of every task of a plan, by full name."""
    return {task.ref: task.action for task in plan.tasks}


def reasons(plan: RerunPlan) -> dict[str, str]:
    """The reason of every task of a plan, by full name."""
    return {task.ref: task.reason for task in plan.tasks}


def redone(plan: RerunPlan) -> list[str]:
    """The full names of the tasks that a plan redoes, operators left out, sorted."""
    kinds = {"SIMPLE", "SUB_WORKFLOW", "INLINE"}
    return sorted(task.ref for task in plan.tasks if task.action == "redo" and task.type in kinds)


def another(task: TaskState) -> JsonObject:
    """A result that differs from `echo`'s."""
    return {**echo(task), "version": 2}

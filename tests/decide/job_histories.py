"""Random histories of executions with jobs and holds: everything follows from a seed.

Some tasks are jobs, some hold the lease they need up to a later task. What happens to jobs is
drawn beside what `random_histories` draws, after an execution's end as well.
"""

from __future__ import annotations

import random
from contextlib import suppress

from asyncflow.decide.holds import is_covered
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model import inputs
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import SCHEDULED
from asyncflow.testing.pure import World
from tests.decide.definitions import Json
from tests.decide.job_cases import GRANTS
from tests.decide.random_histories import Author, History, random_world

TABLE: Json = {"name": "table", "mode": "exclusive", "key": "k"}
_LEASE: list[object] = ["table", 1, "exclusive", "k"]
_WORDS = ("succeeded",) * 6 + ("failed", "rejected", "cancelled", "lost", "absent", "moved")
_OPENED: tuple[inputs.Input, ...] = (
    inputs.RestartExecution(),
    inputs.RetryExecution(),
    inputs.RerunExecution(),
)


class JobAuthor(Author):
    """Writes definitions in which many a task is a job, and many hold what they need up to a later one."""

    def _leaf(self) -> Json:
        made = super()._leaf()
        for _ in range(2):
            made = made if made["type"] == "SIMPLE" else super()._leaf()
        if made["type"] in {"SIMPLE", "HTTP"} and self.dice.random() < 0.7:
            last = f"t{self.dice.randint(max(1, self.count - 1), self.count + 4)}"  # before it, or nowhere
            hold = f"from {made['taskReferenceName']} to {last}"
            made["asyncflow"] = {
                "resources": [{**TABLE, "hold": hold} if self.dice.random() < 0.6 else TABLE]
            }
        if made["type"] == "SIMPLE" and self.dice.random() < 0.8:
            return {**made, "type": "JOB", "name": self.dice.choice(["plain", "retried", "timed"])}
        return made


def job_history(seed: int, **more: object) -> JobHistory:
    """A world with a definition started in it, and what will happen to it."""
    world, _ = random_world(seed, **more)  # type: ignore[arg-type]
    world.catalog.job_types["JOB"] = "cluster-type"
    world.catalog.cancel_graces["cluster"] = 7
    world.start(JobAuthor(random.Random(seed)).definition(), {"n": 1, "list": [1, 2]})
    return JobHistory(world, seed)


class JobHistory(History):
    """Things that happen to executions and to their jobs, one by one."""

    def __init__(self, world: World, seed: int) -> None:
        """Draw from a seed of its own."""
        super().__init__(world, seed)

    def happen(self) -> None:
        """One thing happens: to a job, to an ended execution, or as to any other."""
        luck = self.dice.random()
        if luck < 0.45:
            self._of_jobs()
        elif luck < 0.5:
            self._of_ended()
        else:
            super().happen()

    def report(self, state: ExecutionState, given: inputs.Input) -> None:
        """As any other; who admits a job says where it goes."""
        if isinstance(given, inputs.AttemptAdmitted):
            task = state.tasks.get(given.number)
            if task is not None and task.executor == "job":
                if task.due_ms > self.world.now_ms:
                    return  # admission is not asked before that
                grants = [*GRANTS, *self._lease(state)]
                given = inputs.AttemptAdmitted(
                    given.number, grants, 1, resource="cluster", instance="cluster/1"
                )
            elif task is not None and "resources" in task.node.extra:
                given = inputs.AttemptAdmitted(given.number, self._lease(state), 1)
        super().report(state, given)

    @staticmethod
    def _lease(state: ExecutionState) -> list[list[object]]:
        """What admission gives of the table: nothing, where the execution holds it."""
        return [["table", 0, None, ""]] if is_covered(state, _LEASE) else [_LEASE]

    def open_jobs(self) -> list[tuple[ExecutionState, JobState]]:
        """Every open job, of executions that ended too."""
        return [(state, job) for state in self.world.states.values() for job in state.jobs.values()]

    def _of_jobs(self) -> None:
        waiting = [
            (state, task.number)
            for state in self.world.states.values()
            for task in state.tasks.values()
            if task.executor == "job" and task.status == SCHEDULED and not state.is_ended
        ]
        if waiting and self.dice.random() < 0.5:
            state, number = self.dice.choice(waiting)
            self.report(state, inputs.AttemptAdmitted(number))
            return
        jobs = self.open_jobs()
        if jobs:
            self._of_job(*self.dice.choice(jobs))

    def _of_job(self, state: ExecutionState, job: JobState) -> None:
        serial, luck = job.serial, self.dice.random()
        if luck < 0.3:
            self.report(state, inputs.JobAccepted(serial, f"h{serial}", adopted=luck < 0.1))
        elif luck < 0.4:
            self.report(state, inputs.JobStuck(serial, "no answer"))
        elif luck < 0.5:
            self.report(state, inputs.JobSeen(serial, "progress", "", {"done": self.dice.randint(0, 3)}))
        elif luck < 0.6:
            ends_as = self.dice.choice(["TIMED_OUT", "CANCELED", "FAILED", "REPLACED"])
            self.report(state, inputs.StopJob(serial, "code changed", ends_as))
        elif luck < 0.75:
            decision = self.dice.choice(["resubmit", "adopt", "fail", "complete"])
            handle = "found" if decision == "adopt" else ""
            with suppress(Refused):
                decided = inputs.DecideJob(job.number, decision, serial, handle, {"r": 1})
                self.world.send(state.execution_id, decided)
        else:
            self.finish(state, job, self.dice.choice(_WORDS))

    def finish(self, state: ExecutionState, job: JobState, word: str) -> None:
        """The job is over."""
        is_final = self.dice.random() < 0.3
        self.report(state, inputs.JobOver(job.serial, word, {"r": job.serial}, "so it was", is_final))

    def _of_ended(self) -> None:
        ended = [state for state in self.world.states.values() if state.is_ended]
        if ended:
            state = self.dice.choice(ended)
            numbers = [0, *state.tasks]
            rerun = inputs.RerunExecution(self.dice.choice(numbers))
            given: inputs.Input = self.dice.choice([*_OPENED, rerun])
            with suppress(Refused, NotFound, InvalidInput):
                self.world.send(state.execution_id, given)

    def settle(self, most: int = 2_000) -> None:
        """Let everything come to an end, and then what is still open outside."""
        super().settle(most)
        for state, job in self.open_jobs():
            self.finish(state, job, "cancelled")

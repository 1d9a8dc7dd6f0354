"""Jobs as the tests of deciding need them: a world whose tasks of type JOB go to a resource."""

from __future__ import annotations

from asyncflow.decide.render import render_task
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.effects import Timer
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, evaluate, task, workflow

GRANTS: list[list[object]] = [["cluster", 1, None, ""]]


def job_world(*local: str, **more: object) -> World:
    """A world in which tasks of type JOB are jobs of the resource `cluster`."""
    made = World(scripts=evaluate, local=frozenset(local), **more)  # type: ignore[arg-type]
    made.catalog.job_types["JOB"] = "cluster-type"
    return made


def job_task(ref: str, /, **more: object) -> Json:
    """A task that is a job, with the policy of the registered task definition of its name, if any."""
    return task(ref, "JOB", **more)


def admit(world: World, state: ExecutionState, ref: str) -> JobState:
    """Let the job of a task begin: its intent is recorded."""
    number = world.task(state, ref).number
    admitted = inputs.AttemptAdmitted(number, GRANTS, 7, resource="cluster", instance="cluster/1")
    world.send(state.execution_id, admitted)
    return state.jobs[state.job_of[number]]


def accept(world: World, state: ExecutionState, ref: str, handle: str = "h") -> JobState:
    """Let it begin, and the service take it."""
    job = admit(world, state, ref)
    world.send(state.execution_id, inputs.JobAccepted(job.serial, f"{handle}{job.serial}"))
    return job


def over(world: World, state: ExecutionState, job: JobState, word: str = "succeeded", **more: object) -> None:
    """Let the job be over outside."""
    given: Json = {"output": {"r": job.serial}, "reason": "", **more}
    world.send(state.execution_id, inputs.JobOver(job.serial, word, **given))  # type: ignore[arg-type]


def begun(
    *rest: Json, definition: Json | None = None, **more: object
) -> tuple[World, ExecutionState, JobState]:
    """A workflow of the job task `a` and the rest, begun, with the job of `a` taken by the service."""
    made = job_world("w")
    made.register_task(**{"name": "a", "retryCount": 0, **(definition or {})})
    state = made.start(workflow(job_task("a", **more), *rest))
    return made, state, accept(made, state, "a")


def events(world: World, state: ExecutionState, kind: type[ev.Event]) -> list[ev.Event]:
    """The events of one kind that were recorded, in order."""
    return [each.event for each in world.journal[state.execution_id] if isinstance(each.event, kind)]


def shown(state: ExecutionState, number: int = 1) -> Json:
    """What stands under `asyncflow` of a task."""
    facts = render_task(state, state.tasks[number])["asyncflow"]
    assert isinstance(facts, dict)
    return facts


def timers(state: ExecutionState, number: int = 1) -> dict[str, int]:
    """When each timer that a record wants is due."""
    return {e.kind: e.due_ms for e in state.wanted.get(number, ()) if isinstance(e, Timer)}


def to_cancel(state: ExecutionState) -> dict[int, bool]:
    """The open jobs by serial number: whether each is to be cancelled."""
    return {serial: bool(job.cancel) for serial, job in state.jobs.items()}

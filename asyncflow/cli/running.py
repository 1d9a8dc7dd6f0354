"""An execution run to its end in this process: started or taken up, watched, given up or stopped.

It puts together what `app` offers and what the terminal shows; `run` and `demo` are its users.
How an engine is opened is in `app/local`, who can go on is found out in `app/following`.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from asyncflow.app.following import Following, Listener, TaskSeen
from asyncflow.app.local import LocalOptions, open_local, register_all, start_or_take_up
from asyncflow.app.rehearsal import Outcomes, Rehearsal
from asyncflow.app.service import Service
from asyncflow.cli.loading import Bundle
from asyncflow.cli.loop import Stop
from asyncflow.cli.progress import Mode, Progress
from asyncflow.errors import NotFound
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.values import JsonObject

_LOOK_AGAIN_S = 0.2
_LOOK_ANYWAY_S = 1.0
_FAILURE_WORKFLOW = "conductor.failure_workflow"


class End(enum.Enum):
    """Why a run is over."""

    ENDED = "the execution ended"
    STRANDED = "nothing here can go on"
    STOPPED = "a signal came"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run, and how.

    `outcomes_name` is the file the outcomes came from. With `waits`, tasks that need somebody else
    are waited for. `progress` is how the run is shown. `begin` gives the execution to run on, in place of
    a start of the definition.
    """

    definition: WorkflowDefinition | None
    bundle: Bundle
    given: JsonObject
    options: LocalOptions
    database: Path | None = None
    anew: bool = False
    waits: bool = False
    outcomes: Outcomes | None = None
    outcomes_name: str = ""
    progress: Mode = "auto"
    begin: Callable[[Service], Awaitable[str]] | None = None


@dataclass(slots=True)
class Finished:
    """How a run ended: the execution in Conductor's shape, and what there is to say of it.

    `helpless` are the tasks nobody here can do, `answered` the rehearsed attempts by task name.
    """

    end: End
    execution: JsonObject
    elapsed_ms: int
    taken_up: bool = False
    helpless: list[TaskSeen] = field(default_factory=list)
    answered: Mapping[str, int] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Conductor's status of the execution."""
        return str(self.execution["status"])


async def perform(job: Job, stop: Stop) -> Finished:
    """Run a job to its end, or until a signal comes or nothing can go on; the state is kept.

    Raises:
        StoreLocked, StoreError: the database file cannot be used.
        DefinitionError, InvalidInput, LimitExceeded, NotFound: nothing was started.
    """
    async with open_local(job.database, job.bundle.functions, job.options) as service:  # type: ignore[arg-type]  # checked by shape when loaded
        await register_all(service, job.bundle.workflows, job.bundle.tasks)
        progress = Progress(job.progress)
        with progress:
            return await LocalRun(job, service, progress, stop.asked).finish()


class LocalRun:
    """One run, while its engine is open.

    Attributes:
        following: what is watched: the execution, those below it, and its failure workflow.
    """

    def __init__(self, job: Job, service: Service, progress: Progress, stop: anyio.Event) -> None:
        """Start nothing yet; the event asks for an orderly stop."""
        self._job, self._service, self._progress, self._stop = job, service, progress, stop
        self._rehearsal = (
            None if job.outcomes is None else Rehearsal(service, job.outcomes, worker=job.outcomes_name)
        )
        listeners: list[Listener] = [progress.seen, self._changed]
        if self._rehearsal is not None:
            listeners.append(self._rehearsal.seen)
        self.following = Following(service, *listeners)
        self._news = anyio.Event()
        self._needy: dict[tuple[str, int], TaskSeen] = {}
        self._named: set[str] = set()
        self._end = End.ENDED
        self._helpless: list[TaskSeen] = []

    async def finish(self) -> Finished:
        """Start or take up, wait, and tell."""
        job, service = self._job, self._service
        if job.begin is not None or job.definition is None:
            assert job.begin is not None  # what is to be run is one of the two
            identity, taken_up = await job.begin(service), False
        else:
            identity, taken_up = await start_or_take_up(service, job.definition, job.given, anew=job.anew)
        if taken_up:
            self._progress.note(f"taking up execution {identity}")
        with self.following:
            self.following.follow(identity)
            async with anyio.create_task_group() as group:
                group.start_soon(self._await_stop, group.cancel_scope)
                group.start_soon(self._watch_over, group.cancel_scope)
                if self._rehearsal is not None:
                    group.start_soon(self._rehearsal.run, self.following)
                await self._await_end(identity)
                group.cancel_scope.cancel()
            shown = await service.get(identity)
        answered = {} if self._rehearsal is None else dict(self._rehearsal.answered)
        return Finished(self._end, shown, self._progress.elapsed_ms, taken_up, self._helpless, answered)

    async def _await_end(self, identity: str) -> None:
        """Wait for the end, and for the failure workflow, which would be cut off with this process."""
        state = await self._service.ended(identity)
        compensation = state.output.get(_FAILURE_WORKFLOW)
        if isinstance(compensation, str):
            try:
                self.following.follow(compensation)
                await self._service.ended(compensation)
            except NotFound:
                return  # it could not be started, and the output says why

    async def _await_stop(self, scope: anyio.CancelScope) -> None:
        await self._stop.wait()
        self._end = End.STOPPED
        scope.cancel()

    # --- tasks that nobody here can do ------------------------------------------------------------

    def _changed(self, seen: TaskSeen, _: TaskSeen | None) -> None:
        key = (seen.execution_id, seen.number)
        if not seen.is_over and self._needs_someone(seen):
            self._needy[key] = seen
            self._name(seen)
        else:
            self._needy.pop(key, None)
        self._news.set()

    async def _watch_over(self, scope: anyio.CancelScope) -> None:
        """Give up once only somebody else could go on, or an execution was set aside."""
        while True:
            # What stands still now may have been about to move: nothing tells when the engine comes to rest.
            with anyio.move_on_after(_LOOK_AGAIN_S if self._needy else _LOOK_ANYWAY_S):
                await self._news.wait()
            self._news = anyio.Event()
            self.following.check_sound()
            if self._needy and not self._job.waits and not self._is_answering:
                helpless = self.following.stranded()
                if helpless and all(self._needs_someone(seen) for seen in helpless):
                    self._helpless, self._end = helpless, End.STRANDED
                    scope.cancel()

    @property
    def _is_answering(self) -> bool:
        return self._rehearsal is not None and self._rehearsal.is_busy

    def _needs_someone(self, seen: TaskSeen) -> bool:
        if self._job.outcomes is not None and self._job.outcomes.of(seen) is not None:
            return False
        return self.following.needs_someone(seen)

    def _name(self, seen: TaskSeen) -> None:
        """Say of each name once that somebody is waited for, as it may take long until the end says so."""
        if seen.name not in self._named:
            self._named.add(seen.name)
            self._progress.note(f"{who_is_missing(seen)}: task {seen.ref}")


def who_is_missing(seen: TaskSeen) -> str:
    """What a task waits for that is not in this process, in words."""
    if seen.executor in {"wait", "external"}:
        return f"waiting for a signal ({seen.type})"
    if seen.executor == "remote":
        return f"waiting for a worker for {seen.name!r}"
    return f"the function {seen.name!r} is not loaded"

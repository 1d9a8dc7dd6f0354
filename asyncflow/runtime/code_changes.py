"""Jobs of older code, found when a newer version comes: the policy of their resource is applied.

It decides nothing of a job: stopping one is `decide/jobs`, replacing an instance `decide/lifecycle`. What
`keep`, `cancel` and `drain` mean is in `model/resource_settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.jobs import REPLACED
from asyncflow.model.inputs import StopJob
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState


class Policy(Protocol):
    """What is done with instances of older code; `runtime/resources`."""

    def code_changed(self, name: str, instance: str, reason: str) -> str:
        """What becomes of a job there; its instance is closed where that is the policy."""


class CodeChanges:
    """Has the policy of every resource applied to the jobs of an engine that older code handed in."""

    def __init__(
        self,
        catalog: DefinitionCatalog,
        states: Mapping[str, ExecutionState],
        policy: Policy,
        report: Callable[[str, StopJob], None],
    ) -> None:
        """Look at nothing yet; executions with open jobs are all in `states`."""
        self._catalog, self._states, self._policy, self._report = catalog, states, policy, report

    def registered(self, name: str) -> None:
        """A version of a workflow was registered, durably.

        Cost: in the executions in memory.
        """
        for state in list(self._states.values()):
            if state.jobs and state.name == name:
                self._look(state, self._is_outdated)

    def migrated(self, state: ExecutionState) -> None:
        """The execution goes on under another definition, durably."""
        self._look(state, _is_foreign)

    def recovered(self, state: ExecutionState) -> None:
        """What the last process did not come to: its jobs that are older than a change of code."""
        if not state.jobs:
            return
        definition = state.graph.definition
        newest = max(self._catalog.workflows.get(state.name, ()), default=0)
        now = f"{definition.name}@{definition.version}"
        if newest > definition.version or any(job.origin.code_version != now for job in state.jobs.values()):
            self._look(state, lambda its, job: _is_foreign(its, job) or self._is_overtaken(its, job))

    def _look(self, state: ExecutionState, is_older: Callable[[ExecutionState, JobState], bool]) -> None:
        for job in [job for job in _open_jobs(state) if is_older(state, job)]:
            reason = (
                f"code changed: the job is of {job.origin.code_version}, now there is {self._now_of(state)}"
            )
            if self._policy.code_changed(job.resource, job.instance, reason) == "cancel":
                self._report(state.execution_id, StopJob(job.serial, reason, REPLACED))

    def _now_of(self, state: ExecutionState) -> str:
        versions = self._catalog.workflows.get(state.name, ())
        return f"{state.name}@{max((*versions, state.version))}"

    def _is_outdated(self, state: ExecutionState, job: JobState) -> bool:
        """Whether there is a newer version than the one the job is of."""
        return max(self._catalog.workflows.get(state.name, ()), default=0) > _version_of(job)

    def _is_overtaken(self, state: ExecutionState, job: JobState) -> bool:
        """Whether a newer version came after the job had begun; one that was run again began after it."""
        newest = max(self._catalog.workflows.get(state.name, ()), default=0)
        came_ms = self._catalog.registered_ms.get((state.name, newest), -1)
        return newest > _version_of(job) and came_ms >= job.intent_ms


def _open_jobs(state: ExecutionState) -> Iterator[JobState]:
    """Those whose record goes on, and which nobody has had cancelled."""
    return (
        job for job in state.jobs.values() if not job.cancel and state.job_of.get(job.number) == job.serial
    )


def _is_foreign(state: ExecutionState, job: JobState) -> bool:
    """Whether the job was handed in under another definition than the execution has now."""
    definition = state.graph.definition
    return (
        bool(job.origin.code_version) and job.origin.code_version != f"{definition.name}@{definition.version}"
    )


def _version_of(job: JobState) -> int:
    version = job.origin.code_version.rpartition("@")[2]
    return int(version) if version.isdecimal() else 0

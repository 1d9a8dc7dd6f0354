"""The resource manager for EMR Serverless: a run is started under its token, and its name ends with its mark.

It makes no application, and decides nothing about who may start. Read `asyncflow.plugins.aws` for what errors
mean, and the README for settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import Field

from asyncflow.model.values import JsonObject
from asyncflow.plugins import marks, single_polls
from asyncflow.plugins.aws import AwsConfig, AwsManager, Entry, handle_in, moment_ms, part
from asyncflow.plugins.errors import OutcomeOpen, Rejected, ServiceError
from asyncflow.plugins.jobs import Found, Job, JobStatus, JobWord, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig

_WORDS: Mapping[str, JobWord] = {"SUCCESS": "succeeded", "FAILED": "failed", "CANCELLED": "cancelled"}
_OPEN = ["SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING"]
_EARLIER_MS = 10 * 60_000  # the service's clock may be behind ours
_FEW = 10


class RunUnknown(Rejected):
    """The service does not know a run of this id."""


class ServerlessConfig(AwsConfig):
    """Settings of a resource of type `emr-serverless`; `overrides` is passed to StartJobRun as it is."""

    application: str = Field(pattern="^[0-9a-z]{1,64}$")
    role: str
    name: str = "asyncflow"
    overrides: JsonObject = Field(default_factory=dict)


class SparkRun(JobInput):
    """The input of an EMR_SERVERLESS_JOB task."""

    entry_point: str = Field(min_length=1)
    args: list[str] = Field(default_factory=list)
    spark: str = ""
    timeout_minutes: int = Field(default=0, ge=0, le=1_000_000)


class EmrServerlessManager(AwsManager):
    """The runs of one application."""

    Config: ClassVar[type[PluginConfig]] = ServerlessConfig
    service: ClassVar[str] = "emr-serverless"
    marker: ClassVar[str] = "nextToken"
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"EMR_SERVERLESS_JOB": SparkRun}
    tier: ClassVar[Tier] = "token"
    token_life: ClassVar[float] = 900.0
    listing_lag: ClassVar[float] = 10.0
    poll_batch: ClassVar[int] = 0  # one listing answers for all that are open

    config: ServerlessConfig

    def meaning(self, code: str, message: str) -> ServiceError | None:
        """See `AwsManager.meaning`."""
        return RunUnknown(message) if code == "ResourceNotFoundException" else super().meaning(code, message)

    async def submit(self, job: Job) -> str:
        """See `ResourceManager.submit`."""
        given = SparkRun.model_validate(job.input)
        spark: JsonObject = {"entryPoint": given.entry_point, "entryPointArguments": given.args}
        if given.spark:
            spark["sparkSubmitParameters"] = given.spark
        asked: JsonObject = (
            {"executionTimeoutMinutes": given.timeout_minutes} if given.timeout_minutes else {}
        )
        if self.config.overrides:
            asked["configurationOverrides"] = self.config.overrides
        answer = await self.call(
            "start_job_run",
            applicationId=self.config.application,
            clientToken=job.token,
            executionRoleArn=self.config.role,
            jobDriver={"sparkSubmit": spark},
            name=marks.marked(f"{job.workflow_name}/{job.ref}", job.mark, self.context.installation),
            **asked,
        )
        return handle_in(answer, "jobRunId")

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """See `ResourceManager.find`."""
        after = datetime.fromtimestamp(max(0, since_ms - _EARLIER_MS) / 1000, UTC)
        listed = await self._listed(createdAtAfter=after)
        marked = {str(run["id"]): (marks.mark_in(str(run.get("name", ""))), run) for run in listed}
        return [
            Found(handle, mark, moment_ms(run.get("createdAt")), is_open=str(run.get("state")) not in _WORDS)
            for handle, (mark, run) in marked.items()
            if mark.startswith(job.token)
        ]

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: of many, those that are open are read from one listing."""
        del instance
        listed = await self._listed(states=_OPEN) if len(handles) > _FEW else []
        told = {str(run["id"]): self._status(run) for run in listed if run["id"] in set(handles)}
        others = [handle for handle in handles if handle not in told]
        return {**told, **(await single_polls.each_of(others, self._look, at_once=_FEW) if others else {})}

    async def cancel(self, instance: str, handle: str) -> None:
        """See `ResourceManager.cancel`; what is refused of one that has ended, or is not known, is done."""
        del instance
        try:
            await self.call("cancel_job_run", applicationId=self.config.application, jobRunId=handle)
        except Rejected:
            status = await self._look(handle)
            if status is not None and status.word == "running":
                raise

    # --- within -------------------------------------------------------------------------------------

    async def _listed(self, **which: object) -> list[Entry]:
        """All runs of the application that these say."""
        given = {"applicationId": self.config.application, "maxResults": 50, **which}
        async with aclosing(self.pages("list_job_runs", "jobRuns", **given)) as entries:
            return [entry async for entry in entries if entry.get("id")]

    async def _look(self, handle: str) -> JobStatus | None:
        """How a run stands; None where the service does not know it."""
        try:
            answer = await self.call("get_job_run", applicationId=self.config.application, jobRunId=handle)
        except RunUnknown:
            return None
        run = part(answer, "jobRun")
        if not run.get("state"):
            raise OutcomeOpen("GetJobRun answered without a run")
        return self._status({**run, "id": handle})

    def _status(self, run: Entry) -> JobStatus:
        raw = str(run.get("state", ""))
        is_over = raw in _WORDS
        return JobStatus(
            _WORDS.get(raw, "running"),
            {"application": self.config.application, "run": run["id"], "state": raw},
            str(run.get("stateDetails") or "") if is_over else "",
            started_ms=moment_ms(run.get("startedAt")),
            ended_ms=moment_ms(run.get("endedAt") or run.get("updatedAt")) if is_over else 0,
            raw=raw,
        )

"""The resource manager for EMR: clusters made once and shared, steps submitted with a mark.

It decides nothing about who may submit or when a cluster is idle; the engine does. Read `answers` for
what EMR's states mean, `asyncflow.plugins.aws` for its errors, and the README for settings.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import Field

from asyncflow.model.values import JsonObject
from asyncflow.plugins import marks
from asyncflow.plugins.aws import AwsConfig, AwsManager, Entry, handle_in, part
from asyncflow.plugins.errors import InstanceGone, OutcomeOpen, Rejected, ServiceError, Throttled
from asyncflow.plugins.jobs import Found, InstanceOrder, InstanceStatus, Job, JobStatus, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig
from asyncflow_emr import answers

_ACTIVE = ["PENDING", "RUNNING", "CANCEL_PENDING"]
_STOPPED = ("CANCELLED", "INTERRUPTED")
_GOING = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_EARLIER_MS = 10 * 60_000  # EMR's clock may be behind ours
_IDS_AT_ONCE = 10


class ClusterUnknown(InstanceGone):
    """EMR does not know a cluster of this id."""


class StepUnknown(Rejected):
    """EMR does not know a step of one of these ids."""


class EmrConfig(AwsConfig):
    """Settings of a resource of type `emr`; `cluster` is passed to RunJobFlow as it is."""

    release: str = "emr-7.9.0"
    name: str = "asyncflow"
    log_uri: str = ""
    step_concurrency: int = Field(default=1, ge=1, le=256)
    cluster: JsonObject = Field(default_factory=dict)


class EmrStep(JobInput):
    """The input of an EMR_STEP task."""

    args: list[str] = Field(default_factory=list)
    jar: str = "command-runner.jar"
    main_class: str = ""
    properties: dict[str, str] = Field(default_factory=dict)
    on_failure: Literal["CONTINUE", "CANCEL_AND_WAIT"] = "CONTINUE"


class EmrManager(AwsManager):
    """Clusters and steps of one region, over one client."""

    Config: ClassVar[type[PluginConfig]] = EmrConfig
    service: ClassVar[str] = "emr"
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"EMR_STEP": EmrStep}
    tier: ClassVar[Tier] = "tag"
    listing_lag: ClassVar[float] = 10.0
    poll_batch: ClassVar[int] = 0  # one listing of a cluster answers for all of its steps

    config: EmrConfig

    def meaning(self, code: str, message: str) -> ServiceError | None:
        """See `AwsManager.meaning`: EMR has one code for nearly everything, and its messages tell more."""
        if "active steps" in message:
            return Throttled(message)
        if "shutting down, terminated, or finished" in message:
            return InstanceGone(message)
        if "not valid" in message:
            kinds = {"cluster id": ClusterUnknown, "step id": StepUnknown}
            return next((kind(message) for word, kind in kinds.items() if word in message), None)
        return super().meaning(code, message)

    # --- clusters -----------------------------------------------------------------------------------

    async def create(self, order: InstanceOrder) -> str:
        """See `ResourceManager.create`."""
        name = marks.marked(f"{self.config.name}-{order.number}", order.token, self.context.installation)
        asked: JsonObject = {"ReleaseLabel": self.config.release, **self.config.cluster, "Name": name}
        instances = asked.get("Instances")
        asked["Instances"] = {
            **(instances if isinstance(instances, dict) else {}),
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": True,
        }
        tags = asked.get("Tags")
        mark = {"Key": "asyncflow-token", "Value": order.token}
        asked["Tags"] = [*(tags if isinstance(tags, list) else []), mark]
        asked.setdefault("StepConcurrencyLevel", self.config.step_concurrency)
        if self.config.log_uri:
            asked.setdefault("LogUri", self.config.log_uri)
        return handle_in(await self.call("run_job_flow", **asked), "JobFlowId")

    async def find_instance(self, order: InstanceOrder, since_ms: int) -> Sequence[Found]:
        """See `ResourceManager.find_instance`."""
        after = datetime.fromtimestamp(max(0, since_ms - _EARLIER_MS) / 1000, UTC)
        found: list[Found] = []
        async with aclosing(self.pages("list_clusters", "Clusters", CreatedAfter=after)) as entries:
            async for entry in entries:
                if marks.mark_in(str(entry.get("Name", ""))) == order.token:
                    is_open = answers.state_of(entry) not in _GOING
                    at_ms = answers.created_ms(entry)
                    found.append(Found(str(entry["Id"]), order.token, at_ms, is_open=is_open))
        return found

    async def check(self, handle: str) -> InstanceStatus:
        """See `ResourceManager.check`; steps of others that wait or run make it busy."""
        try:
            cluster = await self._described(handle)
            raw = answers.state_of(cluster)
            word = answers.CLUSTER_WORDS.get(raw, "creating")
            foreign = await self._foreign(handle) if word == "ready" else []
        except InstanceGone as gone:
            return InstanceStatus("gone", gone.reason)
        facts: JsonObject = {"name": cluster.get("Name"), "id": handle}
        if foreign:
            return InstanceStatus("busy", "steps of others", raw, {**facts, "foreign": foreign[:5]})
        if raw == "TERMINATED_WITH_ERRORS" and "ReadyDateTime" not in part(cluster, "Status", "Timeline"):
            word = "failed"
        why = part(cluster, "Status", "StateChangeReason").get("Message", "")
        return InstanceStatus(word, str(why), raw, facts)

    async def destroy(self, handle: str) -> None:
        """See `ResourceManager.destroy`; only here termination protection is lifted."""
        try:
            await self.call("set_termination_protection", JobFlowIds=[handle], TerminationProtected=False)
            await self.call("terminate_job_flows", JobFlowIds=[handle])
        except InstanceGone:
            return

    # --- steps --------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> str:
        """See `ResourceManager.submit`."""
        given = EmrStep.model_validate(job.input)
        jar: JsonObject = {"Jar": given.jar, "Args": given.args}
        if given.main_class:
            jar["MainClass"] = given.main_class
        if given.properties:
            jar["Properties"] = [{"Key": key, "Value": value} for key, value in given.properties.items()]
        step = {
            "Name": marks.marked(f"{job.workflow_name}/{job.ref}", job.mark, self.context.installation),
            "ActionOnFailure": given.on_failure,
            "HadoopJarStep": jar,
        }
        answer = await self.call("add_job_flow_steps", JobFlowId=job.instance, Steps=[step])
        made = answer.get("StepIds")
        return handle_in({"id": made[0]} if isinstance(made, list) and made else {}, "id")

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """See `ResourceManager.find`."""
        found: list[Found] = []
        async with aclosing(self._steps(job.instance)) as entries:
            async for entry in entries:
                at_ms = answers.created_ms(entry)
                if at_ms and at_ms < since_ms - _EARLIER_MS:
                    break  # newest first: what follows is older still
                mark = marks.mark_in(str(entry.get("Name", "")))
                if mark.startswith(job.token):
                    is_open = answers.state_of(entry) in _ACTIVE
                    found.append(Found(str(entry["Id"]), mark, at_ms, is_open=is_open))
        return found

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: few are asked for by name, many are read from the listing."""
        if len(handles) > _IDS_AT_ONCE:
            return await self._without_stopped(instance, await self._listed(instance, set(handles)))
        try:
            told = await self._listed(instance, set(handles), StepIds=list(handles))
        except StepUnknown:  # one of them has it refuse all
            told = await self._listed(instance, set(handles))
        return await self._without_stopped(instance, told)

    async def cancel(self, instance: str, handle: str) -> None:
        """See `ResourceManager.cancel`; what EMR makes of it is seen at the next poll."""
        await self.call(
            "cancel_steps", ClusterId=instance, StepIds=[handle], StepCancellationOption="TERMINATE_PROCESS"
        )

    # --- within -------------------------------------------------------------------------------------

    async def _listed(self, instance: str, wanted: set[str], **which: object) -> dict[str, JobStatus]:
        """How these steps stand, from a listing that is read until all of them were seen."""
        told: dict[str, JobStatus] = {}
        async with aclosing(self._steps(instance, **which)) as entries:
            async for entry in entries:
                if entry.get("Id") in wanted:
                    told[str(entry["Id"])] = answers.step_status(entry, instance)
                    if len(told) == len(wanted):
                        break
        return told

    async def _without_stopped(self, instance: str, told: dict[str, JobStatus]) -> dict[str, JobStatus]:
        """A step that its cluster took along did not fail: it is to run elsewhere.

        Those that ended otherwise are told first; once only such are left, the instance is gone.
        """
        stopped = [handle for handle, status in told.items() if status.raw in _STOPPED]
        if not stopped or answers.state_of(await self._described(instance)) not in _GOING:
            return told
        if len(stopped) == len(told):
            raise InstanceGone(f"the cluster {instance} has ended, and its steps with it")
        return {handle: status for handle, status in told.items() if handle not in stopped}

    async def _foreign(self, handle: str) -> list[str]:
        mine = marks.owner(self.context.installation)
        entries = self._steps(handle, StepStates=_ACTIVE)
        listed = [str(entry.get("Name", "")) async for entry in entries]
        return [name for name in listed if marks.owner_in(name) != mine]

    async def _described(self, handle: str) -> Entry:
        cluster = part(await self.call("describe_cluster", ClusterId=handle), "Cluster")
        if not part(cluster, "Status"):
            raise OutcomeOpen("DescribeCluster answered without a cluster")
        return cluster

    def _steps(self, cluster: str, **which: object) -> AsyncGenerator[Entry, None]:
        return self.pages("list_steps", "Steps", ClusterId=cluster, **which)

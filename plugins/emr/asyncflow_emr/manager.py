"""The resource manager for EMR: clusters made once and shared, steps submitted with a mark.

It decides nothing about who may submit or when a cluster is idle; the engine does. Read `answers` for
what EMR's errors mean, and the README for settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, SecretStr

from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import InstanceGone, OutcomeOpen
from asyncflow.plugins.jobs import (
    MOST_HANDLE_CHARACTERS,
    Found,
    InstanceOrder,
    InstanceStatus,
    Job,
    JobStatus,
    Tier,
)
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager
from asyncflow_emr import answers, names

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

_Entries = AsyncGenerator[Mapping[str, object], None]

_ACTIVE = ["PENDING", "RUNNING", "CANCEL_PENDING"]
_STOPPED = ("CANCELLED", "INTERRUPTED")
_GOING = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_EARLIER_MS = 10 * 60_000  # EMR's clock may be behind ours
_IDS_AT_ONCE = 10


class EmrConfig(PluginConfig):
    """Settings of a resource of type `emr`; `cluster` is passed to RunJobFlow as it is."""

    region: str
    release: str = "emr-7.9.0"
    name: str = "asyncflow"
    log_uri: str = ""
    step_concurrency: int = Field(default=1, ge=1, le=256)
    cluster: JsonObject = Field(default_factory=dict)
    endpoint_url: str = ""
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    session_token: SecretStr = SecretStr("")
    connections: int = Field(default=20, ge=1)
    read_timeout_s: float = Field(default=20.0, gt=0)


class EmrStep(JobInput):
    """The input of an EMR_STEP task."""

    args: list[str] = Field(default_factory=list)
    jar: str = "command-runner.jar"
    main_class: str = ""
    properties: dict[str, str] = Field(default_factory=dict)
    on_failure: Literal["CONTINUE", "CANCEL_AND_WAIT"] = "CONTINUE"


class EmrManager(ResourceManager):
    """Clusters and steps of one region, over one client."""

    Config: ClassVar[type[PluginConfig]] = EmrConfig
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"EMR_STEP": EmrStep}
    tier: ClassVar[Tier] = "tag"
    listing_lag: ClassVar[float] = 10.0
    poll_batch: ClassVar[int] = 0  # one listing of a cluster answers for all of its steps

    config: EmrConfig

    def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
        """Keep the settings."""
        super().__init__(config, context)
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Make the client: a thread reads botocore's models, which takes a fifth of a second."""
        session = await asyncio.to_thread(self._session)
        self._client = await self._stack.enter_async_context(session.create_client(**self._arguments()))

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    # --- clusters -----------------------------------------------------------------------------------

    async def create(self, order: InstanceOrder) -> str:
        """See `ResourceManager.create`."""
        name = names.cluster_name(f"{self.config.name}-{order.number}", order.token, self._installation)
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
        async with answers.answered():
            answer = await self._client.run_job_flow(**asked)
        return _handle(answer.get("JobFlowId"))

    async def find_instance(self, order: InstanceOrder, since_ms: int) -> Sequence[Found]:
        """See `ResourceManager.find_instance`."""
        after = datetime.fromtimestamp(max(0, since_ms - _EARLIER_MS) / 1000, UTC)
        found: list[Found] = []
        async with aclosing(self._pages("list_clusters", "Clusters", CreatedAfter=after)) as entries:
            async for entry in entries:
                if names.mark_in(str(entry.get("Name", ""))) == order.token:
                    is_open = answers.state_of(entry) not in _GOING
                    at_ms = answers.created_ms(entry)
                    found.append(Found(str(entry["Id"]), order.token, at_ms, is_open=is_open))
        return found

    async def check(self, handle: str) -> InstanceStatus:
        """See `ResourceManager.check`; steps of others that wait or run make it busy."""
        try:
            cluster = await self._described(handle)
        except answers.ClusterUnknown as gone:
            return InstanceStatus("gone", gone.reason)
        raw = answers.state_of(cluster)
        why = cluster["Status"].get("StateChangeReason", {}).get("Message", "")
        word = answers.CLUSTER_WORDS.get(raw, "creating")
        if raw == "TERMINATED_WITH_ERRORS" and "ReadyDateTime" not in cluster["Status"].get("Timeline", {}):
            word = "failed"
        facts: JsonObject = {"name": cluster.get("Name"), "id": handle}
        if word == "ready" and (foreign := await self._foreign(handle)):
            return InstanceStatus("busy", "steps of others", raw, {**facts, "foreign": foreign[:5]})
        return InstanceStatus(word, why, raw, facts)

    async def destroy(self, handle: str) -> None:
        """See `ResourceManager.destroy`; only here termination protection is lifted."""
        try:
            async with answers.answered():
                await self._client.set_termination_protection(JobFlowIds=[handle], TerminationProtected=False)
                await self._client.terminate_job_flows(JobFlowIds=[handle])
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
            "Name": names.step_name(job, self._installation),
            "ActionOnFailure": given.on_failure,
            "HadoopJarStep": jar,
        }
        async with answers.answered():
            answer = await self._client.add_job_flow_steps(JobFlowId=job.instance, Steps=[step])
        return _handle(next(iter(answer.get("StepIds") or ()), None))

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """See `ResourceManager.find`."""
        found: list[Found] = []
        async with aclosing(self._steps(job.instance)) as entries:
            async for entry in entries:
                at_ms = answers.created_ms(entry)
                if at_ms and at_ms < since_ms - _EARLIER_MS:
                    break  # newest first: what follows is older still
                mark = names.mark_in(str(entry.get("Name", "")))
                if mark.startswith(job.token):
                    is_open = answers.state_of(entry) in _ACTIVE
                    found.append(Found(str(entry["Id"]), mark, at_ms, is_open=is_open))
        return found

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: few are asked for by name, many are read from the listing."""
        wanted, told = set(handles), dict[str, JobStatus]()
        few = {"StepIds": list(handles)} if len(handles) <= _IDS_AT_ONCE else {}
        async with aclosing(self._steps(instance, **few)) as entries:
            async for entry in entries:
                if entry.get("Id") in wanted:
                    told[str(entry["Id"])] = answers.step_status(entry, instance)
                    if len(told) == len(wanted):
                        break
        return await self._without_stopped(instance, told)

    async def cancel(self, instance: str, handle: str) -> None:
        """See `ResourceManager.cancel`; what EMR makes of it is seen at the next poll."""
        async with answers.answered():
            await self._client.cancel_steps(
                ClusterId=instance, StepIds=[handle], StepCancellationOption="TERMINATE_PROCESS"
            )

    # --- within -------------------------------------------------------------------------------------

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
        mine = names.owner(self._installation)
        entries = self._steps(handle, StepStates=_ACTIVE)
        listed = [str(entry.get("Name", "")) async for entry in entries]
        return [name for name in listed if names.owner_in(name) != mine]

    async def _described(self, handle: str) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        async with answers.answered():
            answer = await self._client.describe_cluster(ClusterId=handle)
        cluster = answer.get("Cluster")
        if not isinstance(cluster, dict) or not isinstance(cluster.get("Status"), dict):
            raise OutcomeOpen("DescribeCluster answered without a cluster")
        return cluster

    def _steps(self, cluster: str, **which: object) -> _Entries:
        return self._pages("list_steps", "Steps", ClusterId=cluster, **which)

    async def _pages(self, call: str, key: str, **given: object) -> _Entries:
        """Every entry of a listing; it ends early only by an exception."""
        marker: dict[str, object] = {}
        while True:
            async with answers.answered():
                answer = await getattr(self._client, call)(**given, **marker)
            if not isinstance(answer.get(key), list):
                raise OutcomeOpen(f"{call} answered without {key}")
            for entry in answer[key]:
                yield entry
            if not answer.get("Marker"):
                return
            marker = {"Marker": answer["Marker"]}

    @property
    def _installation(self) -> str:
        return self.context.installation

    def _session(self) -> AioSession:
        """A session whose models are read; runs in a thread, with a loop of its own for a first client."""
        from aiobotocore.session import get_session  # noqa: PLC0415  # half a second, and not on the loop

        session = get_session()

        async def warm() -> None:
            async with session.create_client(**self._arguments()):
                pass

        asyncio.run(warm())
        return session

    def _arguments(self) -> dict[str, object]:
        from aiobotocore.config import AioConfig  # noqa: PLC0415  # see `_session`

        config = self.config
        given: dict[str, object] = {
            "service_name": "emr",
            "region_name": config.region,
            "config": AioConfig(
                retries={"total_max_attempts": 1},  # a repeated AddJobFlowSteps is a second step
                connect_timeout=10,
                read_timeout=config.read_timeout_s,
                max_pool_connections=config.connections,
                parameter_validation=True,
            ),
        }
        if config.endpoint_url:
            given["endpoint_url"] = config.endpoint_url
        if config.access_key:
            given["aws_access_key_id"] = config.access_key
            given["aws_secret_access_key"] = config.secret_key.get_secret_value()
        if config.session_token.get_secret_value():
            given["aws_session_token"] = config.session_token.get_secret_value()
        return given


def _handle(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > MOST_HANDLE_CHARACTERS:
        raise OutcomeOpen("the answer has no usable id")
    return value

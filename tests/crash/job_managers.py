"""Managers of the service in `job_service`, one per tier, over connections of their own.

Each request can be killed at moments of its own: half sent, sent, answered. They are reached as
those of `runtime/points` are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import ClassVar, cast

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.errors import InstanceGone
from asyncflow.plugins.jobs import Found, InstanceOrder, InstanceStatus, InstanceWord, Job, JobStatus, Tier
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import PluginConfig, ResourceManager
from asyncflow.runtime import points
from asyncflow.testing.services import AnyInput
from tests.crash.job_workflows import CLUSTER, job_type

SENT = "submit_sent"
SUBMIT_MOMENTS = ("submit_half_sent", SENT)
FIND_MOMENTS = ("find_sent", "find_answered")
POLL_MOMENTS = ("poll_sent",)
CANCEL_MOMENTS = ("cancel_half_sent", "cancel_sent")
INSTANCE_MOMENTS = ("create_sent", "create_answered", "check_sent", "destroy_sent")
WIRE_MOMENTS = (*SUBMIT_MOMENTS, *POLL_MOMENTS, *CANCEL_MOMENTS)


async def ask(port: int, what: str, **given: object) -> object:
    """One request to the service, and its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        body = to_json(given)
        head = b"POST /%b HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (what.encode(), len(body))
        half = len(body) // 2
        writer.write(head + body[:half])
        await writer.drain()
        points.reach(f"{what}_half_sent")
        writer.write(body[half:])
        await writer.drain()
        points.reach(f"{what}_sent")
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        value: object = from_json(await reader.readexactly(length))
        points.reach(f"{what}_answered")
        return value
    finally:
        writer.close()


class PortConfig(PluginConfig):
    """Where the service listens."""

    port: int


class TokenManager(ResourceManager):
    """Of a service that knows a token again."""

    Config = PortConfig
    config: PortConfig
    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {job_type("token"): AnyInput}
    tier: ClassVar[Tier] = "token"
    submit_timeout: ClassVar[float] = 8.0

    async def submit(self, job: Job) -> str:
        """See the contract."""
        return str(await ask(self.config.port, "submit", job=asdict(job), tier=self.tier))

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See the contract."""
        del instance
        answer = await ask(self.config.port, "poll", handles=handles)
        assert isinstance(answer, dict)
        return {handle: JobStatus(**status) for handle, status in answer.items()}

    async def cancel(self, instance: str, handle: str) -> None:
        """See the contract."""
        del instance
        await ask(self.config.port, "cancel", handle=handle)


class OnceManager(TokenManager):
    """Of a service that knows nothing again and cannot be searched; nothing is done twice there."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {job_type("once"): AnyInput}
    tier: ClassVar[Tier] = "none"


class AgainManager(TokenManager):
    """Of such a service where doing it twice is better than not at all."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {job_type("again"): AnyInput}
    tier: ClassVar[Tier] = "none"


class TagManager(TokenManager):
    """Of a service that can be searched, some time later."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {job_type("tag"): AnyInput}
    tier: ClassVar[Tier] = "tag"
    listing_lag: ClassVar[float] = 2.0

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """See the contract."""
        answer = await ask(self.config.port, "find", job=asdict(job), since_ms=since_ms)
        assert isinstance(answer, list)
        return [Found(**each) for each in answer]


class ClusterManager(TagManager):
    """Of a service whose jobs run on instances that are made for them."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {job_type(CLUSTER): AnyInput}

    async def submit(self, job: Job) -> str:
        """See the contract."""
        answer = await ask(self.config.port, "submit", job=asdict(job), tier=self.tier)
        if answer is None:
            raise InstanceGone(f"{job.instance} takes no job")
        return str(answer)

    async def create(self, order: InstanceOrder) -> str:
        """See the contract."""
        return str(await ask(self.config.port, "create", token=order.token))

    async def find_instance(self, order: InstanceOrder, since_ms: int) -> Sequence[Found]:
        """See the contract."""
        answer = await ask(self.config.port, "find_instance", token=order.token)
        assert isinstance(answer, list)
        return [found for each in answer if (found := Found(**each)).created_ms >= since_ms]

    async def check(self, handle: str) -> InstanceStatus:
        """See the contract."""
        word = await ask(self.config.port, "check", handle=handle)
        return InstanceStatus(cast("InstanceWord", word))

    async def destroy(self, handle: str) -> None:
        """See the contract."""
        await ask(self.config.port, "destroy", handle=handle)


TIERS: Mapping[str, type[ResourceManager]] = {
    "token": TokenManager,
    "tag": TagManager,
    "once": OnceManager,
    "again": AgainManager,
}
"""What is promised, and by which plugin: at most once and at least once are the author's choice."""


def registry() -> Registry:
    """The plugins, each named as its tier, and the one with instances."""
    return Registry.built_in().with_classes(resources={**TIERS, CLUSTER: ClusterManager})


def resource(tier: str, port: int) -> ResourceSettings:
    """The resource that the jobs of a tier go to."""
    return ResourceSettings(
        tier,
        config={"port": port},
        poll_first_s=2.0,
        poll_max_s=6.0,
        at_least_once=tier == "again",
        idle_after_s=1.0,
        max_age_s=4.0,
    )

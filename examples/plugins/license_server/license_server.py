"""A licence server as a resource: a job holds a seat. Written from docs/plugins.md alone."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import aiohttp
from pydantic import SecretStr

from asyncflow.plugins import errors
from asyncflow.plugins.jobs import Job, JobStatus, JobWord
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceManager

WORDS: dict[str, JobWord] = {"solved": "succeeded", "infeasible": "failed", "returned": "cancelled"}
KINDS = {403: errors.CredentialsRefused, 422: errors.Rejected, 429: errors.Throttled}


class Settings(PluginConfig):
    url: str
    key: SecretStr


class Solve(JobInput):
    model: str


class LicenseManager(ResourceManager):
    """Solver runs on the seats of one licence server."""

    Config = Settings
    tasks: ClassVar = {"SOLVE": Solve}
    tier = "token"
    config: Settings

    async def open(self) -> None:
        self.session = aiohttp.ClientSession(headers={"X-Key": self.config.key.get_secret_value()})

    async def close(self) -> None:
        if hasattr(self, "session"):
            await self.session.close()

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, str]:
        try:
            async with self.session.request(method, self.config.url + path, json=body) as answer:
                status, told = answer.status, await answer.json()
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError) as error:
            raise errors.OutcomeOpen(type(error).__name__) from None
        if status < 300 and isinstance(told, dict):
            return told
        raise KINDS.get(status, errors.OutcomeOpen)(f"status {status}")

    async def submit(self, job: Job) -> str:
        return (await self.ask("POST", f"/seats/{job.token}", job.input))["seat"]

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        told = await self.ask("POST", "/look", list(handles))
        return {each: JobStatus(WORDS.get(word, "running"), raw=word) for each, word in told.items()}

    async def cancel(self, instance: str, handle: str) -> None:
        await self.ask("POST", f"/return/{handle}")

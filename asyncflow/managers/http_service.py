"""A service over HTTP that takes jobs: asked by POST, then looked at by GET until it says that it is over.

All of the service's own words are settings. It reaches only what HTTP tasks may reach, and shows its
credentials to the origin that it submits to alone. Read `answers` for what statuses mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator

from asyncflow.managers import answers
from asyncflow.model.values import JsonValue
from asyncflow.plugins import single_polls
from asyncflow.plugins.errors import OutcomeOpen, Rejected
from asyncflow.plugins.jobs import MOST_HANDLE_CHARACTERS, Job, JobStatus, JobWord, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager
from asyncflow.plugins.surroundings import HttpAnswer

_WORDS: Mapping[str, JobWord] = {
    "succeeded": "succeeded", "success": "succeeded", "completed": "succeeded", "done": "succeeded",
    "failed": "failed", "error": "failed", "cancelled": "cancelled", "canceled": "cancelled",
}  # fmt: skip
_MOST_WORD = 100


class HttpServiceConfig(PluginConfig):
    """Settings of a resource of type `http-service`; paths are as in `managers/answers.at`.

    `status_url` and `cancel_url` hold `{handle}`. Without `status_url` the handle is the address itself.
    `conflict` says what 409 means to a submit: that an earlier request with its key is still being done, so
    that it is asked again, or a refusal.
    """

    submit_url: str
    status_url: str = ""
    cancel_url: str = ""
    cancel_method: str = Field(default="DELETE", pattern="^(DELETE|POST|PUT)$")
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    handle_path: str = "id"
    status_path: str = "status"
    output_path: str = ""
    reason_path: str = "error"
    words: dict[str, JobWord] = Field(default_factory=dict)
    callback_key: str = ""
    conflict: Literal["under_way", "refused"] = "under_way"
    polls_at_once: int = Field(default=10, ge=1, le=100)
    timeout_s: float = Field(default=20.0, gt=0, le=25.0)

    @field_validator("status_url", "cancel_url")
    @classmethod
    def _has_a_place(cls, url: str) -> str:
        if url and "{handle}" not in url:
            raise ValueError("holds no {handle}")
        return url


class HttpJob(JobInput):
    """The input of an HTTP_JOB task: the body, sent as JSON."""

    body: JsonValue = None


class HttpServiceManager(ResourceManager):
    """One service. It has to honour `Idempotency-Key`: asked twice with one key, it does it once."""

    Config: ClassVar[type[PluginConfig]] = HttpServiceConfig
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"HTTP_JOB": HttpJob}
    tier: ClassVar[Tier] = "token"
    callback: ClassVar[bool] = True

    config: HttpServiceConfig

    def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
        """Keep the settings, the words in lower case."""
        super().__init__(config, context)
        self._words = {**_WORDS, **{word.lower(): ours for word, ours in self.config.words.items()}}

    async def submit(self, job: Job) -> str:
        """See `ResourceManager.submit`."""
        body = HttpJob.model_validate(job.input).body
        key = self.config.callback_key
        if key and job.callback_url and isinstance(body, Mapping):
            body = {**body, key: job.callback_url}
        answer = await self._send(
            "POST", self.config.submit_url, body=body, more={"Idempotency-Key": job.token}
        )
        if answer.status == 409 and self.config.conflict == "under_way":
            raise OutcomeOpen("HTTP 409: a request with this key is still being done")
        answers.checked(answer)
        handle = answers.text_at(answers.document(answer), self.config.handle_path)
        if not handle or len(handle) > MOST_HANDLE_CHARACTERS:
            raise OutcomeOpen(f"the answer has no handle at {self.config.handle_path!r}")
        return handle

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: a request each, a few at once."""
        del instance
        return await single_polls.each_of(handles, self._look, at_once=self.config.polls_at_once)

    async def cancel(self, instance: str, handle: str) -> None:
        """See `ResourceManager.cancel`."""
        del instance
        if not self.config.cancel_url:
            raise Rejected("the service has no cancel_url", is_final=True)
        url = self.config.cancel_url.replace("{handle}", quote(handle, safe=""))
        answers.checked(await self._send(self.config.cancel_method, url), also=(404, 409, 410))

    async def _look(self, handle: str) -> JobStatus | None:
        """How a job stands; None where the service does not know it."""
        known = self.config.status_url
        url = known.replace("{handle}", quote(handle, safe="")) if known else handle
        answer = answers.checked(await self._send("GET", url), also=(404, 410))
        if answer.status in (404, 410):
            return None
        told = answers.document(answer)
        raw = answers.text_at(told, self.config.status_path)
        if not raw:
            raise OutcomeOpen(f"the answer has no state at {self.config.status_path!r}")
        output = answers.at(told, self.config.output_path)
        return JobStatus(
            self._words.get(raw.lower(), "running"),
            dict(output) if isinstance(output, Mapping) else {"result": output},
            answers.text_at(told, self.config.reason_path),
            raw=raw[:_MOST_WORD],
        )

    async def _send(
        self, method: str, url: str, *, body: JsonValue = None, more: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """One request; credentials go to the origin of `submit_url` only, also if an answer names another."""
        headers = {"Accept": "application/json", **(more or {})}
        if _origin(url) == _origin(self.config.submit_url):
            headers |= {name: value.get_secret_value() for name, value in self.config.headers.items()}
        sent = None
        if method in ("POST", "PUT"):
            headers["Content-Type"] = "application/json"
            sent = json.dumps(body).encode()
        client = answers.client_of(self.context)
        return await client.send(method, url, headers=headers, body=sent, timeout_s=self.config.timeout_s)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc

"""Another workflow server, Conductor's or an asyncflow: one of its executions is a job here.

Both find an execution by its correlation id, which is the job's mark. An asyncflow also knows the token
again, so what was started is asked for once more instead of looked for; the settings say that it is one.
Read `answers` for what statuses mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import Field, SecretStr

from asyncflow.managers import answers
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.plugins import single_polls
from asyncflow.plugins.errors import Duplicate, OutcomeOpen
from asyncflow.plugins.jobs import Found, Job, JobStatus, JobWord, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager
from asyncflow.plugins.surroundings import HttpAnswer

_WORDS: Mapping[str, JobWord] = {
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "failed",
    "TERMINATED": "cancelled",
}


class WorkflowServerConfig(PluginConfig):
    """Settings of a resource of type `workflow-server`; `url` ends in `/api`.

    With `server` `asyncflow` its idempotency keys are relied on; `conductor` is for any server.
    """

    url: str
    server: Literal["asyncflow", "conductor"] = "conductor"
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    polls_at_once: int = Field(default=10, ge=1, le=100)
    timeout_s: float = Field(default=20.0, gt=0, le=25.0)


class RemoteWorkflow(JobInput):
    """The input of a REMOTE_WORKFLOW task."""

    name: str = Field(min_length=1)
    version: int | None = None
    input: JsonObject = Field(default_factory=dict)
    priority: int = Field(default=0, ge=0, le=99)


class WorkflowServerManager(ResourceManager):
    """One server. Looked for before anything is started again, as Conductor's knows no token.

    What it makes for an asyncflow is an `AsyncflowServerManager`.
    """

    Config: ClassVar[type[PluginConfig]] = WorkflowServerConfig
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"REMOTE_WORKFLOW": RemoteWorkflow}
    tier: ClassVar[Tier] = "tag"
    listing_lag: ClassVar[float] = 10.0

    config: WorkflowServerConfig

    def __new__(cls, config: PluginConfig, context: ResourceContext) -> Self:
        """The manager for the kind of server that the settings name."""
        del context
        is_ours = isinstance(config, WorkflowServerConfig) and config.server == "asyncflow"
        kind = AsyncflowServerManager if is_ours else cls
        return super().__new__(kind)  # type: ignore[return-value]  # a subclass of the class that is called

    async def submit(self, job: Job) -> str:
        """See `ResourceManager.submit`."""
        given = RemoteWorkflow.model_validate(job.input)
        asked: JsonObject = {
            "name": given.name,
            "input": given.input,
            "priority": given.priority,
            "correlationId": job.mark,
            "idempotencyKey": job.token,
            "idempotencyStrategy": "RETURN_EXISTING",
        }
        if given.version is not None:
            asked["version"] = given.version
        answer = answers.checked(await self._send("POST", "/workflow", body=asked), also=(409,))
        if answer.status == 409:
            raise Duplicate("an execution was started for this token, by another request")
        handle = answer.body.decode("utf-8", "replace").strip().strip('"')
        if not handle or len(handle) > 100 or not handle.replace("-", "").isalnum():
            raise OutcomeOpen("the answer is no id of an execution")
        return handle

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """See `ResourceManager.find`: the server lists what has this correlation id, ended or not."""
        del since_ms
        name = quote(RemoteWorkflow.model_validate(job.input).name, safe="")
        path = f"/workflow/{name}/correlated/{job.mark}?includeClosed=true&includeTasks=false"
        answer = answers.checked(await self._send("GET", path))
        listed = answers.document(answer)
        if not isinstance(listed, list):
            raise OutcomeOpen("the answer is no list of executions")
        return [
            Found(
                answers.text_at(one, "workflowId"),
                answers.text_at(one, "correlationId"),
                answers.number_at(one, "createTime"),
                is_open=answers.text_at(one, "status") not in _WORDS,
            )
            for one in listed
        ]

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: a request each, a few at once."""
        del instance
        return await single_polls.each_of(handles, self._look, at_once=self.config.polls_at_once)

    async def cancel(self, instance: str, handle: str) -> None:
        """See `ResourceManager.cancel`: the execution is terminated; one that has ended is left as it is."""
        del instance
        query = urlencode({"reason": "cancelled by the workflow that started it"})
        path = f"/workflow/{quote(handle, safe='')}?{query}"
        answers.checked(await self._send("DELETE", path), also=(400, 404, 409))

    async def _look(self, handle: str) -> JobStatus | None:
        path = f"/workflow/{quote(handle, safe='')}?includeTasks=false"
        answer = answers.checked(await self._send("GET", path), also=(404,))
        if answer.status == 404:
            return None
        told = answers.document(answer)
        raw, output = answers.text_at(told, "status"), answers.at(told, "output")
        if not raw:
            raise OutcomeOpen("the answer is no execution")
        return JobStatus(
            _WORDS.get(raw, "running"),
            {"workflowId": handle, "output": output, "status": raw},
            answers.text_at(told, "reasonForIncompletion"),
            started_ms=answers.number_at(told, "startTime"),
            ended_ms=answers.number_at(told, "endTime"),
            raw=raw,
        )

    async def _send(self, method: str, path: str, *, body: JsonValue = None) -> HttpAnswer:
        headers = {"Accept": "application/json, text/plain", "Content-Type": "application/json"}
        headers |= {name: value.get_secret_value() for name, value in self.config.headers.items()}
        sent = json.dumps(body).encode() if body is not None else None
        url = self.config.url.rstrip("/") + path
        client = answers.client_of(self.context)
        return await client.send(method, url, headers=headers, body=sent, timeout_s=self.config.timeout_s)


class AsyncflowServerManager(WorkflowServerManager):
    """A server that gives the same execution for the same idempotency key, for as long as it keeps keys."""

    tier: ClassVar[Tier] = "token"
    token_life: ClassVar[float] = 6 * 86_400.0  # asyncflow keeps a key for a week, unless told otherwise

"""Endpoints of AWS on a socket of this machine: EMR over its JSON protocol, with faults on demand.

For tests, examples and benchmarks; it checks no signature. What the service does is in
`testing/emr_service`, what can go wrong in `testing/faults`; EMR Serverless is `testing/emr_serverless`.
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Self

from aiohttp import web

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobWord
from asyncflow.testing.emr_service import AwsRefusal, Emr
from asyncflow.testing.faults import Call, Fault, FaultPlan

_JSON = "application/x-amz-json-1.1"
_REQUESTS: dict[Call, str] = {
    "submit": "AddJobFlowSteps",
    "find": "ListSteps",
    "poll": "ListSteps",
    "cancel": "CancelSteps",
    "create": "RunJobFlow",
    "find_instance": "ListClusters",
    "check": "DescribeCluster",
    "destroy": "TerminateJobFlows",
}
_STATES: dict[JobWord, str] = {
    "running": "RUNNING",
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}
_REFUSALS: dict[str, AwsRefusal] = {
    "throttled": AwsRefusal("ThrottlingException", "Rate exceeded"),
    "denied": AwsRefusal("UnrecognizedClientException", "The security token is invalid.", 403),
    "refused": AwsRefusal("ValidationException", "Something in the request is wrong."),
    "broken": AwsRefusal("InternalServerError", "An internal error occurred.", 500),
}


class AwsSocket:
    """A service of AWS while it is open, with faults: an async context manager with a `url`."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self.faults = FaultPlan()
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    def asked(self, request: web.Request, body: JsonObject) -> tuple[str, JsonObject]:
        """The operation that a request is for, and what is given to it."""
        raise NotImplementedError

    def perform(self, operation: str, given: JsonObject) -> JsonObject:
        """The answer to an operation; raises AwsRefusal."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Listen on a free port of the loopback address."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        operation, given = self.asked(request, json.loads(await request.read() or b"{}"))
        fault = self.faults.take(operation)
        if fault in _REFUSALS:
            return _refused(_REFUSALS[fault])
        if fault == "cut_before":
            return _cut(request)
        if fault == "silent":
            await self._closing.wait()
            return _cut(request)
        try:
            answer = self.perform(operation, given)
        except AwsRefusal as refusal:
            return _cut(request) if fault == "cut_after" else _refused(refusal)
        if fault == "cut_after":
            return _cut(request)
        if fault == "garbage":
            return web.Response(text="<html>It works!</html>", content_type="text/html")
        return _json(answer, 200)


class AwsEndpoint(AwsSocket):
    """Serves an `Emr`."""

    def __init__(self, emr: Emr) -> None:
        """Nothing is opened yet."""
        super().__init__()
        self.emr = emr

    def asked(self, request: web.Request, body: JsonObject) -> tuple[str, JsonObject]:
        """EMR names its operations in a header."""
        return request.headers.get("X-Amz-Target", "").rpartition(".")[2], body

    def perform(self, operation: str, given: JsonObject) -> JsonObject:
        """See `Emr.perform`."""
        return self.emr.perform(operation, given)

    # --- as `testing/faults.FakeService` --------------------------------------------------------------

    def jobs(self, token: str) -> int:
        """How many steps carry the token in their names."""
        return sum(token in step.name for step in self.emr.steps.values())

    def instances(self, token: str) -> int:
        """How many clusters carry the token in their names."""
        return sum(token in cluster.name for cluster in self.emr.clusters.values())

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        """Let the next request for this call meet the fault."""
        self.faults.plan(_REQUESTS[call], fault, skip=skip)

    def end_job(self, handle: str, word: JobWord) -> None:
        """End a step."""
        self.emr.end_step(handle, _STATES[word])

    def settle(self) -> None:
        """Clusters are where they go: what is looked at has come to the present."""
        for cluster in list(self.emr.clusters):
            self.emr.perform("DescribeCluster", {"ClusterId": cluster})


def _refused(refusal: AwsRefusal) -> web.Response:
    answer = _json({"__type": refusal.code, "message": refusal.message}, refusal.status)
    answer.headers["x-amzn-ErrorType"] = refusal.code  # where the protocol of a service looks for it
    return answer


def _json(answer: JsonObject, status: int) -> web.Response:
    return web.Response(body=json.dumps(answer).encode(), status=status, content_type=_JSON)


def _cut(request: web.Request) -> web.Response:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()

"""A small EMR Serverless on a socket of this machine: job runs of one application, with faults on demand.

For tests and examples; it checks no signature, and every application is there. A client token is known again
for `token_life_s`; what can go wrong is in `testing/faults`, the socket in `testing/aws`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from aiohttp import web

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobWord
from asyncflow.testing.aws import AwsSocket
from asyncflow.testing.emr_service import AwsRefusal
from asyncflow.testing.faults import Call, Fault

_REQUESTS: dict[Call, str] = {
    "submit": "StartJobRun",
    "find": "ListJobRuns",
    "poll": "GetJobRun",
    "cancel": "CancelJobRun",
}
_STATES: dict[JobWord, str] = {
    "running": "RUNNING",
    "succeeded": "SUCCESS",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}
_ENDED = ("SUCCESS", "FAILED", "CANCELLED")


@dataclass(slots=True, eq=False)
class Run:
    """One job run; `state` is the service's word."""

    id: str
    token: str
    name: str
    asked: JsonObject
    created_ms: int
    state: str = "SUBMITTED"


class ServerlessEndpoint(AwsSocket):
    """Serves job runs, which end as told."""

    def __init__(self, now_ms: Callable[[], int], *, page: int = 50, token_life_s: float = 3600.0) -> None:
        """No run is there; `page` of them are listed at once."""
        super().__init__()
        self.runs: dict[str, Run] = {}
        self._now_ms, self._page, self._token_life_ms = now_ms, page, token_life_s * 1000

    def asked(self, request: web.Request, body: JsonObject) -> tuple[str, JsonObject]:
        """`/applications/ID/jobruns[/ID]`; methods tell the rest."""
        run = unquote(request.path.rpartition("/jobruns")[2].strip("/"))
        names = {
            "POST": "StartJobRun",
            "DELETE": "CancelJobRun",
            "GET": "GetJobRun" if run else "ListJobRuns",
        }
        query: JsonObject = {name: request.query.getall(name) for name in request.query}
        return names[request.method], {**query, **body, "jobRunId": run}

    def perform(self, operation: str, given: JsonObject) -> JsonObject:
        """The answer to an operation; raises AwsRefusal."""
        if operation == "StartJobRun":
            return {"applicationId": "app", "jobRunId": self._start(given).id, "arn": "arn:aws:emr"}
        if operation == "ListJobRuns":
            return self._list(given)
        run = self.runs.get(str(given["jobRunId"]))
        if run is None:
            raise AwsRefusal("ResourceNotFoundException", f"JobRun {given['jobRunId']} does not exist.", 404)
        if operation == "GetJobRun":
            return {"jobRun": {**_shown(run), "jobRunId": run.id, "jobDriver": run.asked["jobDriver"]}}
        if run.state in _ENDED:
            raise AwsRefusal("ValidationException", "The job run has reached a terminal state.")
        run.state = "CANCELLED"
        return {"applicationId": "app", "jobRunId": run.id}

    def _start(self, given: JsonObject) -> Run:
        token, now_ms = str(given["clientToken"]), self._now_ms()
        for run in self.runs.values():
            if run.token == token and now_ms - run.created_ms < self._token_life_ms:
                return run
        number = len(self.runs) + 1
        made = Run(f"00f{number:013d}", token, str(given.get("name", "")), given, now_ms)
        self.runs[made.id] = made
        return made

    def _list(self, given: JsonObject) -> JsonObject:
        states, after_ms = given.get("states") or [], 0.0
        if isinstance(since := given.get("createdAtAfter"), list):
            after_ms = datetime.fromisoformat(str(since[0])).timestamp() * 1000
        assert isinstance(states, list)
        listed = [
            run
            for run in reversed(self.runs.values())
            if run.created_ms >= after_ms and (not states or run.state in states)
        ]
        marker = given.get("nextToken")
        first = int(str(marker[0])) if isinstance(marker, list) else 0
        answer: JsonObject = {"jobRuns": [_shown(run) for run in listed[first : first + self._page]]}
        return {**answer, "nextToken": str(first + self._page)} if listed[first + self._page :] else answer

    # --- as `testing/faults.FakeService` --------------------------------------------------------------

    def jobs(self, token: str) -> int:
        """How many runs were made for the token."""
        return sum(run.token == token for run in self.runs.values())

    def instances(self, token: str) -> int:
        """None: applications are made by others."""
        del token
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        """Let the next request for this call meet the fault; what aiohttp would send again meets it again."""
        times = 2 if fault.startswith("cut") and call != "submit" else 1
        self.faults.plan(_REQUESTS[call], fault, skip=skip, times=times)

    def end_job(self, handle: str, word: JobWord) -> None:
        """End a run."""
        self.runs[handle].state = _STATES[word]

    def settle(self) -> None:
        """Nothing is under way."""


def _shown(run: Run) -> JsonObject:
    at_s = run.created_ms / 1000
    return {
        "applicationId": "app", "id": run.id, "name": run.name, "state": run.state, "stateDetails": "",
        "arn": "arn:aws:emr", "createdBy": "me", "createdAt": at_s, "updatedAt": at_s,
        "executionRole": "role", "releaseLabel": "emr-7.9.0",
    }  # fmt: skip

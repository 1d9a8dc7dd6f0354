"""A small EMR in memory: clusters that start and stop, steps that wait and run, by a clock of the caller's.

It answers operations as plain objects and raises `AwsRefusal`; `testing/aws` puts it behind HTTP. What it
really did is in `truth`, so that a test can count what was made twice.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count, islice
from typing import NamedTuple, TypeVar, cast

from asyncflow.model.values import JsonObject
from asyncflow.testing.faults import Truth

_GOING = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_ACTIVE = ("PENDING", "RUNNING", "CANCEL_PENDING")
_NEVER = float("inf")
_MOST_ACTIVE = 256


class AwsRefusal(Exception):  # it is an answer
    """An operation refused, as AWS says it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Carry the code, the text and the HTTP status."""
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Timing(NamedTuple):
    """How long things take, in seconds.

    Attributes:
        boot, stop: of a cluster.
        step: of a step, unless `Emr.behaviour` says otherwise; endless by default.
        lag: after which a new step or cluster is listed.
    """

    boot: float = 0.0
    step: float = _NEVER
    stop: float = 0.0
    lag: float = 0.0


@dataclass(slots=True, eq=False)
class Step:
    """One step; `state` is EMR's word."""

    id: str
    name: str
    jar: JsonObject
    created_ms: int
    state: str = "PENDING"
    began_ms: int = 0
    ended_ms: int = 0
    reason: str = ""


@dataclass(slots=True, eq=False)
class Cluster:
    """One cluster, its steps in the order of their coming."""

    id: str
    name: str
    tags: list[JsonObject]
    created_ms: int
    concurrency: int
    is_protected: bool
    state: str = "STARTING"
    ready_ms: int = 0
    ended_ms: int = 0
    free_ms: int = 0
    most_running: int = 0
    steps: list[Step] = field(default_factory=list)
    pending: deque[Step] = field(default_factory=deque)
    running: list[tuple[float, int, Step, str]] = field(default_factory=list)

    @property
    def active(self) -> int:
        """Steps that wait or run."""
        return len(self.pending) + len(self.running)


_Entry = TypeVar("_Entry", Cluster, Step)


class Emr:
    """The service. `behaviour` gives the seconds a step takes and the state it ends in."""

    def __init__(
        self,
        now_ms: Callable[[], int],
        *,
        timing: Timing | None = None,
        behaviour: Callable[[Step], tuple[float, str]] | None = None,
        page: int = 50,
    ) -> None:
        """A service without clusters; `page` entries are listed at once."""
        self.timing = timing or Timing()
        self.clusters: dict[str, Cluster] = {}
        self.steps: dict[str, Step] = {}
        self.truth: list[Truth] = []
        self._now_ms, self._page, self._numbers = now_ms, page, count(1)
        self._behaviour = behaviour or (lambda _step: (self.timing.step, "COMPLETED"))

    # --- operations ---------------------------------------------------------------------------------

    def perform(self, operation: str, given: JsonObject) -> JsonObject:
        """The answer to an operation.

        Raises:
            AwsRefusal: what AWS would refuse.
        """
        actions = {
            "RunJobFlow": self._run, "ListClusters": self._list_clusters,
            "DescribeCluster": self._describe, "SetTerminationProtection": self._protect,
            "TerminateJobFlows": self._terminate, "AddJobFlowSteps": self._add_steps,
            "ListSteps": self._list_steps, "CancelSteps": self._cancel,
        }  # fmt: skip
        if operation not in actions:
            raise AwsRefusal("UnknownOperationException", f"no operation {operation!r}")
        return actions[operation](given)

    def _run(self, given: JsonObject) -> JsonObject:
        instances = _object(given.get("Instances"))
        number, now = next(self._numbers), self._now_ms()
        made = Cluster(
            id=f"j-{number:013d}",
            name=str(given["Name"]),
            tags=cast("list[JsonObject]", given.get("Tags") or []),
            created_ms=now,
            concurrency=int(str(given.get("StepConcurrencyLevel") or 1)),
            is_protected=bool(instances.get("TerminationProtected")),
            ready_ms=now + int(self.timing.boot * 1000),
        )
        self.clusters[made.id] = made
        self._note("RunJobFlow", made.id, name=made.name)
        return {"JobFlowId": made.id, "ClusterArn": f"arn:aws:elasticmapreduce:::cluster/{made.id}"}

    def _list_clusters(self, given: JsonObject) -> JsonObject:
        after = float(str(given.get("CreatedAfter") or 0)) * 1000
        states = cast("list[str]", given.get("ClusterStates") or [])
        for cluster in self.clusters.values():
            self._progress(cluster)
        listed = [
            cluster
            for cluster in reversed(self.clusters.values())
            if cluster.created_ms >= after and self._is_listed(cluster.created_ms)
            if not states or cluster.state in states
        ]
        shown, marker = self._one_page(listed, given)
        return {"Clusters": [_cluster_shown(cluster) for cluster in shown], **marker}

    def _describe(self, given: JsonObject) -> JsonObject:
        cluster = self._cluster(given.get("ClusterId"))
        shown = {"TerminationProtected": cluster.is_protected, "Tags": cluster.tags}
        return {"Cluster": {**_cluster_shown(cluster), **shown}}

    def _protect(self, given: JsonObject) -> JsonObject:
        for cluster in self._named(given):
            cluster.is_protected = bool(given["TerminationProtected"])
            self._note("SetTerminationProtection", cluster.id, on=cluster.is_protected)
        return {}

    def _terminate(self, given: JsonObject) -> JsonObject:
        clusters = self._named(given)
        if any(cluster.is_protected for cluster in clusters):
            raise AwsRefusal(
                "ValidationException",
                "Could not shut down one or more job flows since they are termination protected.",
            )
        for cluster in clusters:
            if cluster.state not in _GOING:
                self.lose(cluster.id)
        return {}

    def _add_steps(self, given: JsonObject) -> JsonObject:
        cluster = self._cluster(given.get("JobFlowId"))
        if cluster.state in _GOING:
            raise AwsRefusal(
                "ValidationException",
                "A job flow that is shutting down, terminated, or finished may not be modified.",
            )
        asked = cast("list[JsonObject]", given["Steps"])
        if cluster.active + len(asked) > _MOST_ACTIVE:
            raise AwsRefusal("ValidationException", "Maximum number of active steps for cluster exceeded.")
        made = [self._step(cluster, one) for one in asked]
        self._progress(cluster)
        return {"StepIds": [step.id for step in made]}

    def _list_steps(self, given: JsonObject) -> JsonObject:
        cluster = self._cluster(given.get("ClusterId"))
        ids = cast("list[str]", given.get("StepIds") or [])
        if ids:
            if len(ids) > 10:
                raise AwsRefusal("InvalidRequestException", "at most 10 StepIds")
            here = {step.id for step in cluster.steps}
            if unknown := next((one for one in ids if one not in here), ""):
                raise AwsRefusal("InvalidRequestException", f"Step id '{unknown}' is not valid.")
            return {"Steps": [_step_shown(self.steps[one]) for one in ids]}
        states = cast("list[str]", given.get("StepStates") or [])
        listed = (
            step
            for step in reversed(cluster.steps)
            if (not states or step.state in states) and self._is_listed(step.created_ms)
        )
        shown, marker = self._one_page(listed, given)
        return {"Steps": [_step_shown(step) for step in shown], **marker}

    def _cancel(self, given: JsonObject) -> JsonObject:
        self._cluster(given.get("ClusterId"))
        told: list[JsonObject] = []
        for one in cast("list[str]", given["StepIds"]):
            step = self.steps.get(one)
            if step is None or step.state not in _ACTIVE:
                told.append({"StepId": one, "Status": "FAILED", "Reason": "The step is not active."})
                continue
            self.end_step(one, "CANCELLED")
            told.append({"StepId": one, "Status": "SUBMITTED"})
        return {"CancelStepsInfoList": told}

    # --- what tests do to it ------------------------------------------------------------------------

    def lose(self, cluster_id: str, state: str = "TERMINATING") -> None:
        """A cluster goes, whoever wanted it: what waited is cancelled, what ran is interrupted."""
        cluster = self.clusters[cluster_id]
        now = self._now_ms()
        cluster.state, cluster.ended_ms = state, now + int(self.timing.stop * 1000)
        for step in cluster.pending:
            step.state, step.ended_ms = "CANCELLED", now
        for _, _, step, _ in cluster.running:
            step.state, step.ended_ms = "INTERRUPTED", now
        cluster.pending.clear()
        cluster.running.clear()
        self._note("TerminateJobFlows", cluster_id)

    def end_step(self, step_id: str, state: str, reason: str = "") -> None:
        """A step ends in this state."""
        step = self.steps[step_id]
        step.state, step.ended_ms, step.reason = state, self._now_ms(), reason
        for cluster in self.clusters.values():
            cluster.pending = deque(one for one in cluster.pending if one is not step)
            cluster.running = [entry for entry in cluster.running if entry[2] is not step]
            heapq.heapify(cluster.running)
        self._note("StepEnded", step_id, state=state)

    # --- how things go on ---------------------------------------------------------------------------

    def _step(self, cluster: Cluster, asked: JsonObject) -> Step:
        number = next(self._numbers)
        jar = _object(asked.get("HadoopJarStep"))
        step = Step(f"s-{number:013d}", str(asked["Name"]), jar, self._now_ms())
        self.steps[step.id] = step
        cluster.steps.append(step)
        cluster.pending.append(step)
        self._note("AddJobFlowSteps", step.id, name=step.name, cluster=cluster.id)
        return step

    def _progress(self, cluster: Cluster) -> None:
        """Bring a cluster to the present: every start and end at its own moment, in order."""
        now = self._now_ms()
        if cluster.state == "TERMINATING" and now >= cluster.ended_ms:
            cluster.state = "TERMINATED"
        if cluster.state in _GOING or now < cluster.ready_ms:
            return
        while True:
            self._fill(cluster)
            if not cluster.running or cluster.running[0][0] > now:
                break
            ended_ms, _, step, state = heapq.heappop(cluster.running)
            step.state, step.ended_ms = state, int(ended_ms)
            cluster.free_ms = step.ended_ms
            self._note("StepEnded", step.id, state=state)
        cluster.state = "RUNNING" if cluster.running else "WAITING"

    def _fill(self, cluster: Cluster) -> None:
        while cluster.pending and len(cluster.running) < cluster.concurrency:
            step = cluster.pending.popleft()
            step.state = "RUNNING"
            step.began_ms = max(step.created_ms, cluster.ready_ms, cluster.free_ms)
            seconds, state = self._behaviour(step)
            entry = (step.began_ms + seconds * 1000, next(self._numbers), step, state)
            heapq.heappush(cluster.running, entry)
            cluster.most_running = max(cluster.most_running, len(cluster.running))

    def _cluster(self, cluster_id: object) -> Cluster:
        cluster = self.clusters.get(str(cluster_id))
        if cluster is None:
            raise AwsRefusal("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        self._progress(cluster)
        return cluster

    def _named(self, given: JsonObject) -> list[Cluster]:
        return [self._cluster(one) for one in cast("list[str]", given["JobFlowIds"])]

    def _is_listed(self, created_ms: int) -> bool:
        return self._now_ms() >= created_ms + self.timing.lag * 1000

    def _one_page(self, listed: Iterable[_Entry], given: JsonObject) -> tuple[list[_Entry], JsonObject]:
        """A page and what leads to the next: the last entry shown, so that newer ones shift nothing."""
        marker, entries = given.get("Marker"), iter(listed)
        if marker is not None:
            for entry in entries:
                if entry.id == marker:
                    break
        shown = list(islice(entries, self._page + 1))
        if len(shown) <= self._page:
            return shown, {}
        return shown[: self._page], {"Marker": shown[self._page - 1].id}

    def _note(self, what: str, subject: str, **facts: object) -> None:
        self.truth.append(Truth(self._now_ms(), what, subject, facts))


def _cluster_shown(cluster: Cluster) -> JsonObject:
    timeline: JsonObject = {"CreationDateTime": cluster.created_ms / 1000}
    if cluster.state in ("RUNNING", "WAITING") or cluster.steps:
        timeline["ReadyDateTime"] = cluster.ready_ms / 1000
    status = {"State": cluster.state, "StateChangeReason": {}, "Timeline": timeline}
    return {"Id": cluster.id, "Name": cluster.name, "Status": status}


def _step_shown(step: Step) -> JsonObject:
    timeline: JsonObject = {"CreationDateTime": step.created_ms / 1000}
    if step.began_ms:
        timeline["StartDateTime"] = step.began_ms / 1000
    if step.ended_ms:
        timeline["EndDateTime"] = step.ended_ms / 1000
    status: JsonObject = {"State": step.state, "Timeline": timeline}
    if step.reason:
        status["FailureDetails"] = {"Reason": step.reason}
    return {"Id": step.id, "Name": step.name, "Config": step.jar, "Status": status}


def _object(value: object) -> JsonObject:
    return dict(value) if isinstance(value, dict) else {}

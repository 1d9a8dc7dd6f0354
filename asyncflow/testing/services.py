"""A service that takes jobs, for tests: it does what it is told to, and writes down what it really did.

It outlives the engines that use it, in memory or as a file that every process adds to. What can go wrong
with a call is `testing/faults`; time is the test's own, so nothing here waits for real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict

from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import CredentialsRefused, Duplicate, OutcomeOpen, Rejected, Throttled
from asyncflow.plugins.jobs import Ended, Found, Job, JobStatus, JobWord, Tier
from asyncflow.plugins.resources import PluginConfig, ResourceContext, ResourceManager
from asyncflow.testing.faults import Call, Fault, FaultPlan, Truth

TASK_TYPE = "FAKE_JOB"
_FOR_EVER_S = 10.0**7


class ServiceClock(Protocol):
    """The time of a service; `testing/clock.VirtualClock` is one."""

    def call_at(self, at_ms: int, call: Callable[[], None]) -> object:
        """Have this called then."""

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""


@dataclass(slots=True)
class Made:
    """One job that the service has.

    Attributes:
        ends_ms: when it ends by itself.
        word: how it ended; "running" before.
    """

    handle: str
    token: str
    mark: str
    created_ms: int
    ends_ms: int
    word: JobWord = "running"
    input: JsonObject = field(default_factory=dict)


class JobService:
    """Jobs that end by themselves after a while, or as told.

    Attributes:
        made: all jobs there ever were, by handle.
        truth: what was done, in order; with a file, what earlier processes did, too.
        faults: what calls will meet.
        duration_s: how long a job takes that is submitted from now on.
        latency_s: how long every call takes.
        listing_lag_s: how long a job is there before it is listed.
        lands_after_s: after so long a submit that met "silent" arrives after all; None for never.
        retry_after_s: what a throttled call is told.
        outputs: what jobs of this input's `name` give instead of their input.
        ignores_cancel: cancellations are taken and do nothing.
        tells_at_once: a submit gives how the job stands, too; for jobs that are over when they are there.
        say: words that polls give for handles instead of the truth; None for "not known".
    """

    def __init__(
        self,
        clock: ServiceClock,
        now_ms: Callable[[], int],
        *,
        duration_s: float = 1.0,
        path: Path | None = None,
    ) -> None:
        """Have no job, or those of the file."""
        self.made: dict[str, Made] = {}
        self.truth: list[Truth] = []
        self.faults = FaultPlan()
        self.duration_s, self.latency_s, self.listing_lag_s = duration_s, 0.0, 0.0
        self.lands_after_s: float | None = None
        self.retry_after_s = 0.0
        self.outputs: dict[str, JsonObject] = {}
        self.ignores_cancel = self.tells_at_once = False
        self.say: dict[str, JobStatus | object | None] = {}
        self.polls: list[list[str]] = []
        self._clock, self._now_ms, self._path = clock, now_ms, path
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        for line in path.read_text("utf-8").splitlines():
            at_ms, what, subject, facts = json.loads(line)
            truth = Truth(at_ms, what, subject, facts)
            self.truth.append(truth)
            self._apply(truth)

    def _did(self, what: str, subject: str, **facts: object) -> None:
        truth = Truth(self._now_ms(), what, subject, dict(facts))
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(truth) + "\n")
        self.truth.append(truth)
        self._apply(truth)

    def _apply(self, truth: Truth) -> None:
        facts = truth.facts
        if truth.what == "made":
            token, mark = str(facts["token"]), str(facts["mark"])
            given = facts["input"]
            ends_ms = facts["ends_ms"]
            assert isinstance(given, dict)
            assert isinstance(ends_ms, int)
            made = Made(truth.subject, token, mark, truth.at_ms, ends_ms, input=given)
            self.made[truth.subject] = made
        elif truth.what in ("succeeded", "failed", "cancelled"):
            self.made[truth.subject].word = truth.what  # type: ignore[assignment]  # one of the words

    # --- what tests ask ---------------------------------------------------------------------------

    def jobs(self, token: str) -> int:
        """How many jobs were ever made that carry the token."""
        return sum(made.token == token for made in self.made.values())

    def open_jobs(self) -> list[Made]:
        """The jobs that run."""
        return [made for made in self.made.values() if self._settled(made).word == "running"]

    def doubled(self) -> list[str]:
        """The tokens that more than one job ran for without being cancelled."""
        kept: dict[str, int] = {}
        for made in self.made.values():
            if self._settled(made).word != "cancelled":
                kept[made.token] = kept.get(made.token, 0) + 1
        return [token for token, count in kept.items() if count > 1]

    def fail(self, call: Call, fault: Fault, *, skip: int = 0, times: int = 1) -> None:
        """Let calls meet the fault: after `skip` good ones, so many in a row."""
        self.faults.plan(call, fault, skip=skip, times=times)

    def end_job(self, handle: str, word: JobWord) -> None:
        """Let a job end so."""
        if self._settled(self.made[handle]).word == "running":
            self._did(word, handle)

    def lose(self, handle: str) -> None:
        """Know nothing of a job any more."""
        self.say[handle] = None

    # --- what managers ask ------------------------------------------------------------------------

    async def submit(self, job: Job, *, tier: Tier) -> object:
        """Make a job, or give the one that has this token."""
        fault = await self._meet("submit", job, tier)
        handle = self._make(job, tier)
        self._afterwards(fault)
        if fault == "garbage":
            return ""
        return Ended(handle, self._told(handle)) if self.tells_at_once else handle  # type: ignore[arg-type]

    def _make(self, job: Job, tier: Tier) -> str:
        if tier == "token":
            known = next((made for made in self.made.values() if made.token == job.token), None)
            if known is not None:
                if known.mark != job.mark:
                    raise Duplicate("another payload", handle="")
                return known.handle
        handle = f"job-{len(self.made) + 1}"
        ends_ms = self._now_ms() + int(self.duration_s * 1000)
        self._did("made", handle, token=job.token, mark=job.mark, ends_ms=ends_ms, input=job.input)
        return handle

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """The jobs that carry the token and are listed by now."""
        fault = await self._meet("find")
        now_ms = self._now_ms()
        self._afterwards(fault)
        return [
            Found(made.handle, made.mark, made.created_ms, self._settled(made).word == "running")
            for made in self.made.values()
            if made.token == job.token
            and made.created_ms >= since_ms
            and made.created_ms + self.listing_lag_s * 1000 <= now_ms
        ]

    async def poll(self, handles: Sequence[str]) -> object:
        """How jobs stand."""
        self.polls.append([*handles])
        fault = await self._meet("poll")
        self._afterwards(fault)
        if fault == "garbage":
            return "<html>"
        answer: dict[str, object] = {}
        for handle in handles:
            status = self._told(handle)
            if status is not None:
                answer[handle] = status
        return answer

    def _told(self, handle: str) -> object | None:
        return self.say[handle] if handle in self.say else self._status(handle)

    def _status(self, handle: str) -> JobStatus | None:
        made = self.made.get(handle)
        if made is None:
            return None
        word = self._settled(made).word
        if word == "running":
            return JobStatus("running", raw="RUNNING")
        name = made.input.get("name")
        output = self.outputs.get(name, made.input) if isinstance(name, str) else made.input
        reason = "" if word == "succeeded" else f"the job {word}"
        return JobStatus(word, output if word == "succeeded" else {}, reason, raw=word.upper())

    def _settled(self, made: Made) -> Made:
        """The job as it is now: its time may have come."""
        if made.word == "running" and self._now_ms() >= made.ends_ms:
            self._did("succeeded", made.handle)
        return made

    async def cancel(self, handle: str) -> None:
        """Let a job end early, unless it has ended."""
        fault = await self._meet("cancel")
        if not self.ignores_cancel:
            made = self.made.get(handle)
            if made is not None and self._settled(made).word == "running":
                self._did("cancelled", handle)
        self._afterwards(fault)

    # --- faults -----------------------------------------------------------------------------------

    async def _meet(self, call: Call, job: Job | None = None, tier: Tier = "none") -> Fault | None:
        """Pass the time that a call takes; raise what it meets before anything is done."""
        fault = self.faults.take(call)
        if self.latency_s:
            await self._clock.sleep(self.latency_s)
        if fault == "silent":
            if job is not None and self.lands_after_s is not None:
                at_ms = self._now_ms() + int(self.lands_after_s * 1000)
                self._clock.call_at(at_ms, lambda: self._land(job, tier))
            await self._clock.sleep(_FOR_EVER_S)
        if fault is not None and fault not in ("cut_after", "garbage"):
            self._refuse(fault)
        return fault

    def _land(self, job: Job, tier: Tier) -> None:
        self._make(job, tier)

    def _refuse(self, fault: Fault) -> NoReturn:
        if fault == "throttled":
            raise Throttled("too many calls", retry_after_s=self.retry_after_s)
        if fault == "denied":
            raise CredentialsRefused("who are you")
        if fault == "refused":
            raise Rejected("no such thing")
        if fault == "broken":
            raise OutcomeOpen("500")
        raise ConnectionResetError("reset by peer")

    def _afterwards(self, fault: Fault | None) -> None:
        if fault == "cut_after":
            raise ConnectionResetError("reset by peer")


class AnyInput(BaseModel):
    """Any JSON object."""

    model_config = ConfigDict(extra="allow")


class ServiceManager(ResourceManager):
    """The manager of a `JobService`; `manager_of` makes one of another tier."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {TASK_TYPE: AnyInput}
    tier: ClassVar[Tier] = "token"
    service: JobService

    async def submit(self, job: Job) -> str:
        """See the contract."""
        return await self.service.submit(job, tier=self.tier)  # type: ignore[return-value]  # or garbage

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See the contract."""
        del instance
        return await self.service.poll(handles)  # type: ignore[return-value]  # garbage, when told to

    async def cancel(self, instance: str, handle: str) -> None:
        """See the contract."""
        del instance
        await self.service.cancel(handle)


class SearchableManager(ServiceManager):
    """One whose service can be searched."""

    tier: ClassVar[Tier] = "tag"

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """See the contract."""
        return await self.service.find(job, since_ms)


def manager_of(
    service: JobService, tier: Tier = "token", *, searchable: bool | None = None, **constants: object
) -> ServiceManager:
    """A manager of the service: of a tier, and with other constants of the class than it has.

    Args:
        searchable: whether jobs can be looked for; by default with tier tag only.
    """
    parent = SearchableManager if searchable or (searchable is None and tier == "tag") else ServiceManager
    kind = type("Manager", (parent,), {"tier": tier, **constants})
    manager: ServiceManager = kind(PluginConfig(), ResourceContext("fake"))
    manager.service = service
    return manager

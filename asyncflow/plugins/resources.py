"""The contract of resource managers: what one class says and does about a shared outside thing.

The engine decides who may use it, when, and how often; a manager only talks to the service. Every method
runs on the engine's loop and must not block it; what a call may raise is in `plugins/errors`. Read
`docs/plugins.md` for a whole one, and run `asyncflow.testing.resource_contract` over yours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Ended, Found, InstanceOrder, InstanceStatus, Job, JobStatus, Tier
from asyncflow.plugins.surroundings import CommandRules, HttpCalls

CONTRACT_VERSION = 1


class PluginConfig(BaseModel):
    """Settings of a plugin: its section without the engine's own keys. Unknown ones are refused.

    Attributes:
        of_the_machine: those that reach past what an API key may, such as a folder or an address inside: they
            are taken from the configuration file and the environment, and from no request.
    """

    of_the_machine: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobInput(BaseModel):
    """The input of a type of task. Unknown keys are refused, so that a mistyped one is not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class ResourceContext:
    """What the engine gives a manager.

    Attributes:
        name: of the resource, as configured.
        installation: of the database; a part of every token.
        folder: for files of this resource alone, there before `open`; None where the engine has no place.
        log: keeps a line about this resource: a message and facts, no secret among them.
        now_ms: UTC milliseconds; the engine's clock, so that tests can turn it.
        http: sends requests to checked addresses only; None where nothing may be asked.
        commands: where local processes may run; None unless who starts the engine allows them.
    """

    name: str
    installation: str = ""
    folder: Path | None = None
    log: Callable[[str, JsonObject], None] = lambda _message, _facts: None
    now_ms: Callable[[], int] = lambda: 0
    http_allow: Sequence[str] = field(default=())
    http: HttpCalls | None = None
    commands: CommandRules | None = None


class ResourceManager:
    """One shared outside thing. Subclass it; every method that the service has no word for is left out.

    A class that overrides `submit` takes jobs; one that overrides `create` has instances. A class that
    overrides neither limits only.

    Attributes:
        contract: the version of this contract it is written for.
        Config: its settings; parsed before the manager is made.
        tasks: by type of task, the model of its input; tasks of these types become jobs here.
        tier: what the service offers against doubled jobs, see `plugins/jobs.Tier`.
        token_life: seconds for which the service knows a token again (tier token).
        listing_lag: seconds after which a job is surely listed (tier tag).
        submit_timeout, poll_timeout: seconds after which a call counts as unanswered.
        poll_batch: handles one `poll` can be asked for; 0 for any number.
        callback: whether the service calls `Job.callback_url` at the end, so that polls are the fallback.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {}
    tier: ClassVar[Tier] = "none"
    token_life: ClassVar[float] = float("inf")
    listing_lag: ClassVar[float] = 0.0
    submit_timeout: ClassVar[float] = 30.0
    poll_timeout: ClassVar[float] = 20.0
    poll_batch: ClassVar[int] = 100
    callback: ClassVar[bool] = False

    def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
        """Keep what is given; connect to nothing yet."""
        self.config = config
        self.context = context

    async def open(self) -> None:
        """Begin: called once, before anything else, on the engine's loop."""

    async def close(self) -> None:
        """End: connections are closed, what runs outside goes on. Called once, also after a failed `open`."""

    # --- instances --------------------------------------------------------------------------------

    async def create(self, order: InstanceOrder) -> str:
        """Have an instance made and give its handle; it need not be ready yet.

        Called again with the same order when the outcome of an earlier call is not known, after
        `find_instance` found nothing.

        Raises:
            Rejected, OutcomeOpen, Throttled, CredentialsRefused
        """
        raise NotImplementedError

    async def find_instance(self, order: InstanceOrder, since_ms: int) -> Sequence[Found]:
        """All instances that carry the order's token, in any state, created since then.

        Raises:
            ServiceError: the listing is not known to be complete; never return half of one.
        """
        raise NotImplementedError

    async def check(self, handle: str) -> InstanceStatus:
        """How an instance stands now; `gone` where the service does not know it.

        Raises:
            OutcomeOpen, Throttled, CredentialsRefused
        """
        raise NotImplementedError

    async def destroy(self, handle: str) -> None:
        """Have an instance end. Must be safe to repeat; one that is gone already is success.

        Raises:
            OutcomeOpen, Throttled, CredentialsRefused
        """
        raise NotImplementedError

    # --- jobs -------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> str | Ended:
        """Hand a job in and give its handle, at most 1,000 characters, unique in this resource.

        A job that is over by then is given as `Ended`: what it held is free at once, without a poll. `poll`
        has to know its handle all the same, as the answer may be lost.

        With tier tag or none this must be one request, without repeats by the client library.

        Raises:
            Rejected, OutcomeOpen, Throttled, CredentialsRefused, InstanceGone, Duplicate
        """
        raise NotImplementedError

    async def find(self, job: Job, since_ms: int) -> Sequence[Found]:
        """All jobs that carry the job's token, in any state, created since then (tier tag, or token).

        Raises:
            ServiceError: the listing is not known to be complete; never return half of one.
        """
        raise NotImplementedError

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """How these jobs stand, in one call or few; a handle that the service does not know is left out.

        Args:
            instance: the handle of the instance they are on, "" where there are none.
            handles: at most `poll_batch`; never empty.

        Raises:
            OutcomeOpen, Throttled, CredentialsRefused, InstanceGone
        """
        raise NotImplementedError

    async def cancel(self, instance: str, handle: str) -> None:
        """Ask that a job ends early. Must be safe to repeat; polls tell what came of it.

        Raises:
            Rejected: it cannot be cancelled; it goes on, and its end counts.
            OutcomeOpen, Throttled, CredentialsRefused, InstanceGone
        """
        raise NotImplementedError

    @classmethod
    def parts(cls, given: JsonObject) -> Iterable[str]:
        """Of what parts of the resource a job takes one besides the whole, such as the domains of a mail.

        Each is limited by itself where `per_part` is configured, over all workflows and restarts. Called when
        the task is ready, whether or not the manager is open; must not block.

        Args:
            given: the input before secrets and stored values are put in; it may not fit the model.
        """
        del given
        return ()

    # --- what tasks that run here may use ---------------------------------------------------------

    def client(self, instance: str) -> object:
        """What `ctx.resource(NAME)` gives a task function that names this resource; None by default."""
        del instance
        return None


def takes_jobs(kind: type[ResourceManager]) -> bool:
    """Whether tasks can be handed to managers of this class."""
    return kind.submit is not ResourceManager.submit


def has_instances(kind: type[ResourceManager]) -> bool:
    """Whether managers of this class create and destroy something."""
    return kind.create is not ResourceManager.create


def has_parts(kind: type[ResourceManager]) -> bool:
    """Whether jobs of managers of this class say which parts of the resource they take."""
    return next(each for each in kind.__mro__ if "parts" in vars(each)) is not ResourceManager

"""Events of one resource: what was configured, and the life of each instance, with cause and reason.

They lie in the stream `resource:<name>`, see `resource_stream`, and are kinds of the union in
`model/events`, under one name; what they mean is in `decide/lifecycle_evolve`. Who uses an instance is not
among them: that is in the attempts' own events.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonObject

RESOURCE_STREAMS = "resource:"
"""What the names of these streams begin with; the name of the resource follows."""

_GENERATION = "@"


def resource_stream(name: str, generation: int = 1) -> str:
    """The stream of a resource: `resource:<name>`, `resource:<name>@2` once that could not be read."""
    return f"{RESOURCE_STREAMS}{name}{_GENERATION}{generation}" if generation > 1 else RESOURCE_STREAMS + name


def resource_of(stream: str) -> tuple[str, int]:
    """The name of the resource that a stream is of, and which of its streams this is."""
    name, _, generation = stream.removeprefix(RESOURCE_STREAMS).partition(_GENERATION)
    return name, int(generation) if generation.isdecimal() else 1


class ResourceConfigured(NamedTuple):
    """From now on these settings hold; the plugin's own are not among them."""

    type: str
    settings: JsonObject
    by: str = ""


class ResourceRemoved(NamedTuple):
    """It is not configured any more; its instances are drained and destroyed."""

    by: str = ""


class ResourceDrained(NamedTuple):
    """Somebody closed it: nothing new begins there, and its instances end when they are free."""

    by: str = ""
    reason: str = ""


class ResourceResumed(NamedTuple):
    """Somebody opened it again."""

    by: str = ""
    reason: str = ""


class ResourceResized(NamedTuple):
    """Somebody set how many instances there are; this holds until it is configured anew."""

    least: int
    most: int
    by: str = ""
    reason: str = ""


class ResourceReleased(NamedTuple):
    """Its history could not be read, and somebody said from which number on its instances are counted.

    It is the first event of another stream; the instances that are there follow.
    """

    next_number: int
    by: str = ""
    reason: str = ""


class ResourceForgotten(NamedTuple):
    """It is not configured, and somebody left its instances to themselves: nobody asks for them any more."""

    by: str = ""
    reason: str = ""


class InstanceAsked(NamedTuple):
    """The intent: an instance is wanted, and its creation is asked for under this token.

    `cause` is who wants it: `execution/task` of the first who waits, or `min_instances`.
    """

    number: int
    token: str
    cause: str = ""


class InstanceAskedAgain(NamedTuple):
    """Nobody knew whether it was there, and it was surely not found, or does not double: asked once more."""

    number: int
    reason: str = ""


class InstanceCreated(NamedTuple):
    """The service has it under this handle. `adopted`: it was found by its token, or named by a person.

    `by` and `reason` are that person's.
    """

    number: int
    handle: str
    adopted: bool = False
    by: str = ""
    reason: str = ""


class InstanceRefused(NamedTuple):
    """It was not created, for certain. `retry_ms`: when another may be asked for, on the elapsed clock."""

    number: int
    reason: str
    tries: int = 1
    retry_ms: int = 0


class InstanceUndecided(NamedTuple):
    """Nobody can tell whether it was created: a person has to say."""

    number: int
    reason: str = ""


class InstanceReady(NamedTuple):
    """It takes work."""

    number: int


class InstanceIdle(NamedTuple):
    """Nobody is on it since this moment of the elapsed clock, so that a restart does not begin to count anew.

    It is recorded once that lasted a while: nothing is for one that is busy.
    """

    number: int
    since_ms: int


class InstanceUsed(NamedTuple):
    """Somebody is on it again after it was recorded as idle."""

    number: int


class InstanceDraining(NamedTuple):
    """It takes nothing new from here on. `cause`: idle, age, code, drained, resized, removed or broken.

    `fence` rises with every one; whoever destroys the instance does it under the newest.
    """

    number: int
    cause: str
    fence: int
    reason: str = ""


class InstanceBack(NamedTuple):
    """It takes work again: it was found busy with the work of others, or is wanted again."""

    number: int
    reason: str = ""


class InstanceDestroying(NamedTuple):
    """The intent: nobody uses it, the service was asked, and it is destroyed now. There is no way back.

    With the cause `lost` the service said that it is gone or going, and who was on it left.
    """

    number: int
    cause: str
    fence: int
    reason: str = ""


class InstanceGone(NamedTuple):
    """It is not there any more. `by_itself`: nobody here asked for that."""

    number: int
    reason: str = ""
    by_itself: bool = False


class InstanceDoubled(NamedTuple):
    """Another one carries the token of this one; it is destroyed."""

    number: int
    handle: str


class DoubleDestroyed(NamedTuple):
    """The service took the order to destroy such a one."""

    number: int
    handle: str


class InstanceTroubled(NamedTuple):
    """A check failed, or the service said that something is wrong; once for each reason in a row."""

    number: int
    reason: str


ResourceEvent = (
    ResourceConfigured
    | ResourceRemoved
    | ResourceDrained
    | ResourceResumed
    | ResourceResized
    | ResourceReleased
    | ResourceForgotten
    | InstanceAsked
    | InstanceAskedAgain
    | InstanceCreated
    | InstanceRefused
    | InstanceUndecided
    | InstanceReady
    | InstanceIdle
    | InstanceUsed
    | InstanceDraining
    | InstanceBack
    | InstanceDestroying
    | InstanceGone
    | InstanceDoubled
    | DoubleDestroyed
    | InstanceTroubled
)

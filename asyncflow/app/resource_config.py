"""The settings of one resource, as `[resources.NAME]` and REST say them: the engine's keys and the plugin's.

What is no key of the engine's belongs to the plugin and is checked by its own model. Secrets are named
here, never held; the values are put in when a manager is made, see `plugins/settings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from asyncflow.errors import ConfigurationError
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import ResourceManager, has_instances, has_parts, takes_jobs
from asyncflow.plugins.settings import read_config

_RATE = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{0,9})\s*(ms|s|m|h|d)\s*")
_DURATION = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)\s*")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_YEAR_S = 366 * 86_400.0


def _seconds(value: object) -> object:
    """Seconds of a text such as `10m`; anything else as it is."""
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value)
    if found is None:
        try:
            return float(value)  # of a variable of the environment
        except ValueError:
            raise ValueError("a number of seconds, or a time such as 10m, is expected") from None
    return float(found[1]) * _UNIT_MS[found[2]] / 1_000


def _rate(value: str) -> str:
    found = _RATE.fullmatch(value)
    if value and not (found and int(found[1]) and int(found[2] or 1)):
        raise ValueError("a number from 1, a slash and a time above 0 are expected, such as 20/1m")
    return value


def _limit(max_concurrent: int, rate: str, reserve_after_s: float) -> ResourceLimit:
    """What admission keeps to."""
    found = _RATE.fullmatch(rate)
    starts = int(found[1]) if found else 0
    window_ms = int(found[2] or 1) * _UNIT_MS[found[3]] if found else 0
    return ResourceLimit(max_concurrent, starts, window_ms, round(reserve_after_s * 1_000))


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=_YEAR_S)]
Rate = Annotated[str, AfterValidator(_rate)]


class Instances(BaseModel):
    """How many instances there may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: int = Field(default=0, ge=0, le=10_000)
    max: int = Field(default=1, ge=1, le=10_000)


class Polling(BaseModel):
    """How often jobs are asked for, and how many at once; `batch` 0 leaves it to the plugin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: Duration = Field(default=5.0, gt=0)
    max: Duration = 60.0
    batch: int = Field(default=0, ge=0, le=100_000)


class PerPart(BaseModel):
    """What limits each part of a resource that the plugin's jobs take, such as the domain of a mail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_concurrent: int = Field(default=0, ge=0, le=1_000_000_000)
    rate: Rate = ""

    def limit(self, reserve_after_s: float) -> ResourceLimit:
        """What admission keeps to; the default limit, which is none, if it says nothing."""
        if not (self.max_concurrent or self.rate):
            return ResourceLimit()
        return _limit(self.max_concurrent, self.rate, reserve_after_s)


class ResourceSection(BaseModel):
    """One resource. Keys that are not among these are settings of the plugin."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = "limit"
    max_concurrent: int = Field(default=0, ge=0, le=1_000_000_000)
    """The sum of weights that may be held; 0 means any."""
    rate: Rate = ""
    """Starts in any window of time, such as `20/1m`."""
    reserve_after: Duration = Field(
        default=60.0, validation_alias=AliasChoices("reserve_after", "reserve_after_s")
    )
    """Who waits longer keeps everybody ranked below out until admitted."""
    instances: Instances = Instances()
    per_part: PerPart = PerPart()
    """What limits each part that jobs take, such as the domain of a mail; nothing if it says nothing."""
    per_instance: int = Field(default=0, ge=0, le=1_000_000)
    """Jobs on one instance at once; 0 means any."""
    idle_after: Duration = 600.0
    """An instance without jobs so long is destroyed."""
    max_age: Duration = 0.0
    """An instance so old takes no more jobs; 0 means any age."""
    poll: Polling = Polling()
    poll_blackout: Duration = 86_400.0
    """So long a job may not be heard of before a person has to decide."""
    on_code_change: Literal["keep", "cancel", "drain"] = "keep"
    at_least_once: bool = False
    """Submit again when nobody can tell whether a job is there; of use where the service knows no tokens."""
    on_lost: Literal["fail", "rerun"] = "fail"
    connections: int = Field(default=20, ge=1, le=10_000)
    cancel_grace: Duration = 300.0

    @property
    def config(self) -> JsonObject:
        """The settings of the plugin, with the names of secrets."""
        return dict(self.model_extra or {})

    def limit(self) -> ResourceLimit:
        """What admission keeps to."""
        return _limit(self.max_concurrent, self.rate, self.reserve_after)

    def settings(self) -> ResourceSettings:
        """What the engine is made with."""
        return ResourceSettings(
            type=self.type,
            limit=self.limit(),
            config=self.config,
            min_instances=self.instances.min,
            max_instances=self.instances.max,
            per_instance=self.per_instance,
            idle_after_s=self.idle_after,
            max_age_s=self.max_age,
            poll_first_s=self.poll.first,
            poll_max_s=self.poll.max,
            on_code_change=self.on_code_change,
            at_least_once=self.at_least_once,
            on_lost=self.on_lost,
            poll_blackout_s=self.poll_blackout,
            connections=self.connections,
            cancel_grace_s=self.cancel_grace,
            poll_batch=self.poll.batch,
            per_part=self.per_part.limit(self.reserve_after),
        )


def parse_resource(body: JsonObject, place: str) -> ResourceSection:
    """The settings in a JSON object, as a document or an option gives them.

    Raises:
        ConfigurationError: something does not fit; every key is named, and no value shown.
    """
    try:
        return ResourceSection.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        told = (f"{'.'.join([place, *map(str, e['loc'])])}: {_without_prefix(e['msg'])}" for e in found)
        raise ConfigurationError("; ".join(told)) from None


def _without_prefix(message: str) -> str:
    return message.removeprefix("Value error, ")


def check_resource(
    section: ResourceSection, place: str, registry: Registry, secrets: Mapping[str, str]
) -> str:
    """Whether a plugin takes these settings: "", or why they cannot be judged, as the plugin is broken.

    Raises:
        ConfigurationError: there is no such type, or its settings do not fit; names `<place>.<key>`.
    """
    manager = registry.resources.get(section.type)
    if manager is None:
        said = registry.why_not("resource", section.type)
        if any((each.kind, each.name) == ("resource", section.type) for each in registry.plugins):
            return said
        raise ConfigurationError(f"{place}.type: {section.type!r}: {said}")
    faults = [*_without_effect(section, place, manager)]
    if section.instances.min > section.instances.max:
        faults.append(f"{place}.instances: min is above max")
    if section.poll.first > section.poll.max:
        faults.append(f"{place}.poll: first is above max")
    if faults:
        raise ConfigurationError("; ".join(faults))
    known = [*ResourceSection.model_fields]
    read_config(manager.Config, section.config, place=place, secrets=secrets, also=known)
    return ""


_OF_INSTANCES = ("instances", "per_instance", "idle_after", "max_age")
_OF_JOBS = ("poll", "poll_blackout", "on_code_change", "at_least_once", "on_lost", "cancel_grace")


def _without_effect(section: ResourceSection, place: str, kind: type[ResourceManager]) -> Iterator[str]:
    """Settings that are given and could mean nothing for this type."""
    listed = (
        (has_instances(kind), _OF_INSTANCES, "has no instances"),
        (takes_jobs(kind), _OF_JOBS, "takes no jobs"),
        (has_parts(kind), ("per_part",), "has no parts"),
    )
    for known, keys, said in listed:
        for key in keys:
            if not known and key in section.model_fields_set:
                yield f"{place}.{key}: a resource of type {section.type} {said}"

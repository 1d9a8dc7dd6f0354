"""What is configured of one resource, apart from how its service is reached.

It checks what the engine relies on; a plugin checks its own `config`. What is made of it is in
`decide/lifecycle`, where it is read from in `app/config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Literal

from asyncflow.errors import InvalidInput
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject

LIMIT = "limit"
"""The type of a resource that only counts: it has no manager, no instances and takes no jobs."""

OnCodeChange = Literal["keep", "cancel", "drain"]
"""What becomes of the jobs of an execution whose definition is exchanged while they run.

keep: they go on and count. cancel: they are cancelled and run again. drain: they go on, and their instance
takes no other job any more and is replaced.
"""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ResourceSettings:
    """One configured resource.

    Attributes:
        type: of the plugin; `limit` for none.
        per_part: limits each part of the resource that jobs say they take, see `ResourceManager.parts`.
        config: the plugin's own settings; may hold secrets, and is recorded and shown nowhere.
        min_instances: kept also while nobody wants any.
        max_instances: that there may be at once; those being destroyed take no work and do not count.
        per_instance: holders that one instance has at once; 0 for any, so that one instance is enough.
        idle_after_s: an instance without holders is destroyed after so long.
        max_age_s: an instance takes nothing new after so long, and is replaced; 0 for any.
        on_code_change: see `OnCodeChange`.
        at_least_once: for a service that can neither be asked twice nor searched: do it again when nobody
            knows whether it was done, instead of having a person decide.
    """

    type: str = LIMIT
    limit: ResourceLimit = field(default_factory=ResourceLimit)
    config: JsonObject = field(default_factory=dict, repr=False)
    min_instances: int = 0
    max_instances: int = 1
    per_instance: int = 0
    idle_after_s: float = 600.0
    max_age_s: float = 0.0
    poll_first_s: float = 5.0
    poll_max_s: float = 60.0
    on_code_change: OnCodeChange = "keep"
    at_least_once: bool = False
    on_lost: Literal["fail", "rerun"] = "fail"
    poll_blackout_s: float = 86_400.0
    connections: int = 20
    cancel_grace_s: float = 300.0
    poll_batch: int = 0
    per_part: ResourceLimit = field(default_factory=ResourceLimit)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InvalidInput: one is negative, or two do not go together.
        """
        for name in ("min_instances", "per_instance", "idle_after_s", "max_age_s", "poll_blackout_s"):
            if getattr(self, name) < 0:
                raise InvalidInput("at least 0 expected", field=name)
        if self.max_instances < max(1, self.min_instances):
            raise InvalidInput("at least 1, and not below min_instances, expected", field="max_instances")
        if not 0 < self.poll_first_s <= self.poll_max_s:
            raise InvalidInput("above 0, and not above poll_max_s, expected", field="poll_first_s")
        if self.limit.rate and not self.limit.rate_window_ms:
            raise InvalidInput("a rate needs a window", field="rate")
        if self.connections < 1:
            raise InvalidInput("at least 1 expected", field="connections")


def check_resource_name(name: str) -> None:
    """Return if a resource may be called so.

    Raises:
        InvalidInput: it has other characters, or too many.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"1 to 64 of A-Z a-z 0-9 _ . - expected, got {name[:80]!r}", field="name")


def settings_of(configured: ResourceSettings | ResourceLimit) -> ResourceSettings:
    """A limit alone is a resource without a manager."""
    return configured if isinstance(configured, ResourceSettings) else ResourceSettings(limit=configured)


def settings_to_json(settings: ResourceSettings) -> JsonObject:
    """The settings as a document holds them; `settings_from_json` reads them back."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return {**values, "limit": _limit_to_json(settings.limit), "per_part": _limit_to_json(settings.per_part)}


def settings_from_json(body: JsonObject) -> ResourceSettings:
    """The settings of a document; keys that this release does not know are passed over."""
    known = {each.name for each in fields(ResourceSettings)}
    values = {key: value for key, value in body.items() if key in known}
    limit, part = (_limit_from_json(values.pop(key, None)) for key in ("limit", "per_part"))
    return ResourceSettings(limit=limit, per_part=part, **values)  # type: ignore[arg-type]  # as written above


def _limit_to_json(limit: ResourceLimit) -> JsonObject:
    return {key: value for key, value in limit._asdict().items() if key != "is_open"}  # that of the moment


def _limit_from_json(numbers: object) -> ResourceLimit:
    known = numbers if isinstance(numbers, dict) else {}
    return ResourceLimit(**{key: value for key, value in known.items() if key in ResourceLimit._fields})

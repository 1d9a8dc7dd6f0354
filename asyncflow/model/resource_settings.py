"""What is said of one resource: its limit, its life cycle, how jobs are watched, and the plugin's own part.

It is plain data, made by `app/resource_config` or by a program. What is done with it is in
`runtime/resources` and `runtime/jobs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject


@dataclass(frozen=True, slots=True)
class ResourceSettings:
    """One resource as it is configured.

    Attributes:
        type: which manager it has.
        config: the settings of the manager, with the names of secrets and not their values.
        per_instance: jobs on one instance at once; 0 for any.
        idle_after_s: an instance without jobs so long is destroyed.
        max_age_s: an instance so old takes no more jobs; 0 for any age.
        poll_blackout_s: so long a job may not be heard of before a person has to decide.
        on_code_change: what becomes of jobs of older code when a definition changes.
        at_least_once: submit again when nobody can tell whether a job is there; with tier none.
        connections: calls to the service at once.
        cancel_grace_s: so long a record waits for its job to be cancelled.
    """

    type: str = "limit"
    limit: ResourceLimit = field(default_factory=ResourceLimit)
    config: JsonObject = field(default_factory=dict)
    min_instances: int = 0
    max_instances: int = 1
    per_instance: int = 0
    idle_after_s: float = 600.0
    max_age_s: float = 0.0
    poll_first_s: float = 5.0
    poll_max_s: float = 60.0
    on_code_change: Literal["keep", "cancel", "drain"] = "keep"
    at_least_once: bool = False
    on_lost: Literal["fail", "rerun"] = "fail"
    poll_blackout_s: float = 86_400.0
    connections: int = 20
    cancel_grace_s: float = 300.0

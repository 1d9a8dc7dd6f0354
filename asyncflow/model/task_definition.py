"""Conductor's TaskDef: retries, timeouts and limits shared by all tasks of one name.

Shape and defaults only; the rules are `validate_task_definition`. Read `model/definition.py` next.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from asyncflow.model.extension import TaskDefinitionExtension
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.shape import Flag, Int, Long, Shape, Text, Texts, parse

RetryLogic = Literal["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"]
"""How the delay before a retry grows."""

TaskTimeoutPolicy = Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]
"""What a task's timeout does."""


class SchemaDefinition(Shape):
    """Conductor's SchemaDef: the schema of an input or output; kept, not enforced."""

    name: Text | None = None
    version: Int = 1
    type: Text | None = None
    data: dict[str, object] | None = None
    external_ref: Text | None = None


class CacheConfig(Shape):
    """Conductor's cache setting; kept, without effect."""

    key: Text | None = None
    ttl_in_second: Int = 0


class Registered(Shape):
    """What workflow and task definitions have in common; times are UTC milliseconds, set by the server."""

    name: Text = ""
    description: Text | None = None
    owner_email: Text | None = None
    owner_app: Text | None = None
    create_time: Long | None = None
    update_time: Long | None = None
    created_by: Text | None = None
    updated_by: Text | None = None
    input_schema: SchemaDefinition | None = None
    output_schema: SchemaDefinition | None = None


class TaskDefinition(Registered):
    """Conductor's TaskDef with its defaults.

    Every name that ends in seconds is a duration in seconds; 0 means no timeout, None no limit.

    Attributes:
        retry_count: retries after the first attempt; what is given wins, else as many as `retryDelays`
            lists, else 3.
    """

    retry_count: Int = 3
    retry_logic: RetryLogic = "FIXED"
    retry_delay_seconds: Int = 60
    backoff_scale_factor: Int = 1
    max_retry_delay_seconds: Int = 0
    backoff_jitter_ms: Int = 0
    timeout_seconds: Long = 0
    timeout_policy: TaskTimeoutPolicy = "TIME_OUT_WF"
    response_timeout_seconds: Long = 3600
    poll_timeout_seconds: Int | None = None
    total_timeout_seconds: Long = 0
    concurrent_exec_limit: Int | None = None
    rate_limit_per_frequency: Int | None = None
    rate_limit_frequency_in_seconds: Int | None = None
    input_template: dict[str, object] = Field(default_factory=dict)
    input_keys: Texts = Field(default_factory=list)
    output_keys: Texts = Field(default_factory=list)
    runtime_metadata: Texts = Field(default_factory=list)
    isolation_group_id: Text | None = None
    execution_name_space: Text | None = None
    task_status_listener_enabled: Flag = True
    base_type: Text | None = None
    enforce_schema: Flag = False
    extension: TaskDefinitionExtension | None = None

    @model_validator(mode="after")
    def _count_delays(self) -> Self:
        # Filled in here, and not where policies are made, so that whoever is shown the definition sees the
        # number that holds, and a definition that was rendered with all its numbers still says the same.
        delays = self._delays()
        if delays is not None and "retry_count" not in self.model_fields_set:
            object.__setattr__(self, "retry_count", len(delays))
        return self

    def kept_at_default(self) -> tuple[str, ...]:
        """The number of retries where a list of delays would set it."""
        return () if self._delays() is None else ("retry_count",)

    def _delays(self) -> list[float] | None:
        return None if self.extension is None else self.extension.retry_delays


def parse_task_definition(data: object, *, limits: Limits = DEFAULT_LIMITS) -> TaskDefinition:
    """A task definition from JSON values; shape only, the rules are not judged.

    Raises:
        DefinitionError: every violation of the shape, with its path.
    """
    return parse(TaskDefinition, data, limits=limits)

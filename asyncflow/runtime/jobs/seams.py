"""What jobs need of the rest of the runtime: whoever keeps the resources, and whoever takes reports.

Only types are here. The resources themselves are `runtime/resources`; the reports are `model/job_inputs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from asyncflow.errors import InvalidInput
from asyncflow.model.job_inputs import JobReport, JobsTold
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import ResourceManager

Report = Callable[[str, JobReport | JobsTold], None]
"""Takes a report for an execution; it is decided in turn."""

StateOf = Callable[[str], ExecutionState | None]
"""The state of an execution in memory."""


class ResourcePool(Protocol):
    """Who keeps the resources and their instances."""

    def settings_of(self, name: str) -> ResourceSettings | None:
        """What is said of a resource now; None if there is none of this name."""

    def manager(self, name: str) -> ResourceManager | None:
        """Its manager, open; None while it is not."""

    def trouble(self, name: str) -> str:
        """Why there is no manager."""

    def for_task(self, task_type: str, named: Sequence[str]) -> str:
        """The resource that a job goes to; raises InvalidInput."""

    def parts(self, name: str, given: JsonObject) -> Iterable[str]:
        """What parts of the resource a job with this input takes."""

    def place(self, name: str) -> str:
        """An instance for a grant, reserved at once; "" without instances."""

    def unplace(self, name: str, instance: str) -> None:
        """The reservation is over."""

    def restore_place(self, name: str, instance: str) -> None:
        """Recovery: an open job is on this instance."""

    def handle_of(self, name: str, instance: str) -> str:
        """What the service calls an instance; "" while it is not known."""

    def instance_gone(self, name: str, instance: str, reason: str) -> None:
        """A call said that the instance is gone."""

    def wanted(self, name: str) -> None:
        """Somebody waits at the gate of the resource."""


class NoResources:
    """The pool of an engine that has no resources with managers."""

    def settings_of(self, name: str) -> ResourceSettings | None:
        """There is none."""
        del name
        return None

    def manager(self, name: str) -> ResourceManager | None:
        """There is none."""
        del name
        return None

    def trouble(self, name: str) -> str:
        """Nothing is configured."""
        return f"no resource is named {name}"

    def for_task(self, task_type: str, named: Sequence[str]) -> str:
        """Refuse: no resource takes any job."""
        del named
        raise InvalidInput(f"no resource takes tasks of type {task_type}", field="asyncflow.resources")

    def parts(self, name: str, given: JsonObject) -> Iterable[str]:
        """There are none."""
        del name, given
        return ()

    def place(self, name: str) -> str:
        """There are no instances."""
        del name
        return ""

    def unplace(self, name: str, instance: str) -> None:
        """Nothing was reserved."""

    def restore_place(self, name: str, instance: str) -> None:
        """Nothing is there to be reserved."""

    def handle_of(self, name: str, instance: str) -> str:
        """No instance is known."""
        del name, instance
        return ""

    def instance_gone(self, name: str, instance: str, reason: str) -> None:
        """No instance is known."""

    def wanted(self, name: str) -> None:
        """Nothing can be made."""

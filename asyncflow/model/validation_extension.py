"""The rules of what stands under `asyncflow`: resources, priorities, weights and delays.

Order between tasks (`dependsOn`) is judged in `model/validation_graph.py`, unknown keys in
`model/validation_lint.py`; whether a resource exists is known to the engine alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncflow.errors import Violation
from asyncflow.model.durations import MAX_DURATION_SECONDS
from asyncflow.model.extension import (
    ResourceUse,
    TaskDefinitionExtension,
    TaskExtension,
    WorkflowExtension,
)
from asyncflow.model.holds import span_of
from asyncflow.model.shape import path_of
from asyncflow.model.walk import Place

MAX_WEIGHT = 1_000_000
"""The largest weight of one use of a resource."""


def task_extension_violations(
    extension: TaskDefinitionExtension,
    place: Place,
    *,
    references: frozenset[str] | None,
    task_type: str = "",
) -> Iterator[Violation]:
    """Why the extension of a task or task definition is refused.

    Args:
        references: the references of the definition; None when the extension belongs to no definition.
    """
    if extension.resources and task_type == "SUB_WORKFLOW":
        yield _at(place, "resources", "a SUB_WORKFLOW task may not name resources: its child may need them")
    yield from _resource_violations(extension.resources, place, references)
    yield from _priority_violations(extension.priority, place)
    if extension.weight < 0:
        yield _at(place, "weight", f"must be at least 0, not {extension.weight:g}")
    if extension.max_in_flight_per_worker < 0:
        most = extension.max_in_flight_per_worker
        yield _at(place, "maxInFlightPerWorker", f"must be at least 0 (0 for any), not {most}")
    for index, delay in enumerate(extension.retry_delays or ()):
        if not 0 <= delay <= MAX_DURATION_SECONDS:
            yield _at(place, "retryDelays", index, f"must be 0 to {MAX_DURATION_SECONDS} s, not {delay:g}")
    if isinstance(extension, TaskExtension) and extension.duration_ms is not None:
        yield from _duration_violations(extension.duration_ms, place)


def workflow_extension_violations(extension: WorkflowExtension) -> Iterator[Violation]:
    """Why the extension of a workflow definition is refused."""
    place = ("asyncflow",)
    yield from _resource_violations(extension.resources, place, None)
    yield from _priority_violations(extension.priority, place)
    weight = extension.fail_if_failed_weight_above
    if weight is not None and weight < 0:
        yield _at(place, "failIfFailedWeightAbove", f"must be at least 0, not {weight:g}")


def _at(place: Place, *parts_and_message: str | int) -> Violation:
    *parts, message = parts_and_message
    return Violation(path_of((*place, *parts)), str(message))


def _duration_violations(duration_ms: int, place: Place) -> Iterator[Violation]:
    most_ms = MAX_DURATION_SECONDS * 1000
    if not 0 <= duration_ms <= most_ms:
        yield _at(place, "durationMs", f"must be 0 to {most_ms} ms, not {duration_ms}")


def _priority_violations(priority: int | str | None, place: Place) -> Iterator[Violation]:
    if isinstance(priority, int) and not 0 <= priority <= 99:
        yield _at(place, "priority", f"must be 0 to 99, not {priority}")
    if isinstance(priority, str) and "${" not in priority:
        yield _at(place, "priority", f"must be 0 to 99 or an expression, not {priority[:80]!r}")


def _resource_violations(
    uses: Iterable[ResourceUse], place: Place, references: frozenset[str] | None
) -> Iterator[Violation]:
    seen: set[tuple[str, str | None]] = set()
    for index, use in enumerate(uses):
        here = (*place, "resources", index)
        if not use.name:
            yield _at(here, "name", "a resource must be named")
        if not 1 <= use.weight <= MAX_WEIGHT:
            yield _at(here, "weight", f"must be 1 to {MAX_WEIGHT}, not {use.weight}")
        if (use.name, use.key) in seen:
            yield _at(here, f"{use.name} is named twice: give one use with the sum of the weights")
        seen.add((use.name, use.key))
        if use.hold is not None:
            yield from _hold_violations(use.hold, here, references)


def _hold_violations(hold: str, place: Place, references: frozenset[str] | None) -> Iterator[Violation]:
    if references is None:
        yield _at(place, "hold", "only a task of a workflow can hold a resource over several tasks")
        return
    span = span_of(hold)
    if span is None:
        yield _at(place, "hold", f"must be 'from A to C' with two references, not {hold[:80]!r}")
        return
    for reference in span:
        if reference not in references:
            yield _at(place, "hold", f"names {reference!r}, which is no task of this definition")

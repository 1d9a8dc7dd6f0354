"""What every node may say about itself besides its own fields, and how that is written in JSON.

The words are Python's, the result is Conductor's, with asyncflow's own under one key. It judges only
what the JSON could not say at all; `model/definition` and its validation judge the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Literal, Protocol, TypedDict, runtime_checkable

from asyncflow.errors import InvalidInput
from asyncflow.sdk.references import render, render_mapping

Executor = Literal["loop", "thread", "process", "remote"]
Reassignment = Literal["any", "same_host", "not_last"]
ResourceUse = str | Mapping[str, object]
Resources = ResourceUse | Sequence[ResourceUse]
Seconds = float | timedelta


@runtime_checkable
class Waited(Protocol):
    """Something that `after=` can wait for."""

    @property
    def last_ref(self) -> str:
        """The reference name whose end is the end of the whole."""


After = Waited | str | Sequence[Waited | str]


class Options(TypedDict, total=False):
    """The options that a node of every type takes.

    Durations are seconds. `after` makes the node start when these have ended, in place of the order in
    which nodes stand. `task_definition` is embedded in place of the registered one. `extra` holds fields
    the builder has no word for, written as they are. Of workers elsewhere: `max_in_flight_per_worker` is
    how many tasks of the name one of them may have at once, `reassign` which one gets the next attempt,
    and with `pin_worker_version` all tasks of an execution go to workers of one code version.
    """

    ref: str
    name: str
    description: str
    inputs: Mapping[str, object]
    after: After
    optional: bool
    permissive: bool
    start_delay: Seconds
    retries: int
    async_complete: bool
    task_definition: Mapping[str, object]
    cache: tuple[str, int]
    metadata: Mapping[str, object]
    on_state_change: Mapping[str, object]
    resources: Resources
    priority: int
    weight: float
    retry_delays: Sequence[float]
    execute_when_recovering: bool
    executor: Executor
    max_in_flight_per_worker: int
    reassign: Reassignment
    pin_worker_version: bool
    extra: Mapping[str, object]


_FIELDS = {
    "description": "description",
    "optional": "optional",
    "permissive": "permissive",
    "start_delay": "startDelay",
    "retries": "retryCount",
    "async_complete": "asyncComplete",
    "task_definition": "taskDefinition",
    "cache": "cacheConfig",
    "metadata": "metadata",
    "on_state_change": "onStateChange",
}

_EXTENSION = {
    "resources": "resources",
    "priority": "priority",
    "weight": "weight",
    "retry_delays": "retryDelays",
    "execute_when_recovering": "executeWhenRecovering",
    "executor": "executor",
    "max_in_flight_per_worker": "maxInFlightPerWorker",
    "reassign": "reassign",
    "pin_worker_version": "pinWorkerVersion",
    "fail_if_failed_weight_above": "failIfFailedWeightAbove",
    "on_stop": "onStop",
}


def option_fields(options: Mapping[str, object], path: str) -> dict[str, object]:
    """The options of a node as fields of its task, in a fixed order; what is not given is left out."""
    written = {key: options[word] for word, key in _FIELDS.items() if options.get(word) is not None}
    if "startDelay" in written:
        written["startDelay"] = whole_seconds(written["startDelay"], f"{path}.start_delay")
    if "cacheConfig" in written:
        written["cacheConfig"] = cache_config(written["cacheConfig"], f"{path}.cache")
    return render_mapping(written, path)


def extension(options: Mapping[str, object], path: str) -> dict[str, object]:
    """The options that Conductor has no word for, as the content of the `asyncflow` key."""
    written = {key: options[word] for word, key in _EXTENSION.items() if options.get(word) is not None}
    if "resources" in written:
        written["resources"] = resource_uses(written["resources"], f"{path}.resources")
    return render_mapping(written, path)


def finished(
    fields: dict[str, object], own: Mapping[str, object], extra: Mapping[str, object] | None, path: str
) -> dict[str, object]:
    """The fields with the `asyncflow` key and the author's extra fields added to them.

    Raises:
        InvalidInput: an extra field would replace one that the builder has written.
    """
    extra = render_mapping(extra or {}, f"{path}.extra")
    more = extra.pop("asyncflow", {})
    if not isinstance(more, dict):
        raise InvalidInput("must be a mapping", field=f"{path}.extra.asyncflow")
    _refuse_double(fields, extra, path)
    _refuse_double(own, more, f"{path}.asyncflow")
    return {**fields, **extra, **({"asyncflow": {**own, **more}} if own or more else {})}


def _refuse_double(written: Iterable[str], extra: Iterable[str], path: str) -> None:
    double = sorted(set(written) & set(extra))
    if double:
        raise InvalidInput(f"extra repeats what is said already: {', '.join(double)}", field=path)


def resource_uses(value: object, path: str) -> list[object]:
    """Resources a task names, each as an object; a text is the name alone."""
    uses = [value] if isinstance(value, str | Mapping) else value
    if not isinstance(uses, Sequence) or not all(isinstance(use, str | Mapping) for use in uses):
        raise InvalidInput(f"{uses!r} is neither a resource nor a sequence of them", field=path)
    return [{"name": use} if isinstance(use, str) else render(use, path) for use in uses]


def uses(
    name: str,
    *,
    weight: int | None = None,
    mode: Literal["exclusive", "shared"] | None = None,
    key: object = None,
    hold: str | None = None,
) -> dict[str, object]:
    """A resource that a task needs, for the option `resources`.

    Args:
        weight: how much of its capacity is taken; 1 if it is not said.
        mode: an exclusive or shared lease instead of a share of the capacity.
        key: what is leased, often a reference; without it the resource as a whole.
        hold: the span of several tasks over which it is held, as in `from A to C`.
    """
    said = {"name": name, "weight": weight, "mode": mode, "key": key, "hold": hold}
    return render_mapping({word: value for word, value in said.items() if value is not None}, name)


def after_refs(after: After, path: str) -> list[str]:
    """The reference names that `after` waits for, in order, each once."""
    return list(
        dict.fromkeys(references([after] if isinstance(after, str | Waited) else after, f"{path}.after"))
    )


def references(members: object, path: str) -> list[str]:
    """The reference names of nodes, in order.

    Raises:
        InvalidInput: something is neither a node nor a reference name, or there is no sequence of them.
    """
    listed = list(members) if isinstance(members, Iterable) and not isinstance(members, str) else [members]
    names: list[str] = []
    for member in listed:
        if not isinstance(member, str | Waited):
            raise InvalidInput(f"{member!r} is neither a node nor a reference name", field=path)
        names.append(member if isinstance(member, str) else member.last_ref)
    return names


def refuse_unknown(options: Iterable[str], path: str) -> None:
    """Refuse a misspelt option of a node, which would otherwise be left out without a word.

    Raises:
        InvalidInput: there is no such option.
    """
    unknown = sorted(set(options) - Options.__annotations__.keys())
    if unknown:
        raise InvalidInput(
            f"a node has no option {', '.join(unknown)}; other fields go into extra", field=path
        )


def any_seconds(value: object, path: str) -> float:
    """A duration in seconds, fractions allowed.

    Raises:
        InvalidInput: it is no duration, endless, or negative.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise InvalidInput(f"{value!r} is no duration in seconds", field=path)
    return seconds


def whole_seconds(value: object, path: str) -> int:
    """A duration as the whole seconds in which Conductor counts.

    Raises:
        InvalidInput: it is no duration, negative, or has a fraction of a second.
    """
    seconds = any_seconds(value, path)
    if seconds != int(seconds):
        raise InvalidInput(f"{value!r} has a fraction; definitions count whole seconds here", field=path)
    return int(seconds)


def cache_config(value: object, path: str) -> dict[str, object]:
    """A pair of key and seconds as the `cacheConfig` of a task or workflow."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise InvalidInput("must be a pair: key and seconds", field=path)
    return {"key": render(value[0], path), "ttlInSecond": whole_seconds(value[1], path)}

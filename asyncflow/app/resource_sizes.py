"""How much there is to be of a resource, as a request says it: `maxConcurrent`, `perInstance`, `instances`.

It only reads the body, and names every fault by its field and limit; what is given holds by `app/resources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from asyncflow.errors import InvalidInput
from asyncflow.model.resource_settings import ResourceSettings

MIN, MAX = "instances.min", "instances.max"
_LIMIT, _EACH = "maxConcurrent", "perInstance"
_MOST = {_LIMIT: 1_000_000_000, _EACH: 1_000_000, MIN: 10_000, MAX: 10_000}
OF_INSTANCES = (_EACH, MIN, MAX)
"""What only a resource with instances has."""


def read_sizes(body: Mapping[str, object]) -> dict[str, int]:
    """The sizes in a body, by name, such as `instances.max`.

    Raises:
        InvalidInput: there is none, one is unknown, or is no number that may be; named by its field.
    """
    instances = body.get("instances", {})
    if not isinstance(instances, Mapping):
        raise InvalidInput("an object with min and max is expected", field="instances")
    given = {key: value for key, value in body.items() if key != "instances"}
    given |= {f"instances.{key}": value for key, value in instances.items()}
    if not given:
        raise InvalidInput(f"one of {', '.join(_MOST)} is expected", field="body")
    return {key: _size(key, value) for key, value in given.items()}


def _size(key: str, value: object) -> int:
    if key not in _MOST:
        raise InvalidInput(f"no such size; there are {', '.join(_MOST)}", field=key)
    least, most = int(key == MAX), _MOST[key]
    if type(value) is not int or not least <= value <= most:
        raise InvalidInput(f"a whole number from {least} to {most} is expected", field=key)
    return value


def resized_instances(now: tuple[int, int], sizes: Mapping[str, int]) -> tuple[int, int]:
    """How many instances there are to be at least and at most; what is not given stays as it is.

    Raises:
        InvalidInput: the least is above the most.
    """
    least, most = sizes.get(MIN, now[0]), sizes.get(MAX, now[1])
    if least > most:
        raise InvalidInput(f"min is {least}, and max is {most}", field="instances")
    return least, most


def resized_limits(before: ResourceSettings, sizes: Mapping[str, int]) -> ResourceSettings:
    """The settings with other limits."""
    limit = before.limit._replace(max_concurrent=sizes.get(_LIMIT, before.limit.max_concurrent))
    return replace(before, limit=limit, per_instance=sizes.get(_EACH, before.per_instance))

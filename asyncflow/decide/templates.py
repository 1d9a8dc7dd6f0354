"""How a TaskDef's inputTemplate fills in for a task's input, before and after resolution.

Shallow, as in Conductor: a key is taken whole or not at all. What a template's expressions mean is
in `expressions`.
"""

from __future__ import annotations

from collections.abc import Mapping


def with_input_template(
    parameters: Mapping[str, object], template: Mapping[str, object]
) -> dict[str, object]:
    """The parameters, still unresolved, with the template's keys that they lack, in this order."""
    return {**parameters, **{key: value for key, value in template.items() if key not in parameters}}


def apply_input_template(resolved: dict[str, object], template: Mapping[str, object]) -> dict[str, object]:
    """The resolved input where every key that came out null has the template's value as written.

    The input is changed in place and returned. Give it what `with_input_template` made, resolved, so
    that missing keys are there and their expressions already resolved.
    """
    for key, value in template.items():
        if resolved.get(key) is None:
            resolved[key] = value
    return resolved

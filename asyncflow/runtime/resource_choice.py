"""Which of the configured resources a job goes to.

It looks at what they take and at nothing of how they stand. The instance is
chosen in `runtime/resource_places`.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncflow.errors import InvalidInput
from asyncflow.runtime.resource_keeper import Keeper


def chosen_for(present: Sequence[Keeper], task_type: str, named: Sequence[str]) -> str:
    """The first named that takes tasks of this type, else the only one that does.

    Raises:
        InvalidInput: none takes it, or several and none is named.
    """
    fitting = [each.name for each in present if each.kind is not None and task_type in each.kind.tasks]
    chosen = [name for name in named if name in fitting]
    if chosen:
        return chosen[0]
    takers = {each.name for each in present if each.kind is not None and each.kind.tasks}
    if len(fitting) == 1 and takers.isdisjoint(named):
        return fitting[0]
    said = f"name one of {', '.join(sorted(fitting))}" if fitting else "none is configured that does"
    raise InvalidInput(
        f"no resource named takes tasks of type {task_type}: {said}", field="asyncflow.resources"
    )

"""Which of the configured resources a job goes to, and of which parts of it.

It looks at what they take and at nothing of how they stand. The instance is
chosen in `runtime/resource_places`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice

from asyncflow.errors import InvalidInput
from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.resource_keeper import Keeper

log = logging.getLogger("asyncflow.resources")

MOST_PARTS, _MOST_CHARACTERS = 100, 255
"""Of so many parts a job takes one; further ones are not limited."""


def chosen_for(present: Sequence[Keeper], task_type: str, named: Sequence[str]) -> str:
    """The first named that takes tasks of this type, else the only one that does.

    Raises:
        InvalidInput: none takes it, or several and none is named.
    """
    fitting = [each.name for each in present if each.kind is not None and task_type in each.kind.tasks]
    for name in named:
        if name in fitting:
            return name
    if len(fitting) == 1:
        takers = {each.name for each in present if each.kind is not None and each.kind.tasks} if named else ()
        if not any(name in takers for name in named):
            return fitting[0]
    said = f"name one of {', '.join(sorted(fitting))}" if fitting else "none is configured that does"
    raise InvalidInput(
        f"no resource named takes tasks of type {task_type}: {said}", field="asyncflow.resources"
    )


def parts_of(kind: type[ResourceManager], given: JsonObject) -> list[str]:
    """The parts that the plugin says a job takes, each once; none where it fails, which it tells the log."""
    try:
        said = dict.fromkeys(islice(kind.parts(given), MOST_PARTS))
        return [each[:_MOST_CHARACTERS] for each in said if each]
    except Exception as error:  # noqa: BLE001 - of a plugin; that the input is wrong is found when it is sent
        facts = {"plugin": kind.__qualname__, "reason": type(error).__name__}
        log.warning("parts of a job are not known", extra=facts)
        return []

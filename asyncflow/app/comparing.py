"""A workflow definition compared with what is registered, before it is registered itself.

What is safe and what breaks is said by `model/compatibility`; here is found what to compare with.
"""

from __future__ import annotations

from asyncflow.errors import Conflict, NotFound
from asyncflow.model.compatibility import differences, renames
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine

_MOST_NAMED = 20


def compare(engine: Engine, definition: WorkflowDefinition, against: int | None = None) -> JsonObject:
    """What a definition changes for the users of a registered version, each change safe or breaking.

    Args:
        against: the version; None is the newest up to its own, else the lowest. Without any, nothing breaks.

    Raises:
        NotFound: `against` is not registered.
    """
    former = _former(engine, definition, against)
    found = [] if former is None else differences(former, definition)
    return {
        "name": definition.name,
        "version": definition.version,
        "against": None if former is None else former.version,
        "compatible": not any(each.breaking for each in found),
        "mapping": dict(renames(found)),
        "differences": [each.shown() for each in found],
    }


def check_compatible(engine: Engine, definition: WorkflowDefinition) -> None:
    """Return if the definition breaks nobody who uses the version before it.

    Raises:
        Conflict: it does; every breaking change is named.
    """
    former = _former(engine, definition, None)
    found = [] if former is None else [each for each in differences(former, definition) if each.breaking]
    if former is not None and found:
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        named = "; ".join(map(str, found[:_MOST_NAMED]))
        raise Conflict(
            f"workflow {definition.name} version {definition.version} breaks what uses "
            f"version {former.version}: {named}{more}"
        )


def _former(engine: Engine, definition: WorkflowDefinition, against: int | None) -> WorkflowDefinition | None:
    versions = engine.catalog.workflows.get(definition.name, {})
    if against is not None:
        if against not in versions:
            raise NotFound("workflow", f"{definition.name} version {against}")
        return versions[against]
    if not versions:
        return None
    before = [each for each in versions if each <= definition.version]
    return versions[max(before) if before else min(versions)]

"""Limits of executions: a definition says how many of one key may be open, and the others wait.

Here an execution learns that it has to wait and goes on when it does not; nobody is counted or chosen,
which is for `decide/admission`. The runtime's part is `runtime/slots`.
"""

from __future__ import annotations

from asyncflow.decide.flow import begin_list, take_up
from asyncflow.decide.holds import execution_rows
from asyncflow.decide.java_text import java_text
from asyncflow.decide.repairing import repair
from asyncflow.decide.scheduling import OUTSIDE
from asyncflow.decide.step import Step
from asyncflow.errors import InvalidInput
from asyncflow.model.events import SlotAwaited, SlotTaken
from asyncflow.model.resources import SLOT_PREFIX
from asyncflow.model.statuses import PAUSED
from asyncflow.model.values import JsonValue

_LONGEST_KEY = 1_000

# An execution asks whenever it begins to be open: when it is started, and when it is opened again. Until
# it has its slot nothing of it is wanted but the slot and the workflow's timeout; what follows is put
# off, as while it is paused. The slot is given back by its end, in the same commit.
#
# A child under an execution that has a slot of the same limit needs none. If it did, as many parents as
# there are slots could each wait for a child that waits for a parent, for ever.


def await_slot(step: Step, *, begins: bool = False) -> bool:
    """Have the execution wait for a slot, where its definition limits executions; whether it waits now.

    Args:
        begins: its first tasks are still to be scheduled.

    Raises:
        InvalidInput: the key, or what it is to hold, comes to nothing usable.
    """
    state = step.state
    resource = ""
    if state.graph.definition.rate_limit_config is not None:
        resource = SLOT_PREFIX + _key(step)
        if resource in state.slots:
            resource = ""
    needs = execution_rows(state) if "resources" in state.graph.extra else None
    if not resource and not needs:
        return False
    step.emit(SlotAwaited(resource, begins, needs))
    return True


def _key(step: Step) -> str:
    graph = step.state.graph
    template = graph.extra.get("rateLimitKey")
    value: JsonValue = None if template is None else template.resolve(step.scope())
    if value is None:  # no key, or one that came to nothing: all of them together
        value = graph.definition.name
    if not isinstance(value, str | int | float | bool):
        raise InvalidInput(f"text expected, got {type(value).__name__}", field="rateLimitConfig.rateLimitKey")
    text = java_text(value)
    if len(text) > _LONGEST_KEY:
        raise InvalidInput(
            f"at most {_LONGEST_KEY} characters expected, got {len(text)}",
            field="rateLimitConfig.rateLimitKey",
        )
    return text


def slot_taken(step: Step, fence: int = 0) -> None:
    """The execution has its slot, and what it is to hold: begin, or go on from wherever it was put off."""
    state = step.state
    if not state.awaits_slot or state.status == PAUSED:
        return
    begins = state.begins
    step.emit(SlotTaken(fence))
    if begins:
        begin_list(step, state.graph.root, OUTSIDE)
        return
    if state.repair_cause:
        repair(step)
    take_up(step)

"""Events of resources as lines for people: what became of which instance, who asked for it, and why.

They are kept beside the journal, for searching; the events themselves are in the resource's stream.
"""

from __future__ import annotations

import re

from asyncflow.ids import task_id
from asyncflow.model.events import AttemptStarted, Event
from asyncflow.model.resource_events import resource_of
from asyncflow.store.log_records import ResourceLine

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_BAD = frozenset({"InstanceRefused", "InstanceUndecided", "InstanceTroubled", "InstanceDoubled"})
_HIDDEN = frozenset({"number", "token", "settings", "fence", "at_ms"})


def resource_line(stream: str, event: Event, at_ms: int) -> ResourceLine:
    """The line for an event of a resource's stream: `instance destroying 3: cause idle, reason …`."""
    kind = type(event).__name__
    facts = event._asdict()
    words = _CAPITAL.sub(" ", kind).lower()
    number = facts.get("number")
    subject = f"{words} {number}" if isinstance(number, int) else words
    told = ", ".join(f"{key} {value}" for key, value in facts.items() if key not in _HIDDEN and value)
    execution, _, _ = str(facts.get("cause", "")).partition("/")
    return ResourceLine(
        resource_of(stream)[0],
        at_ms,
        f"{subject}: {told}" if told else subject,
        "WARN" if kind in _BAD else "INFO",
        execution if "/" in str(facts.get("cause", "")) else "",
    )


def begun_line(stream: str, event: AttemptStarted, at_ms: int) -> ResourceLine:
    """The line for an attempt that began on a resource."""
    where = f" on {event.instance}" if event.instance else ""
    task = task_id(stream, event.number)
    said = f"task begun{where}: task {task} of execution {stream}"
    return ResourceLine(event.resource, at_ms, said, "INFO", stream, task)

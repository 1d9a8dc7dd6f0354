"""What files say there should be, against what there is: checked whole, compared field by field.

It reads no file and stores nothing; where things are stored is behind `Place`, which `app/applied_file`
and the command line implement. What each kind may hold is said by its own module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from asyncflow.app.event_definitions import parse_handler
from asyncflow.app.listener_config import parse_listener, shown_listener
from asyncflow.app.routing_rules import parse_rules
from asyncflow.app.schedule_definitions import parse_schedule
from asyncflow.errors import AsyncflowError, ConfigurationError, DefinitionError, InvalidInput, Violation
from asyncflow.model.definition import parse_task_definition, parse_workflow
from asyncflow.model.definition import to_json as definition_json
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.validation import validate_task_definition, validate_workflow
from asyncflow.model.values import JsonObject, JsonValue

Kind = Literal["task", "workflow", "routing", "schedule", "event handler", "listener"]
KINDS: tuple[Kind, ...] = ("task", "workflow", "routing", "schedule", "event handler", "listener")
"""In the order in which they are stored: what is named comes before what names it."""

Action = Literal["create", "change", "delete"]

_SAID_BY_SERVER = frozenset(
    {"createTime", "updateTime", "updatedTime", "createdBy", "updatedBy", "nextRunTime", "rolledBack"}
)
_SCHEDULE: JsonObject = {"zoneId": "UTC", "paused": False, "runCatchupScheduleInstances": False}
_HANDLER: JsonObject = {"active": False}
_PAUSES = ("paused", "pausedReason")
_MOST_FIELDS = 20  # of one object that are named; the rest is counted


class Key(NamedTuple):
    """What tells one object from all others; `version` is 0 but for workflows."""

    kind: Kind
    name: str
    version: int = 0


Objects = Mapping[Key, JsonObject]


class Change(NamedTuple):
    """One object that is to be stored, or deleted; `fields` are the paths that differ, with both values."""

    action: Action
    key: Key
    body: JsonObject
    fields: tuple[str, ...] = ()


class Place(Protocol):
    """Where objects are stored: a server, or a file."""

    async def read(self) -> dict[Key, JsonObject]:
        """Everything there is."""

    async def put(self, key: Key, body: JsonObject) -> None:
        """Store an object, or replace it; durable at return."""

    async def delete(self, key: Key) -> None:
        """Delete an object that is there; durable at return."""


# --- what is wanted -------------------------------------------------------------------------------


def check_entries(entries: Iterable[tuple[str, object]]) -> dict[Key, JsonObject]:
    """The objects that entries of files are; each comes with where it stands.

    Raises:
        DefinitionError: with everything that is wrong with any of them.
    """
    faults: list[Violation] = []
    found: dict[Key, JsonObject] = {}
    places: dict[Key, str] = {}
    for place, entry in entries:
        try:
            key, body = _checked(entry)
        except DefinitionError as error:
            faults += [
                Violation(f"{place}: {v.path}" if v.path else place, v.message) for v in error.violations
            ]
        except AsyncflowError as error:
            faults.append(Violation(place, str(error)))
        else:
            if key in found:
                faults.append(Violation(place, f"{said(key)} stands in {places[key]} as well"))
            found[key], places[key] = body, place
    if faults:
        raise DefinitionError(faults)
    return found


def check_versions(wanted: Objects, present: Objects) -> None:
    """Return if every version that a routing rule names will be there.

    Raises:
        DefinitionError: one will not.
    """
    known = {(key.name, key.version) for key in (*wanted, *present) if key.kind == "workflow"}
    faults = [
        Violation(said(key), f"version {version} of {key.name} is neither registered nor in the files")
        for key, body in wanted.items()
        if key.kind == "routing"
        for version in sorted(parse_rules(body).versions())
        if (key.name, version) not in known
    ]
    if faults:
        raise DefinitionError(faults)


def kind_of(entry: Mapping[str, object]) -> Kind:
    """What an object is, by the fields that only its kind has."""
    if "tasks" in entry or "schemaVersion" in entry:
        return "workflow"
    if "startWorkflowRequest" in entry:
        return "schedule"
    if "actions" in entry and "event" in entry:
        return "event handler"
    if "listener" in entry:
        return "listener"
    return "routing" if "rules" in entry else "task"


def _checked(entry: object) -> tuple[Key, JsonObject]:
    if not isinstance(entry, dict):
        raise InvalidInput("an object is expected")
    kind = kind_of(entry)
    body: JsonObject = {name: value for name, value in entry.items() if name not in _SAID_BY_SERVER}
    _CHECKS[kind](body)
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInput("a text is expected", field="name")
    version = parse_workflow(body).version if kind == "workflow" else 0
    return Key(kind, name, version), body


def _check_workflow(body: JsonObject) -> None:
    _raise(validate_workflow(parse_workflow(body), limits=DEFAULT_LIMITS))


def _check_task(body: JsonObject) -> None:
    _raise(validate_task_definition(parse_task_definition(body)))


def listener_settings_of(body: JsonObject) -> JsonObject:
    """What is said of a listener, in `{"name": …, "listener": {…}}`.

    Raises:
        InvalidInput: it does not fit, as far as can be seen without the plugin.
    """
    said = body.get("listener")
    if not isinstance(said, dict) or body.keys() - {"name", "listener"}:
        raise InvalidInput("an object is expected, and a name beside it", field="listener")
    try:
        parse_listener(said, str(body.get("name")))
    except ConfigurationError as error:
        raise InvalidInput(str(error), field="listener") from error
    return said


def _raise(violations: Sequence[Violation]) -> None:
    if violations:
        raise DefinitionError(list(violations))


_CHECKS: Mapping[Kind, Callable[[JsonObject], object]] = {
    "workflow": _check_workflow,
    "task": _check_task,
    "schedule": lambda body: parse_schedule(body, limits=DEFAULT_LIMITS),
    "event handler": lambda body: parse_handler(body, limits=DEFAULT_LIMITS),
    "routing": parse_rules,
    "listener": listener_settings_of,
}


# --- what differs ---------------------------------------------------------------------------------


def changes_to(wanted: Objects, present: Objects, *, prune: bool) -> list[Change]:
    """What makes of the present what is wanted, in the order in which it is to be done.

    With `prune` what no file has is deleted, last, and what names others before what is named.
    """
    found: list[Change] = []
    for key in sorted(wanted, key=_rank):
        body = wanted[key]
        if key not in present:
            found.append(Change("create", key, body))
            continue
        body = _with_state(key, body, present[key])
        fields = list(_differing("", meant(key.kind, present[key]), meant(key.kind, body)))
        if fields:
            more = [f"and {len(fields) - _MOST_FIELDS} more"] if len(fields) > _MOST_FIELDS else []
            found.append(Change("change", key, body, (*fields[:_MOST_FIELDS], *more)))
    if prune:
        gone = sorted(present.keys() - wanted.keys(), key=_rank, reverse=True)
        found += [Change("delete", key, present[key]) for key in gone]
    return found


def meant(kind: Kind, body: JsonObject) -> JsonObject:
    """What a document means, however it is written: with defaults, without what only the server says."""
    given: JsonObject = {name: value for name, value in body.items() if name not in _SAID_BY_SERVER}
    if kind == "workflow":
        return definition_json(parse_workflow(given))
    if kind == "task":
        return definition_json(parse_task_definition(given))
    said_of_it = {name: value for name, value in given.items() if value not in (None, "")}
    if kind == "listener":
        return shown_listener(parse_listener(listener_settings_of(given), str(given.get("name"))))
    if kind == "routing":
        return {"rules": said_of_it.get("rules", []), "default": said_of_it.get("default")}
    return {**(_SCHEDULE if kind == "schedule" else _HANDLER), **said_of_it}


def said(key: Key) -> str:
    """An object in a sentence."""
    return f"{key.kind} {key.name}{f' version {key.version}' if key.kind == 'workflow' else ''}"


def _rank(key: Key) -> tuple[int, str, int]:
    return KINDS.index(key.kind), key.name, key.version


def _with_state(key: Key, body: JsonObject, present: JsonObject) -> JsonObject:
    """A schedule stays paused, or not, unless its file says so: pausing is done by operators."""
    if key.kind != "schedule" or "paused" in body:
        return body
    return {**body, **{name: present[name] for name in _PAUSES if name in present}}


def _differing(path: str, one: JsonValue, other: JsonValue) -> Iterator[str]:
    """The paths at which two values differ, with both as they are written in a line."""
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _differing(f"{path}.{name}" if path else name, one.get(name), other.get(name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (before, after) in enumerate(zip(one, other, strict=True)):
            yield from _differing(f"{path}[{index}]", before, after)
    else:
        yield f"{path}: {_brief(one)} -> {_brief(other)}"


def _brief(value: JsonValue) -> str:
    if isinstance(value, list | dict):
        return f"{len(value)} {'entries' if isinstance(value, list) else 'fields'}"
    return "nothing" if value is None else repr(value)[:60]


async def apply_changes(place: Place, changes: Sequence[Change]) -> None:
    """Do what is to be done, one after the other; what fails leaves the rest undone.

    Raises:
        AsyncflowError: as the place says; what came before it is stored, and applying again goes on.
    """
    for change in changes:
        if change.action == "delete":
            await place.delete(change.key)
        else:
            await place.put(change.key, change.body)

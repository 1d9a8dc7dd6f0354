"""What is wrong with a class that should be a plugin: all of it at once, in words for its author.

Only the class is looked at: nothing is made of it and none of its methods is called. What it does when
it runs is the business of the suites in `asyncflow.testing`; who asks is `plugins/registry`.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel

from asyncflow.model.validation_tasks import OPERATORS
from asyncflow.plugins.jobs import Tier
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.resources import (
    CONTRACT_VERSION,
    PluginConfig,
    ResourceManager,
    has_instances,
    takes_jobs,
)
from asyncflow.plugins.tasks import TaskType

RESERVED = (OPERATORS - {"PULL_WORKFLOW_MESSAGES"}) | {"SIMPLE", "USER_DEFINED", "COMMAND"}
"""Types of task that no plugin may bring: they mean something already."""

_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TASK_TYPE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_MOST_SECONDS = 3_600.0
_CONTRACTS: Mapping[str, type] = {"resource": ResourceManager, "task": TaskType, "listener": Listener}


def faults_of(kind: str, name: str, found: object) -> list[str]:
    """Everything that keeps a class from being a plugin of this kind and name; empty if nothing does."""
    contract = _CONTRACTS[kind]
    if not isinstance(found, type) or not issubclass(found, contract):
        return [f"{found!r} is no subclass of {contract.__module__}.{contract.__name__}"]
    version: object = getattr(found, "contract", None)
    if version != CONTRACT_VERSION:
        return [f"it is written for contract {version!r}; this asyncflow has contract {CONTRACT_VERSION}"]
    return [*_CHECKS[kind](name, found), *_methods(found, contract)]


# --- of each kind -----------------------------------------------------------------------------------


def _resource(name: str, found: type[ResourceManager]) -> Iterator[str]:
    if not _PLUGIN_NAME.fullmatch(name):
        yield f"name {name!r}: small letters, digits and hyphens are expected, beginning with a letter"
    yield from _config(found.Config)
    yield from _tasks(found.tasks)
    yield from _constants(found)
    if found.tasks and not takes_jobs(found):
        yield "tasks are named, but submit is not written"
    if takes_jobs(found) and not found.tasks:
        yield "submit is written, but tasks names no type of task"
    parts = inspect.getattr_static(found, "parts")
    if not isinstance(parts, classmethod) or inspect.iscoroutinefunction(parts.__func__):
        yield "parts is no class method that answers at once: it is called before there is a manager"
    for first, needed in _needs(found):
        if getattr(found, needed) is getattr(ResourceManager, needed):
            yield f"{first} needs {needed}, which is not written"


def _needs(found: type[ResourceManager]) -> Iterator[tuple[str, str]]:
    if takes_jobs(found):
        yield "submit", "poll"
        if found.tier == "tag":
            yield "tier 'tag'", "find"
    if has_instances(found):
        yield from (("create", each) for each in ("check", "destroy"))


def _task(name: str, found: type[TaskType]) -> Iterator[str]:
    if found.name != name:
        yield f"name is {found.name!r}, but it is registered as {name!r}"
    yield from _type_name(found.name)
    if found.run is TaskType.run:
        yield "run is not written"
    if found.Input is not None:
        yield from _model("Input", found.Input)


def _listener(name: str, found: type[Listener]) -> Iterator[str]:
    if not _PLUGIN_NAME.fullmatch(name):
        yield f"name {name!r}: small letters, digits and hyphens are expected, beginning with a letter"
    yield from _config(found.Config)
    if found.on_event is Listener.on_event:
        yield "on_event is not written"
    patterns: object = found.patterns
    if not isinstance(patterns, tuple) or not patterns or not all(isinstance(p, str) and p for p in patterns):
        yield "patterns: a tuple of names of events is expected, such as ('task.*',)"


_CHECKS: Mapping[str, Callable[..., Iterator[str]]] = {
    "resource": _resource,
    "task": _task,
    "listener": _listener,
}

# --- parts ------------------------------------------------------------------------------------------


def _config(model: object) -> Iterator[str]:
    if not isinstance(model, type) or not issubclass(model, PluginConfig):
        yield "Config: a subclass of asyncflow.plugins.resources.PluginConfig is expected"
        return
    yield from _schema("Config", model)


def _tasks(tasks: object) -> Iterator[str]:
    if not isinstance(tasks, Mapping):
        yield "tasks: a mapping from types of task to models of their input is expected"
        return
    for name, model in tasks.items():
        yield from _type_name(name)
        yield from _model(f"tasks[{name!r}]", model)


def _type_name(name: object) -> Iterator[str]:
    if not isinstance(name, str) or not _TASK_TYPE.fullmatch(name):
        yield f"task type {name!r}: capitals, digits and underscores are expected, beginning with a capital"
    elif name in RESERVED:
        yield f"task type {name} is one of the engine's own"


def _model(place: str, model: object) -> Iterator[str]:
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        yield f"{place}: a pydantic model is expected"
        return
    yield from _schema(place, model)


def _schema(place: str, model: type[BaseModel]) -> Iterator[str]:
    try:
        model.model_json_schema(by_alias=True)
    except Exception as error:  # noqa: BLE001 - pydantic and the author's own types may raise anything
        yield f"{place} has no JSON schema: {type(error).__name__}: {str(error).splitlines()[0]}"


def _constants(found: type[ResourceManager]) -> Iterator[str]:
    if found.tier not in get_args(Tier):
        yield f"tier {found.tier!r}: one of {', '.join(get_args(Tier))} is expected"
    if not _is_number(found.token_life) or not found.token_life > 0:
        yield f"token_life {found.token_life!r}: seconds above 0 are expected"
    if not _is_number(found.listing_lag) or not 0 <= found.listing_lag <= _MOST_SECONDS:
        yield f"listing_lag {found.listing_lag!r}: 0 to {_MOST_SECONDS:.0f} seconds are expected"
    for each in ("submit_timeout", "poll_timeout"):
        value = getattr(found, each)
        if not _is_number(value) or not 0 < value <= _MOST_SECONDS:
            yield f"{each} {value!r}: seconds above 0, at most {_MOST_SECONDS:.0f}, are expected"
    if type(found.poll_batch) is not int or found.poll_batch < 0:
        yield f"poll_batch {found.poll_batch!r}: a whole number from 0 is expected"
    callback: object = found.callback
    if not isinstance(callback, bool):
        yield f"callback {callback!r}: True or False is expected"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


# --- methods ----------------------------------------------------------------------------------------


def _methods(found: type, contract: type) -> Iterator[str]:
    """Methods that cannot be called as the contract does, and names that are nearly one that is missing."""
    known = [name for name in vars(contract) if not name.startswith("_")]
    missing = [name for name in known if getattr(found, name) is getattr(contract, name)]
    for name, ours in inspect.getmembers(contract, inspect.isfunction):
        theirs = getattr(found, name)
        if theirs is ours or (name.startswith("_") and name != "__init__"):
            continue
        yield from _method(name, ours, theirs)
    for holder in found.__mro__[: found.__mro__.index(contract)]:
        for name in vars(holder):
            near = get_close_matches(name, missing, 1, cutoff=0.82)
            if near and name not in known and not name.startswith(("_", near[0])):  # `checked` is a helper
                yield f"{name} is nothing the engine calls (did you mean {near[0]}?)"


def _method(name: str, ours: Callable[..., object], theirs: object) -> Iterator[str]:
    if not inspect.isfunction(theirs):
        yield f"{name} is no method"
        return
    if name == "run" and inspect.isasyncgenfunction(theirs):
        yield "run yields; it is to return an output"
    wants_async = inspect.iscoroutinefunction(ours) or name == "run"
    if wants_async and not inspect.iscoroutinefunction(inspect.unwrap(theirs)):
        yield f"{name} is not async: it would hold up everybody on the loop"
    if not wants_async and inspect.iscoroutinefunction(theirs):
        yield f"{name} is async, but is called without await"
    parameters = inspect.signature(ours).parameters
    try:
        inspect.signature(theirs).bind(*parameters)
    except (TypeError, ValueError) as error:
        yield f"{name} cannot be called with ({', '.join(list(parameters)[1:])}): {error}"

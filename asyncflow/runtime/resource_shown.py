"""A resource as people are shown it, without the plugin's own settings, which may hold secrets.

It reads a keeper and changes nothing. The events of a resource are shown by `runtime/resources`.
"""

from __future__ import annotations

from dataclasses import fields

from asyncflow.decide import lifecycle, lifecycle_calls
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance, ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.runtime.resource_keeper import Keeper

_APART = frozenset({"type", "limit", "config", "per_part"})


def settings_shown(settings: ResourceSettings) -> JsonObject:
    """The engine's part of the settings."""
    plain = {each.name: getattr(settings, each.name) for each in fields(settings) if each.name not in _APART}
    part = settings.per_part
    parts = {} if part.is_any else {"per_part": _numbers(part)}
    return {**plain, **_numbers(settings.limit), **parts}


def _numbers(limit: ResourceLimit) -> JsonObject:
    return {
        "max_concurrent": limit.max_concurrent,
        "rate": limit.rate,
        "rate_window_ms": limit.rate_window_ms,
    }


def shown(keeper: Keeper) -> JsonObject:
    """How it stands, since when, and what comes next."""
    state, terms = keeper.state, keeper.terms
    limit = keeper.limit()
    least, most = lifecycle.bounds(state, terms)
    return {
        "name": keeper.name,
        "type": keeper.settings.type,
        "isOpen": limit.is_open,
        "isOrphaned": False,
        "isBroken": keeper.is_broken,
        "damage": state.damage,
        "reason": keeper.trouble or _closed_because(keeper),
        "next": _next(keeper),
        "lastError": state.error,
        "drained": state.drained,
        "drainedBy": state.drained_by,
        "drainedMs": state.drained_ms,
        "waiting": state.waiting,
        "minInstances": least,
        "maxInstances": most,
        "instances": [_instance(each, keeper.name) for each in state.instances.values()],
        "settings": settings_shown(keeper.settings),
    }


def orphan_shown(state: ResourceState) -> JsonObject:
    """How one stands that is not configured any more, and has instances outside that nobody ends."""
    kind, settings = state.configured or ("", {})
    return {
        "name": state.name,
        "type": kind,
        "isOpen": False,
        "isOrphaned": True,
        "isBroken": False,
        "damage": state.damage,
        "reason": state.damage or "it is not configured any more: configure it again, or have it forgotten",
        "next": {},
        "lastError": state.error,
        "drained": state.drained,
        "drainedBy": state.drained_by,
        "drainedMs": state.drained_ms,
        "waiting": 0,
        "minInstances": 0,
        "maxInstances": 0,
        "instances": [_instance(each, state.name) for each in state.instances.values()],
        "settings": dict(settings),
    }


def _closed_because(keeper: Keeper) -> str:
    if keeper.limit().is_open:
        return ""
    phases = [each.phase for each in keeper.state.instances.values()]
    if "undecided" in phases:
        return "nobody knows whether its instance was created: somebody has to decide"
    if "asked" in phases or "created" in phases:
        return "an instance is being created"
    if keeper.state.retry_ms and keeper.state.tries:
        return f"no instance could be created: {keeper.state.error}"
    return "its instances are ending" if phases else "it has no instance yet"


def _next(keeper: Keeper) -> JsonObject:
    """What can open it next, or end something: a kind and a time, where there is one."""
    if keeper.retry_ms:
        return {"kind": "open", "atMs": keeper.retry_ms}
    if keeper.state.tries and keeper.state.retry_ms and not keeper.state.instances:
        return {"kind": "create", "atMs": keeper.state.retry_ms}
    calls = lifecycle_calls.wanted_calls(keeper.state, keeper.terms)
    first = min(calls, key=lambda call: call.due_ms, default=None)
    return {} if first is None else {"kind": first.kind, "instance": first.number, "atMs": first.due_ms}


def _instance(instance: Instance, resource: str) -> JsonObject:
    return {
        "name": f"{resource}/{instance.number}",
        "phase": instance.phase,
        "handle": instance.handle,
        "sinceMs": instance.since_ms,
        "askedMs": instance.asked_ms,
        "readyMs": instance.ready_ms,
        "wantedBy": instance.by,
        "cause": instance.cause,
        "reason": instance.reason,
        "fence": instance.fence,
        "reserved": instance.reserved,
        "nextCheckMs": instance.next_ms,
        "lastError": instance.error,
        "facts": dict(instance.facts),
    }

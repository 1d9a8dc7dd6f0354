"""What only the runtime knows of a wait: who holds what is needed, which gate is closed, what comes next.

It changes nothing, and looks at no more than a few holders, since anyone may ask at any time. What is read
off the state alone is in `decide/waiting`; the keys are part of REST and of `asyncflow why`, and are listed
in `docs/waiting.md`.
"""

from __future__ import annotations

from asyncflow.decide.waiting import wait_of_task
from asyncflow.ids import task_id
from asyncflow.model.holds import hold_of_key
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import SCHEDULED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.log_context import Subject
from asyncflow.runtime.worker_why import why_leased, why_offered

_EXPLAINED = 3  # holders of which it is told what they wait for themselves
_GATE = ("reason", "next", "lastError", "drained", "drainedBy", "drainedMs", "instances")
_OF_INSTANCES = ("name", "phase", "handle", "sinceMs", "reserved", "reason", "lastError")


def explain(engine: Engine, state: ExecutionState, entry: JsonObject, number: int) -> None:
    """Add to a wait of `decide/waiting` what the runtime knows of it, and since when it lasts."""
    kind, key = entry["kind"], (state.execution_id, number)
    task = state.tasks.get(number)
    if kind == "admission":
        entry.update(named(engine, engine.carry.admitting.why(key) or {}))
    elif kind == "worker" and task is not None:
        now_ms = engine.clock.now().elapsed_ms
        entry.update(named(engine, why_offered(engine.carry.hand_out, key, task, elapsed_ms=now_ms)))
    elif kind == "report":
        entry.update(why_leased(engine.carry.hand_out.roll, key))
    elif kind in ("job", "decision"):
        entry["now"] = engine.jobs.why(state.execution_id, _serial(entry)) or {}
    elif entry.get("executor") == "thread" and (threads := engine.threads.statistics()).waiting:
        entry["threads"] = {"size": threads.size, "waiting": threads.waiting, "hung": threads.abandoned}
    if task is not None:
        entry["sinceMs"] = task.scheduled_ms if task.status == SCHEDULED else task.started_ms


def hung_calls(engine: Engine, state: ExecutionState) -> list[JsonObject]:
    """Calls of an execution's attempts that were given up and do not end, each with the line it is at.

    They hold up nothing of the execution, but a thread each, until they end by themselves.
    """
    return [
        {
            "kind": "hung_call",
            "task": call.subject.task,
            "taskId": task_id(state.execution_id, _number_of(state, call.subject)),
            "attempt": call.subject.attempt,
            "line": call.line,
            "sinceMs": call.since_ms,
        }
        for call in engine.threads.hung_calls()
        if call.subject is not None and call.subject.execution == state.execution_id
    ]


def _number_of(state: ExecutionState, of: Subject) -> int:
    """The record of an attempt; 0 where a reset has taken it away."""
    task = state.by_ref.get(of.task)
    while task is not None and task.retry_count + 1 != of.attempt:
        task = state.tasks.get(task.retry_of)
    return 0 if task is None else task.number


def _serial(entry: JsonObject) -> int:
    job = entry.get("job")
    serial = job.get("serial") if isinstance(job, dict) else 0
    return serial if isinstance(serial, int) else 0


def named(engine: Engine, found: JsonObject) -> JsonObject:
    """What admission says, with names for its numbers, the gate that is closed, and what comes next."""
    if not found:
        return found
    holders = people(engine, found.get("holders"), explained=_EXPLAINED)
    told = {**found, "holders": holders} if "holders" in found else {**found}
    if isinstance(reserved := found.get("reserved_by"), dict):
        told["reserved_by"] = _person(engine, reserved)
    if found.get("reason") == "closed" and (gate := gate_of(engine, str(found.get("resource")))):
        told["gate"] = gate
    if coming := _next(told):
        told["next"] = coming
    return told


def people(engine: Engine, listed: object, *, explained: int = 0) -> list[JsonObject]:
    """Those who hold or want something, by workflow and task; the first with what they wait for."""
    found = listed if isinstance(listed, list) else []
    return [_person(engine, each, explained=place < explained) for place, each in enumerate(found)]


def _person(engine: Engine, each: JsonObject, *, explained: bool = False) -> JsonObject:
    number = each["number"]
    state = engine.turns.states.get(str(each["execution_id"]))
    if state is None or not isinstance(number, int):
        return each
    who = {**each, "workflow": state.name, **_subject(state, number)}
    if explained and (waits := _waits(engine, state, number)):
        who["waits_for"] = waits
    return who


def _subject(state: ExecutionState, number: int) -> JsonObject:
    """What of an execution a number in admission stands for."""
    hold = state.holds.get(hold_of_key(number))
    if hold is not None:
        taker = state.tasks.get(hold.taker)
        facts: JsonObject = {"what": "hold", "until": hold.until or None, "since_ms": hold.since_ms}
        return facts if taker is None else {**facts, "task": taker.ref}
    job = state.jobs.get(-number)
    if job is not None:
        identity: JsonObject = {"task": job.ref, "task_id": str(task_id(state.execution_id, job.number))}
        return {"what": "job", **identity, "job": job.serial, "handle": job.handle, "since_ms": job.intent_ms}
    task = state.tasks.get(number)
    if task is None:
        return {"what": "execution", "since_ms": state.created_ms}
    since_ms = task.started_ms or task.scheduled_ms
    named_by: JsonObject = {"task": task.ref, "task_id": str(task_id(state.execution_id, number))}
    return {"what": "task", **named_by, "since_ms": since_ms}


def _waits(engine: Engine, state: ExecutionState, number: int) -> JsonObject | None:
    """What a holder itself waits for, which is what has to happen before it gives anything back."""
    found = wait_of_task(state, number, engine.catalog.downtimes)
    if found is None:
        return None
    if found["kind"] in ("job", "decision"):
        found["now"] = engine.jobs.why(state.execution_id, _serial(found)) or {}
    return found


def gate_of(engine: Engine, name: str) -> JsonObject:
    """Why a resource lets nobody begin, and what can open it; {} while it is open, or where nobody knows."""
    found = {} if engine.kept_resources is None else engine.kept_resources.why(name)
    gate = {key: found[key] for key in _GATE if found.get(key)}
    listed = found.get("instances")
    if isinstance(listed, list) and listed:
        gate["instances"] = [{key: each[key] for key in _OF_INSTANCES if each.get(key)} for each in listed]
    return gate


def _next(found: JsonObject) -> JsonObject:
    """The event that can let it begin; whoever is before it in line has to go first."""
    match found.get("reason"):
        case "limit_reached" | "no_place" | "key_held":
            return {"kind": "release", "by": found.get("holders")}
        case "rate_reached":
            return {"kind": "refill", "atMs": found.get("rate_refill_ms")}
        case "reserved":
            return {"kind": "turn_of_another", "by": found.get("reserved_by")}
        case "weight_above_limit":
            return {"kind": "resize"}
        case "closed":
            gate = found.get("gate")
            if not isinstance(gate, dict):
                return {}
            if gate.get("drained"):
                return {"kind": "resume"}
            coming = gate.get("next")
            return {**coming} if isinstance(coming, dict) else {}
    return {"kind": "function"} if found.get("state") == "function_not_loaded" else {}

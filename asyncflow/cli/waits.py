"""What a task waits for as a phrase: for what or whom, since when, and what comes next.

The facts are the server's, see `app/waits`; `docs/waiting.md` lists them by kind. One that is not known here
is shown with all that was said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from asyncflow.cli.output import cell, duration, moment
from asyncflow.model.values import JsonObject

_APART = frozenset({"taskId", "task", "kind", "sinceMs", "timeouts"})
_HOLDERS = 3


def task_of(entry: JsonObject) -> str:
    """The task that waits, by its reference name; empty for the execution itself."""
    return str(entry.get("task") or entry.get("taskId") or "")


def wait_of(entry: JsonObject) -> str:
    """What one task waits for, as a phrase on one line."""
    kind = str(entry.get("kind"))
    phrase = PHRASES.get(kind, _unknown)(entry)
    due = [_whole(each.get("atMs")) for each in _listed(entry.get("timeouts"))]
    first = min(filter(None, due), default=0)
    return cell(f"{phrase}; time is up at {moment(first)}" if first else phrase)


def _unknown(entry: JsonObject) -> str:
    said = {key: value for key, value in entry.items() if key not in _APART}
    detail = ", ".join(
        f"{key} {cell(value)}" for key, value in said.items() if value not in (None, "", [], {})
    )
    return f"{entry.get('kind')} ({detail})" if detail else str(entry.get("kind"))


# --- what is read of an entry -----------------------------------------------------------------------


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _listed(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _inner(entry: Mapping[str, object], key: str) -> JsonObject:
    found = entry.get(key)
    return found if isinstance(found, dict) else {}


def _at(value: object, before: str = " at ") -> str:
    return f"{before}{moment(value)}" if isinstance(value, int) and value else ""


def _span(value: object, before: str = " for ") -> str:
    return f"{before}{duration(value)}" if isinstance(value, int) else ""


def _because(value: object) -> str:
    return f": {value}" if value else ""


# --- admission --------------------------------------------------------------------------------------


def _admission(entry: JsonObject) -> str:
    if entry.get("state") == "function_not_loaded":
        return f"function {entry.get('name')}, which is not loaded here"
    if entry.get("state") == "holding":
        return "begins now"
    if not entry.get("reason"):
        started = _at(entry.get("notBeforeMs"), " not before ")
        return f"its next attempt{started}" if started else f"a place{_because(entry.get('resource'))}"
    phrase = REFUSALS.get(str(entry["reason"]), _refused)(entry)
    position = _whole(entry.get("position"))
    exact = "" if entry.get("position_is_exact", True) else "about "
    return f"{phrase}; {exact}number {position} in line" if position else phrase


def _resource(entry: JsonObject) -> str:
    key = entry.get("key")
    return f"{entry.get('resource')}" if key in (None, "") else f"{entry.get('resource')} key {cell(key)}"


def _held(entry: JsonObject) -> str:
    holders = _listed(entry.get("holders"))
    shown = ", ".join(_person(each) for each in holders[:_HOLDERS])
    more = _whole(entry.get("holder_count")) - min(len(holders), _HOLDERS)
    others = f" and {more} more" if more > 0 else ""
    limit = f" of {entry['limit']}" if entry.get("limit") else ""
    return f"a slot{limit} of {_resource(entry)}, held by {shown}{others}"


def _person(each: JsonObject) -> str:
    """A holder: what of which execution, since when, and what it waits for itself."""
    named = f" {each.get('task')}" if each.get("task") else ""
    hold = f" until {each.get('until') or 'its end'}" if each.get("what") == "hold" else ""
    waits = _inner(each, "waits_for")
    own = f", which waits for {PHRASES.get(str(waits.get('kind')), _unknown)(waits)}" if waits else ""
    since = _at(each.get("since_ms"), " since ")
    workflow = f"{each['workflow']} " if each.get("workflow") else ""
    return f"{each.get('what', 'task')}{named} of {workflow}{each.get('execution_id')}{hold}{since}{own}"


def _key_held(entry: JsonObject) -> str:
    return _held(entry).replace("a slot", "a lease", 1)


def _rate(entry: JsonObject) -> str:
    return f"the rate of {_resource(entry)}, which allows the next start{_at(entry.get('rate_refill_ms'))}"


def _reserved(entry: JsonObject) -> str:
    first = _inner(entry, "reserved_by")
    whom = _person(first) if first else "who waits longer"
    return f"{_resource(entry)}, which is kept for {whom}"


def _too_heavy(entry: JsonObject) -> str:
    weight, limit = entry.get("weight"), entry.get("limit")
    return f"weight {weight} of {_resource(entry)}, whose limit is {limit}: it has to be resized"


def _closed(entry: JsonObject) -> str:
    gate = _inner(entry, "gate")
    if gate.get("drained"):
        return f"{_resource(entry)}, which is {gate.get('reason')}; it goes on when it is resumed"
    instances = _listed(gate.get("instances"))
    shown = ", ".join(
        f"{each.get('name')} {each.get('phase')}{_at(each.get('sinceMs'), ' since ')}" for each in instances
    )
    coming = _inner(gate, "next")
    then = f"; next: {coming.get('kind')}{_at(coming.get('atMs'))}" if coming else ""
    error = f" ({gate.get('lastError')})" if gate.get("lastError") else ""
    return f"{_resource(entry)}, which is closed{_because(gate.get('reason'))}{error}" + (
        f"; {shown}{then}" if shown else then
    )


def _refused(entry: JsonObject) -> str:
    return f"{_resource(entry)} ({entry.get('reason')})"


REFUSALS: Mapping[str, Callable[[JsonObject], str]] = {
    "limit_reached": _held,
    "no_place": _held,
    "key_held": _key_held,
    "rate_reached": _rate,
    "reserved": _reserved,
    "weight_above_limit": _too_heavy,
    "closed": _closed,
}


# --- jobs -------------------------------------------------------------------------------------------


def _job(entry: JsonObject) -> str:
    job, now = _inner(entry, "job"), _inner(entry, "now")
    instance = f" on {job.get('instance')}" if job.get("instance") else ""
    handle = f" {job.get('handle')}" if job.get("handle") else ""
    ended = " to be cancelled" if job.get("cancelReason") else ""
    return f"job{handle} of {job.get('resource')}{instance}{ended}, {_stage(job, now)}{_held_back(now)}"


def _stage(job: JsonObject, now: JsonObject) -> str:
    said = str(now.get("state") or job.get("state") or "open").replace("_", " ").lower()
    polled = _span(now.get("next_poll_ms"), "; next poll in ")
    tried = _span(now.get("next_try_ms"), "; tried again in ")
    return f"{said}{_because(now.get('reason'))}{polled}{tried}"


def _held_back(now: JsonObject) -> str:
    by = now.get("held_by")
    if not by:
        return ""
    meant = {
        "throttled": "the service throttles us",
        "credentials": "the service refuses our credentials",
        "circuit": "the service does not answer",
        "resource": "the resource cannot be used",
    }.get(str(by), str(by))
    again = _span(now.get("held_ms"), ", asked again in ")
    return f"; {meant}{_because(now.get('held_reason'))}{again}"


def _decision(entry: JsonObject) -> str:
    job = _inner(entry, "job")
    said = ", ".join(map(str, listed)) if isinstance(listed := job.get("decisions"), list) else ""
    return f"a person's decision ({said}) on its job of {job.get('resource')}{_because(job.get('reason'))}"


# --- everything else --------------------------------------------------------------------------------


def _worker(entry: JsonObject) -> str:
    domain = f" in domain {entry['domain']}" if entry.get("domain") else ""
    name = f"a worker for {entry.get('name')}{domain}"
    later = _at(entry.get("notBeforeMs"), "; not before ")
    if entry.get("reason") not in {None, "", "no_demand"}:
        return f"{_admission({**entry, 'state': 'waiting'})}, then {name}{later}"
    told = {
        "never_seen": "which none ever polled for",
        "not_eligible": "and none that polls is allowed to take it",
        "last_seen": f"and none polls any more{_at(entry.get('lastSeenMs'), '; last seen ')}",
        "limit": "whose workers have all they may have",
        "busy": "whose workers have all they asked for",
        "polling": "which is polled for now; others come first",
    }.get(str(entry.get("workers")), "")
    elsewhere = entry.get("otherDomains")
    others = f"; polled for in domains {cell(elsewhere)}" if elsewhere and told else ""
    return f"{name}{', ' if told else ''}{told}{others}{later}"


def _report(entry: JsonObject) -> str:
    lost = ", which is lost" if entry.get("lost") else ""
    seen = _at(entry.get("lastSeenMs"), ", last seen ")
    return f"worker {entry.get('workerId')}{lost}, who has {entry.get('name')}{seen}"


def _attempt(entry: JsonObject) -> str:
    threads = _inner(entry, "threads")
    hung = f", as {threads['hung']} calls that were given up hold one each" if threads.get("hung") else ""
    full = f"; {threads['waiting']} wait for one of {threads.get('size')} threads{hung}" if threads else ""
    return f"attempt {entry.get('attempt')}, which runs here ({entry.get('executor')}){full}"


def _hung_call(entry: JsonObject) -> str:
    at = f", at {entry['line']}" if entry.get("line") else ""
    return f"nothing: its attempt {entry.get('attempt')} was given up, and its call holds a thread{at}"


def _time(entry: JsonObject) -> str:
    return f"the time{_at(entry.get('atMs'), ' ')}"


def _members(entry: JsonObject) -> str:
    tasks, count = entry.get("tasks"), _whole(entry.get("count"))
    named = [str(each) for each in tasks] if isinstance(tasks, list) else []
    more = f" and {count - len(named)} more" if count > len(named) else ""
    return f"tasks {', '.join(named)}{more}"


def _child(entry: JsonObject) -> str:
    return f"sub-workflow {entry.get('executionId')}"


def _update(_: JsonObject) -> str:
    return "a signal or an update from outside"


def _resume(_: JsonObject) -> str:
    return "the execution to be resumed: it is paused"


def _recovery(entry: JsonObject) -> str:
    return f"{entry.get('of')} to be performed again: another process took the execution up"


def _release(entry: JsonObject) -> str:
    told = {"unreadable": "it cannot be read", "bug": "deciding it broke", "crash": "the process died of it"}
    cause = told.get(str(entry.get("cause")), str(entry.get("cause")))
    return f"its release from quarantine: {cause}{_because(entry.get('reason'))}; {entry.get('advice')}"


PHRASES: Mapping[str, Callable[[JsonObject], str]] = {
    "admission": _admission,
    "job": _job,
    "decision": _decision,
    "worker": _worker,
    "report": _report,
    "attempt": _attempt,
    "hung_call": _hung_call,
    "time": _time,
    "members": _members,
    "child": _child,
    "update": _update,
    "resume": _resume,
    "release": _release,
    "recovery": _recovery,
    "script": lambda _: "the evaluation of its script",
    "body": lambda entry: f"the tasks of iteration {entry.get('iteration')}",
    "turn": lambda _: "the engine's next turn",
}

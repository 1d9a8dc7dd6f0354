"""What an execution waits for, record by record, in words that a program can read.

A pure reading of state for `asyncflow why`; what only the runtime knows (who holds a slot, which
workers were seen) is added there. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from asyncflow.decide.downtimes import Downtimes
from asyncflow.decide.durations import wait_due
from asyncflow.decide.gather import join_refs
from asyncflow.decide.job_view import wait_of
from asyncflow.decide.wanted import LOCAL_EXECUTORS, effects_of, is_held, is_pinned
from asyncflow.ids import task_id
from asyncflow.model.effects import Timer
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import PAUSED, SCHEDULED
from asyncflow.model.values import JsonObject

INNER = frozenset({"members", "body"})
"""Kinds that only point at other records of the same execution."""

_SCANNED = 2_000  # records looked at where not all are asked for
_NAMED = 20  # members that an entry names

# Every open record waits for exactly one thing; the kinds are:
#   resume       the execution is paused, and this may not begin before it goes on
#   turn         the deciding itself, in a later slice
#   time         a point in time: retry delay, start delay, the end of a WAIT
#   admission    a slot or lease, which the execution as a whole may wait for too; not before `notBeforeMs`
#   job          what a resource was given: that it ends; also one whose task or execution has ended
#   decision     a person, who has to say what became of a job
#   attempt      an attempt that runs in this process
#   worker       somebody elsewhere who takes tasks of this name
#   report       the worker who took it
#   update       a signal or update from outside
#   script       the evaluation of a script
#   recovery     tasks that are performed again first, as another process took the execution up
#   child        the execution of a sub-workflow
#   members      other tasks, named in a join
#   body         the tasks of the present iteration


def waits_for(
    state: ExecutionState, downtimes: Downtimes | None = None, *, most: int | None = None
) -> list[JsonObject]:
    """What each open record waits for, in order of records, and jobs that outlived their records.

    An entry has `kind` and, except for what concerns the execution as a whole, `task` (the full
    reference name), `taskId` and `timeouts` (kind and time of each that would end the wait, put off
    by the `downtimes` of the engine).

    With `most`, no more records than that; of an execution of very many only such as want something
    themselves, and not those that wait for them.

    Cost: linear in the records; with `most`, in that.
    """
    left = () if len(state.job_of) == len(state.jobs) else state.jobs.values()
    outlived = [wait_of(state, job) for job in left if job.serial != state.job_of.get(job.number)]
    if state.is_ended:
        return outlived
    known = downtimes or Downtimes()
    numbers = state.tasks if most is None or len(state.tasks) <= _SCANNED else state.wanted
    found = (state.tasks[number] for number in numbers if number > 0)  # 0 is the execution, below are jobs
    tasks = islice((task for task in found if not task.is_ended), most)
    return [*_of_execution(state), *(_of_record(state, task, known) for task in tasks), *outlived]


def wait_of_task(state: ExecutionState, number: int, downtimes: Downtimes | None = None) -> JsonObject | None:
    """The same for one record, or for one job by minus its serial number; None where it does not wait."""
    job = state.jobs.get(-number)
    if job is not None:
        return wait_of(state, job)
    task = state.tasks.get(number)
    if task is None or task.is_ended:
        return None
    return _of_record(state, task, downtimes or Downtimes())


def _of_execution(state: ExecutionState) -> Iterator[JsonObject]:
    if state.status == PAUSED:
        yield {"kind": "resume"}
    elif state.awaits_slot:
        yield {"kind": "admission", "resource": state.slot or state.slot_needs[0][0]}
    if state.agenda or state.outbox or state.repairs:
        yield {"kind": "turn", "deferred": len(state.agenda), "messages": len(state.outbox)}


def _of_record(state: ExecutionState, task: TaskState, downtimes: Downtimes) -> JsonObject:
    found = _wait_of(state, task)
    timeouts = [
        {"kind": effect.kind, "atMs": downtimes.due_ms(effect)}
        for effect in effects_of(state, task)
        if isinstance(effect, Timer) and effect.kind not in {"wait", "due"}
    ]
    identity = {"task": task.ref, "taskId": task_id(state.execution_id, task.number)}
    return {**found, **identity, "timeouts": timeouts} if timeouts else {**found, **identity}


def _wait_of(state: ExecutionState, task: TaskState) -> JsonObject:
    if is_held(state, task) and _is_kept_back(task):
        return {"kind": "recovery", "of": state.tasks[next(iter(state.recovering))].ref}
    if task.executor in LOCAL_EXECUTORS or (task.executor == "job" and task.status == SCHEDULED):
        return _local(state, task)
    job = state.jobs.get(state.job_of.get(task.number, 0))
    if job is not None:
        return wait_of(state, job)
    if task.executor == "remote":
        return _remote(state, task)
    if task.status == SCHEDULED and task.due_ms:
        return {"kind": "resume" if state.status == PAUSED else "time", "atMs": task.due_ms}
    if task.number in state.agenda:
        return {"kind": "turn"}
    if task.executor == "script" or (task.more is not None and task.more.asking):
        return {"kind": "script"}
    by_type = _BY_TYPE.get(task.node.type)
    return {"kind": "update"} if by_type is None else by_type(state, task)


def _is_kept_back(task: TaskState) -> bool:
    """Whether it would begin something, and not only wait for others or for its time."""
    if task.executor in LOCAL_EXECUTORS or task.executor == "script":
        return True
    return task.status == SCHEDULED or (task.more is not None and task.more.asking)


def _local(state: ExecutionState, task: TaskState) -> JsonObject:
    if task.status != SCHEDULED:
        return {"kind": "attempt", "executor": task.executor, "attempt": task.starts}
    if state.status == PAUSED:
        return {"kind": "resume"}
    found: JsonObject = {"kind": "admission", "executor": task.executor}
    return {**found, "notBeforeMs": task.due_ms} if task.due_ms else found


def _remote(state: ExecutionState, task: TaskState) -> JsonObject:
    name = task.name or (task.node.name if task.node.type == "SIMPLE" else task.node.type)
    if task.status != SCHEDULED:
        return {"kind": "report", "name": name, "workerId": task.worker_id}
    found: JsonObject = {"kind": "worker", "name": name}
    if task.domain is not None:
        found["domain"] = task.domain
    if state.worker_version and is_pinned(state, task):
        found["version"] = state.worker_version
    return {**found, "notBeforeMs": task.due_ms} if task.due_ms else found


def _wait(_state: ExecutionState, task: TaskState) -> JsonObject:
    due = wait_due(task)
    return {"kind": "update"} if due is None else {"kind": "time", "atMs": due[0], "clock": due[1]}


def _child(_state: ExecutionState, task: TaskState) -> JsonObject:
    child = None if task.more is None else task.more.child_id
    return {"kind": "turn"} if child is None else {"kind": "child", "executionId": child}


def _join(state: ExecutionState, task: TaskState) -> JsonObject:
    refs = [ref for ref in join_refs(state, task) if not _is_settled(state, ref)]
    missing = [ref for ref in refs if ref not in state.by_ref][:_NAMED]
    found: JsonObject = {"kind": "members", "count": len(refs), "tasks": refs[:_NAMED]}
    return {**found, "notScheduled": missing} if missing else found


def _is_settled(state: ExecutionState, ref: str) -> bool:
    member = state.by_ref.get(ref)
    return member is not None and member.settled


def _loop(_state: ExecutionState, task: TaskState) -> JsonObject:
    return {"kind": "body", "iteration": task.iteration} if task.iteration else {"kind": "turn"}


_BY_TYPE: dict[str, Callable[[ExecutionState, TaskState], JsonObject]] = {
    "WAIT": _wait,
    "SUB_WORKFLOW": _child,
    "JOIN": _join,
    "EXCLUSIVE_JOIN": _join,
    "DO_WHILE": _loop,
}

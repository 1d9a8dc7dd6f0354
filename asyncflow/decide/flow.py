"""What comes after what: follow-ups of ended tasks, lists, and the end of it all.

`advance` is called once at the end of each step and computes follow-ups until nothing is left
or the slice is full. Failures are in `decide/failures`, joins in `decide/joins`, the end itself
in `decide/ending`.
"""

from __future__ import annotations

from itertools import islice

from asyncflow.decide.altered import CHANGE
from asyncflow.decide.counters import first_nodes, is_free
from asyncflow.decide.ending import end_execution, finish
from asyncflow.decide.failures import end_or_retry, retry_or_fail
from asyncflow.decide.gather import join_refs
from asyncflow.decide.recovering import open_next
from asyncflow.decide.reusing import take_up_again
from asyncflow.decide.scheduling import Frame, schedule
from asyncflow.decide.shape import (
    CHOICES,
    FORKS,
    JOINS,
    chosen_list,
    completes,
    list_done,
    list_ended,
    node_done,
)
from asyncflow.decide.step import FINISH_JOIN, GO_ON_FORKING, GO_ON_LOOPING, Step
from asyncflow.model.events import Advanced, Deferred, TaskEnded
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import (
    COMPLETED,
    EXECUTION_ENDED,
    FAILED,
    RUNNING,
    SKIPPED,
    TASK_ENDED,
    TASK_UNSUCCESSFUL,
)
from asyncflow.model.values import JsonObject

# The queue of follow-ups is `step.pending`, and it is worked off by one loop. Nothing below calls
# itself along the *length* of a definition, only along its nesting (a fork in a case in a loop),
# which registration bounds: a hundred thousand tasks that end at once cost no stack.
#
# Three things follow a record at once, in `begin_task`, instead of through the queue: the case of
# a SWITCH, the branches of a fork and those of a dynamic fork. Conductor makes these records
# together, so that they stand side by side in the list that users see.


def complete(  # noqa: PLR0913 - what an end is told by; most callers give three
    step: Step,
    task: TaskState,
    output: JsonObject | None,
    *,
    status: str = COMPLETED,
    reason: str | None = None,
    output_bytes: int = 0,
    input_bytes: int = 0,
) -> None:
    """Record that a task is done and that the flow goes on from it."""
    step.emit(TaskEnded(task.number, status, output, reason, True, output_bytes, None, input_bytes))
    step.pending.append(task)


def fail(
    step: Step,
    task: TaskState,
    status: str,
    reason: str,
    output: JsonObject | None = None,
    *,
    state: str | None = None,
) -> None:
    """Record that an attempt did not succeed: retried, tolerated, or the end of the execution.

    `state` is the true state of the record, where Conductor has no word for it.
    """
    going_on = retry_or_fail(step, task, status, reason, output=output, state=state)
    if going_on is not None:
        step.pending.append(going_on)


def advance(step: Step) -> None:
    """Compute follow-ups until nothing is left or the rest belongs to the next turn."""
    state = step.state
    if state.recovering and state.status == RUNNING and not state.repairs:
        open_next(step)
    if step.pending or state.ready_joins:
        _work_off(step)
    if (
        state.status == RUNNING
        and not state.awaits_slot
        and not state.recovering
        and not state.agenda
        and not state.repairs
        and (not state.open_count or state.open_count == state.passive_count)
    ):
        _look_for_end(step)


def _work_off(step: Step) -> None:
    state, pending = step.state, step.pending
    finish_join = step.beginnings[FINISH_JOIN]
    looked: set[int] = set()  # joins that were found not ready after all are left to a later step
    while pending or (state.ready_joins and not state.ready_joins.keys() <= looked):
        if state.status != RUNNING or state.awaits_slot or step.is_full:
            break
        if state.recovering or (state.repairs and state.repair_cause == CHANGE):
            break  # what follows is right only when all that runs again is open, or was performed again
        if pending:
            task = pending.popleft()
            if state.tasks.get(task.number) is task:  # a loop may have removed it meanwhile
                _follow(step, task)
        else:
            join = next(number for number in state.ready_joins if number not in looked)
            looked.add(join)
            finish_join(step, state.tasks[join])
    if not pending and not state.ready_joins:
        return
    numbers = [task.number for task in pending if state.tasks.get(task.number) is task]
    pending.clear()
    if not numbers and state.status == RUNNING and not state.awaits_slot:
        # Ready joins need no agenda of their own, only something that makes another turn come.
        numbers = [n for n in state.ready_joins if n not in state.agenda][:1]
    if numbers:
        step.emit(Deferred(numbers))


def take_up(step: Step) -> None:
    """Go on with what was deferred, as much of it as a slice holds."""
    state = step.state
    numbers = list(islice(state.agenda, max(1, step.context.slice_size // 2)))
    if not numbers or state.awaits_slot:
        return
    step.emit(Advanced(numbers))
    for number in numbers:
        task = state.tasks.get(number)
        if task is None or state.is_ended:
            continue
        if task.settled or not task.is_ended:
            step.pending.append(task)
        elif task.status in TASK_UNSUCCESSFUL:
            attempt = end_or_retry(step, task)
            if attempt is not None:
                step.pending.append(attempt)


def _look_for_end(step: Step) -> None:
    """End an execution that has nothing open, or nothing that anything could come from."""
    state = step.state
    if not state.open_count:
        finish(step)
    elif not any(number > 0 for number in state.wanted) and not state.ready_joins:
        stuck = _stuck(step)
        missing = [ref for ref in join_refs(state, stuck) if ref not in state.by_ref]
        end_execution(
            step,
            FAILED,
            f"Nothing can proceed: {stuck.node.type} {stuck.ref} waits for "
            f"{', '.join(missing[:5]) or 'tasks that never ended'}, which will never be scheduled",
            failed=stuck,
        )


def _stuck(step: Step) -> TaskState:
    """The record to name when nothing can proceed: a join before a loop that only waits for its body."""
    waiting = [task for task in step.state.tasks.values() if not task.is_ended]
    return next((task for task in waiting if task.node.type in JOINS), waiting[0])


# --- lists -----------------------------------------------------------------------------------


def begin_list(step: Step, home: NodeList, frame: Frame) -> None:
    """Schedule what starts a list of tasks."""
    for node in first_nodes(home):
        launch(step, node, frame)


def launch(step: Step, node: Node, frame: Frame) -> None:
    """Schedule a node unless it has a record; one that was skipped is jumped over."""
    state = step.state
    if state.status in EXECUTION_ENDED:
        return
    existing = state.by_ref.get(node.ref + frame.suffix)
    if existing is None:
        reused = None if state.memo is None else take_up_again(step, node, frame)
        if reused is None:
            begin_task(step, schedule(step, node, frame))
        else:
            step.pending.append(reused)
    elif existing.status == SKIPPED and not node.home.dag:  # in a DAG `skip` itself went on from it
        step.pending.append(existing)


def begin_task(step: Step, task: TaskState) -> None:
    """Begin a record that was just made; one that is held back begins when its timer is due."""
    kind = task.node.type
    begin = step.beginnings.get(kind)
    if begin is None or task.due_ms > step.now_ms:
        return
    begin(step, task)
    if task.settled and (kind in FORKS or (kind in CHOICES and chosen_list(task) is not None)):
        step.pending.pop()  # where `complete` has just put it
        _follow(step, task)


def _follow(step: Step, task: TaskState) -> None:
    """Schedule what comes after a record that settled, begin an attempt, or take a loop further."""
    kind = task.node.type
    if kind in FORKS and task.status == COMPLETED:
        step.beginnings[GO_ON_FORKING](step, task)
    elif task.status not in TASK_ENDED:
        if kind == "DO_WHILE":
            # Told twice, it must not take the iteration it has just entered for one that ended.
            if not task.iteration or _body_done(step, task):
                step.beginnings[GO_ON_LOOPING](step, task)
        else:  # another attempt, made a moment ago
            begin_task(step, task)
    elif completes(task):
        _after(step, task.node, Frame.of(task))
    else:
        chosen = chosen_list(task)
        if chosen is not None:
            begin_list(step, chosen, Frame.of(task))


def _body_done(step: Step, loop: TaskState) -> bool:
    body = loop.node.body
    return body is not None and list_done(step.state, body, f"{loop.suffix}__{loop.iteration}")


def _after_branch(step: Step, frame: Frame) -> None:
    """Let a loop look again whose iteration was done but for this branch, which no JOIN waits for."""
    loop = step.state.tasks.get(frame.loop)
    if loop is None or loop.is_ended or loop.iteration != frame.iteration:
        return
    if _body_done(step, loop):
        step.beginnings[GO_ON_LOOPING](step, loop)


def after_fork(step: Step, task: TaskState) -> None:
    """Schedule what else depends on a fork whose branches and JOIN are there (in a DAG)."""
    _after(step, task.node, Frame.of(task))


def _after(step: Step, node: Node, frame: Frame) -> None:
    """Schedule what comes after a node that is done, out of as many lists as end with it."""
    state = step.state
    current: Node | None = node
    while current is not None and state.status not in EXECUTION_ENDED:
        home = current.home
        if home.dag:
            for dependent in current.dependents:
                if is_free(state, dependent, frame.suffix):
                    launch(step, dependent, frame)
        else:
            # What is done already is passed over: a reopened task does not repeat what followed it.
            following = current.next
            while following is not None and node_done(state, following, frame.suffix):
                current, following = following, following.next
            if following is not None:
                launch(step, following, frame)
        if home.kind == "root" or not (
            list_ended(state, current, frame.suffix) and list_done(state, home, frame.suffix)
        ):
            return
        if home.kind == "branch":
            _after_branch(step, frame)
            return
        if home.kind == "loop":
            loop = state.tasks.get(frame.loop)  # a task in it that was skipped by name is in no iteration
            if loop is not None and loop.iteration == frame.iteration:  # else it is beyond this iteration
                step.beginnings[GO_ON_LOOPING](step, loop)
        current = home.owner if home.kind == "case" else None

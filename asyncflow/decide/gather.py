"""Outputs that are not stored: what a JOIN or DO_WHILE gathered, computed when it is read.

A fan-out of a hundred thousand is thus kept once, in its members. The limits on payloads apply
where a value is handed to a task or a caller, not here.
"""

from __future__ import annotations

from collections.abc import Iterator

from asyncflow.decide.shape import GATHERING
from asyncflow.model.definition import WorkflowDefinition, to_json
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, ForkMembers, TaskState
from asyncflow.model.values import JsonMapping, JsonObject, JsonValue

_MOST_LEVELS = 64  # of outputs that gather outputs

# A JOIN of a hundred thousand members, or a loop of as many rounds, would otherwise be recorded twice:
# once in the records gathered from, once in what gathers them, and again at every level around it.
# The price is that the output of a member that is removed (`keepLastN`) is gone from here as well,
# which is what Conductor shows, too.


def output_of(state: ExecutionState, task: TaskState) -> JsonMapping:
    """The output of a record, stored or gathered.

    Cost: linear in the members, for a JOIN or a DO_WHILE. Outputs that gather outputs are followed 64 levels.
    """
    if task.output or task.node.type not in GATHERING:
        return task.output or {}
    return _Gathering(state).output_of(task)


def input_of(task: TaskState) -> JsonMapping:
    """The input of a record as users see it, with what is not stored in it: branches, an inline child.

    Cost: linear in the branches, for a dynamic fork.
    """
    more = task.more
    if more is not None and more.members is not None:
        members = more.members
        definitions = forked_definitions(members) if members.shown is None else members.shown
        return {**task.input, "forkedTasks": members.refs, "forkedTaskDefs": definitions}
    param = task.node.task.sub_workflow_param
    if param is not None and isinstance(param.workflow_definition, WorkflowDefinition):
        return {**task.input, "subWorkflowDefinition": to_json(param.workflow_definition)}
    return task.input


def forked_definitions(members: ForkMembers) -> list[JsonObject]:
    """The definitions of the branches of a dynamic fork.

    Cost: some 20 µs a branch that has one of its own; it may be called in a thread.
    """
    return [to_json(members.node(index).task) for index in range(len(members.nodes))]


def member_output(state: ExecutionState, task: TaskState, key: str) -> tuple[bool, JsonValue]:
    """One entry of a record's output, without building the rest: whether it is there, and its value."""
    if task.output or task.node.type not in GATHERING:
        output = task.output or {}
        return key in output, output.get(key)
    if task.node.type == "JOIN":
        member = state.by_ref.get(key)
        if member is None or not _is_member(task, member):
            return False, None
        found = output_of(state, member)
        return bool(found), found
    return _loop_entry(state, task, key)


def join_members(state: ExecutionState, join: TaskState) -> Iterator[TaskState]:
    """The newest records a JOIN waits for, in the order of its `joinOn`; those not scheduled are left out."""
    for ref in join_refs(state, join):
        member = state.by_ref.get(ref)
        if member is not None:
            yield member


def join_refs(state: ExecutionState, join: TaskState) -> list[str]:
    """The full reference names a JOIN waits for."""
    more = join.more
    if more is None:
        return []
    if more.join_on is not None:
        return more.join_on
    fork = state.tasks.get(join.fork)
    opener = None if fork is None else fork.more
    return [] if opener is None or opener.members is None else opener.members.refs


def _is_member(join: TaskState, member: TaskState) -> bool:
    if join.more is not None and join.more.join_on is not None:
        return member.ref in join.more.join_on
    return member.fork == join.fork and member.fork_index >= 0


def loop_output(state: ExecutionState, loop: TaskState) -> JsonObject:
    """`iteration`, then an entry for each iteration that is kept, by plain reference name."""
    return _Gathering(state).looped(loop)


def _list_place(loop: TaskState) -> JsonObject:
    """Where in its list a loop is, empty for one that goes through none."""
    more = loop.more
    if more is None or more.of < 0 or not loop.iteration:
        return {}
    return {"loopIndex": loop.iteration - 1, "loopItem": more.item}


def _loop_entry(state: ExecutionState, loop: TaskState, key: str) -> tuple[bool, JsonValue]:
    if key == "iteration":
        return True, loop.iteration
    if key.isascii() and key.isdigit() and key[0] != "0" and len(key) <= len(str(loop.iteration)):
        entry = _Gathering(state).iteration(loop, int(key))
        return bool(entry), entry
    place = _list_place(loop)
    return key in place, place.get(key)


class _Gathering:
    """One reading of gathered outputs; what several gather is built once.

    A definition may have a JOIN wait for itself or for the loop around it, or a chain of thousands. What
    would hold itself, and what lies too deep, is left out: neither may exhaust the stack.
    """

    __slots__ = ("_level", "_seen", "_state")

    def __init__(self, state: ExecutionState) -> None:
        self._state = state
        self._seen: dict[int, JsonMapping] = {}  # by record number; empty while it is being built
        self._level = 0

    def output_of(self, task: TaskState) -> JsonMapping:
        if task.output or task.node.type not in GATHERING:
            return task.output or {}
        known = self._seen.get(task.number)
        if known is not None or self._level >= _MOST_LEVELS:
            return known or {}
        self._seen[task.number] = {}
        self._level += 1
        made = self._joined(task) if task.node.type == "JOIN" else self.looped(task)
        self._level -= 1
        self._seen[task.number] = made
        return made

    def _joined(self, join: TaskState) -> JsonObject:
        gathered: JsonObject = {}
        for member in join_members(self._state, join):
            output = self.output_of(member)
            if output:
                gathered[member.ref] = output
        return gathered

    def looped(self, loop: TaskState) -> JsonObject:
        output: JsonObject = {"iteration": loop.iteration}
        for iteration in range(1, loop.iteration + 1):
            entry = self.iteration(loop, iteration)
            if entry:
                output[str(iteration)] = entry
        return output | _list_place(loop)

    def iteration(self, loop: TaskState, iteration: int) -> JsonObject:
        body = loop.node.body
        if body is None:
            return {}
        suffix, by_ref = f"{loop.suffix}__{iteration}", self._state.by_ref
        entry: JsonObject = {}
        for node in _nodes_within(body):
            task = by_ref.get(node.ref + suffix)
            if task is None:
                continue
            entry[node.ref] = self.output_of(task)
            more = task.more
            for ref in more.members.refs if more is not None and more.members is not None else ():
                member = by_ref.get(ref)
                if member is not None:
                    entry[ref.removesuffix(task.suffix)] = self.output_of(member)
        return entry


def _nodes_within(home: NodeList) -> Iterator[Node]:
    """The nodes of a list and of the lists in them, except the bodies of further loops."""
    for node in home.nodes:
        yield node
        for inner in (*node.branches, *node.cases.values()):
            yield from _nodes_within(inner)
        if node.default is not None:
            yield from _nodes_within(node.default)

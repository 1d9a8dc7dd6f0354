"""Smart reruns: what a change means for an execution that ended, planned first and carried out when told to.

A plan is JSON that may be kept, edited by hand and given back; what it may not say is refused here and in the
deciding core. The rules are in `decide/rerun_plan` and `decide/changing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic_core import to_json

from asyncflow.app.database import reading
from asyncflow.app.payloads import check_texts
from asyncflow.app.service import Service
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.changing import is_as_wished
from asyncflow.decide.rerun_plan import (
    Below,
    RerunPlan,
    RerunRequest,
    command_of,
    plan_json,
    plan_rerun,
)
from asyncflow.decide.rerun_selectors import Selector, match, parse_selector
from asyncflow.errors import Conflict, InvalidInput, NotFound
from asyncflow.ids import task_number
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import Once
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import SKIPPED
from asyncflow.model.values import JsonObject
from asyncflow.runtime import recovery
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.runtime.stored_definitions import fold_catalog

_MOST_CHANGES = 1_000


Load = Callable[[str], Awaitable[ExecutionState]]
"""Finds the state of an execution; NotFound where there is none."""


class _Given(NamedTuple):
    """A plan as it came in."""

    epoch: int
    seq: int
    request: RerunRequest
    actions: Mapping[int, str]


class Reruns:
    """Smart reruns on one engine."""

    def __init__(self, service: Service) -> None:
        """Serve the engine of this service, which is open."""
        self._service, self._engine = service, service.engine

    async def plan(self, execution_id: str, request: JsonObject) -> JsonObject:
        """The plan for a request of `changed`, `completed` and `cutOff`; nothing changes.

        Raises:
            NotFound: there is no such execution.
            Refused: it did not end yet.
            InvalidInput: a selector means nothing here, or the request is malformed.
        """
        asked = read_request(request)
        state = await self._engine.state(execution_id)
        plan = await planned(self._engine.state, state, asked, graph=self._graph(state, asked))
        await self._engine.turns.settled(execution_id)
        return plan_json(plan)

    async def apply(self, execution_id: str, plan: JsonObject) -> JsonObject:
        """Carry a plan out as it was made, or with other actions for some tasks; durable at return.

        A plan that was carried out already changes nothing and says so.

        Raises:
            NotFound: there is no such execution.
            Conflict: the execution is not as it was when the plan was made.
            Refused: it did not end yet.
            InvalidInput: the plan is malformed, or an action in it cannot be.
            LimitExceeded: the new workflow input is too large.
        """
        given = _read_plan(execution_id, plan)
        state = await self._engine.state(execution_id)
        token = _token(execution_id, given)
        if token in state.applied:
            return _applied(state, changes=0, already=True)
        if (given.epoch, given.seq) != (state.epoch, state.seq):
            raise Conflict(
                f"the plan is for epoch {given.epoch}, event {given.seq} of execution {execution_id}, "
                f"which is at epoch {state.epoch}, event {state.seq} by now: make another one"
            )
        graph = self._graph(state, given.request)  # held until the command is decided
        made = await planned(self._engine.state, state, given.request, graph=graph)
        if plan.get("definition") != made.definition:
            raise Conflict(
                f"the plan is for another definition than version {given.request.version} is by now"
            )
        command = command_of(made, given.actions)
        if command.workflow_input is not None:
            checked, _ = await self._service.accepted_payload(command.workflow_input, "workflowInput")
            command = command._replace(workflow_input=checked)
        if is_as_wished(state, command):
            return _applied(state, changes=0, already=False)
        after = await self._engine.submit(execution_id, Once(token, command))
        return _applied(after, changes=after.seq - given.seq, already=False)

    def _graph(self, state: ExecutionState, request: RerunRequest) -> Graph | None:
        return graph_of(self._engine.catalog, state, request)


def graph_of(catalog: DefinitionCatalog, state: ExecutionState, request: RerunRequest) -> Graph | None:
    """The other definition that a rerun is to go on under, None if none is asked for.

    Raises:
        NotFound: there is no such version of the workflow.
    """
    if request.version is None:
        return None
    found = catalog.latest(state.name, request.version or None)
    if found is None:
        raise NotFound("workflow definition", f"{state.name} version {request.version or 'latest'}")
    return found


async def planned(
    load: Load, state: ExecutionState, request: RerunRequest, *, graph: Graph | None = None
) -> RerunPlan:
    """The plan for an execution, with what the selectors mean in those below it; raises as `plan_rerun`."""
    return plan_rerun(state, request, below=await _below(load, state, request), graph=graph)


async def _below(load: Load, state: ExecutionState, request: RerunRequest) -> Below:
    """What the selectors mean in executions below: only that is redone there, with what it concerns."""
    selectors = [each for each in map(parse_selector, request.changed) if not each.path]
    found = Below({}, set(), {})
    if selectors:
        await _look_below(load, state, selectors, found)
    return found


async def _look_below(load: Load, state: ExecutionState, selectors: list[Selector], found: Below) -> None:
    """The same for the children of one execution, and those below them."""
    for record in list(state.by_ref.values()):
        child_id = None if record.more is None else record.more.child_id
        if child_id is None:
            continue
        try:
            child = await load(child_id)
        except NotFound:  # deleted meanwhile
            continue
        under = Below({}, set(), {})
        await _look_below(load, child, selectors, under)
        meant = match(child, selectors)
        found.matched.update(under.matched, (each.text for each in selectors if each not in meant.unmatched))
        both = {**under.reasons, **meant.reasons}
        reasons = {n: why for n, why in both.items() if child.tasks[n].status != SKIPPED}
        if not reasons:
            continue
        first = child.tasks[next(iter(reasons))].ref
        found.reasons[record.number] = f"{', '.join(sorted(found.matched))} means {first} below it"
        if child.is_ended:
            inside = {
                ref: what
                for ref, what in under.inside.items()
                if child.by_ref[ref].number not in meant.reasons
            }
            found.inside[record.ref] = [child_id, child.epoch, child.seq, sorted(reasons), inside]


def read_request(body: Mapping[str, object]) -> RerunRequest:
    """What a plan is asked for, as it came in.

    Raises:
        InvalidInput: a field is of another shape.
    """
    changed = body.get("changed")
    listed = [] if changed is None else changed
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise InvalidInput("a list of selectors is expected", field="changed")
    if len(listed) > _MOST_CHANGES:
        raise InvalidInput(f"at most {_MOST_CHANGES} selectors", field="changed")
    completed, cut_off = body.get("completed"), body.get("cutOff")
    for field, value in (("completed", completed), ("cutOff", cut_off)):
        if value is not None and not isinstance(value, str):
            raise InvalidInput("text is expected", field=field)
    for each in listed:
        check_texts(changed=each)
    version = body.get("version")
    if version is not None and (type(version) is not int or version < 0):
        raise InvalidInput("a version, or 0 for the newest, is expected", field="version")
    spared = "outputs" if version is None else "inputs"
    return RerunRequest(tuple(listed), str(completed or "keep"), str(cut_off or spared), version)


def _read_plan(execution_id: str, plan: JsonObject) -> _Given:
    if plan.get("workflowId") != execution_id:
        raise InvalidInput("the plan is for another execution", field="workflowId")
    epoch, seq, tasks = plan.get("epoch"), plan.get("seq"), plan.get("tasks")
    if type(epoch) is not int or type(seq) is not int:
        raise InvalidInput("integers are expected, as they were in the plan", field="epoch, seq")
    if not isinstance(tasks, list):
        raise InvalidInput("a list is expected", field="tasks")
    actions: dict[int, str] = {}
    for entry in tasks:
        identity, action = (
            (entry.get("taskId"), entry.get("action")) if isinstance(entry, dict) else (None, None)
        )
        number = task_number(execution_id, identity) if isinstance(identity, str) else None
        if number is None or not isinstance(action, str):
            raise InvalidInput("each needs its taskId, of this execution, and an action", field="tasks")
        actions[number] = action
    return _Given(epoch, seq, read_request(plan), actions)


def _token(execution_id: str, given: _Given) -> str:
    """What makes the same plan the same, with the actions chosen in it."""
    request = given.request
    whole: list[object] = [execution_id, given.epoch, given.seq, request.changed, request.completed]
    whole += [request.cut_off] if request.version is None else [request.cut_off, request.version]
    text = to_json([*whole, sorted(given.actions.items())])
    return f"rerun:{hashlib.sha256(text).hexdigest()}"


def _applied(state: ExecutionState, *, changes: int, already: bool) -> JsonObject:
    return {
        "workflowId": state.execution_id,
        "status": state.status,
        "applied": changes > 0,
        "alreadyApplied": already,
        "epoch": state.epoch,
    }


async def plan_in_file(path: str | Path, execution_id: str, request: JsonObject) -> JsonObject:
    """The plan for an execution in a database file, read from its journal; nothing is opened or changed.

    Raises:
        NotFound, Refused, InvalidInput: as `Reruns.plan`.
        StoreError: there is no such file, or it cannot be read.
    """
    asked = read_request(request)
    catalog = DefinitionCatalog()
    async with reading(path) as reader:

        async def load(stream: str) -> ExecutionState:
            state = await recovery.load(reader, catalog, stream)  # type: ignore[arg-type]  # it only reads
            if state is None:
                raise NotFound("execution", stream)
            return state

        state = await load(execution_id)
        if asked.version is not None:
            registered = (await reader.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]
            await fold_catalog(reader, catalog, registered)  # type: ignore[arg-type]  # as above
        return plan_json(await planned(load, state, asked, graph=graph_of(catalog, state, asked)))

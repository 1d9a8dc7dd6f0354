"""Committed events as they are told outside: by published names, with what their executions say besides.

What is in memory is told at once; of what is not, the place is kept and the execution loaded when its turn to
be told comes. Names and facts are those of `event_rules`; who is told is the business of `listening`.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from asyncflow.app.event_rules import LEASED, RULES, Rule, public_key
from asyncflow.decide.job_view import job_with
from asyncflow.decide.scope import task_type
from asyncflow.errors import NotFound, StoreError
from asyncflow.ids import task_id
from asyncflow.model import events as ev
from asyncflow.model.resource_events import resource_of
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.recovery import MESSAGES

_OF_EXECUTIONS = frozenset({"task", "job", "execution"})


class Source(NamedTuple):
    """Where an event stands in the journal."""

    stream: str
    seq: int
    at_ms: int
    event: ev.Event


class Told(NamedTuple):
    """What is to be told of one event: it, or where it stands, if its execution has to be loaded first."""

    turn: int
    event: CommittedEvent | None
    source: Source | None = None


class Telling:
    """Tells of the events of one engine."""

    def __init__(self, engine: Engine) -> None:
        """Tell nobody yet."""
        self._wanted: frozenset[str] = frozenset()
        self._engine = engine
        self._newest: tuple[int, list[Told]] = (0, [])
        self._loaded: ExecutionState | None = None

    def want(self, names: AbstractSet[str]) -> None:
        """From now on somebody wants these names; nothing is made of others."""
        self._wanted = frozenset(names)
        self._newest = (0, [])

    def of_turn(self, turn: Turn) -> list[Told]:
        """What a turn that is durable tells; the readers of the newest one share it.

        Cost: some 3 µs for each event that somebody wants.
        """
        number, found = self._newest
        if number != turn.number:
            found = [*self._of_turn(turn)]
            self._newest = turn.number, found
        return found

    def _of_turn(self, turn: Turn) -> Iterator[Told]:
        states = self._engine.turns.states
        at_ms = turn.moment.wall_ms
        for stream, first_seq, events in turn.entries:
            for offset, event in enumerate(events):
                rule = RULES.get(type(event))
                if rule is None or not names_of(rule, event) & self._wanted:
                    continue
                source = Source(stream, first_seq + offset, at_ms, event)
                if rule.scope not in _OF_EXECUTIONS:
                    yield Told(turn.number, *_plain(rule, source))
                    continue
                state = states.get(execution_of(source))
                if state is None:
                    yield Told(turn.number, None, source)
                else:
                    for told in _of_execution(rule, source, state):
                        if told.name in self._wanted:
                            yield Told(turn.number, told)

    async def resolved(self, told: Told) -> list[CommittedEvent]:
        """What is to be told, its execution loaded if need be; facts that are nowhere any more are left out.

        Raises:
            ShuttingDown: the engine is stopping.
        """
        if told.event is not None:
            return [told.event]
        assert told.source is not None  # one of the two is there
        return await self.of_source(told.source)

    async def of_source(self, source: Source) -> list[CommittedEvent]:
        """All that is told of an event that stands there, whoever wants it; raises as `resolved`."""
        rule = RULES.get(type(source.event))
        if rule is None:
            return []
        if rule.scope not in _OF_EXECUTIONS:
            return [*_plain(rule, source)]
        return [*_of_execution(rule, source, await self._state(execution_of(source)))]

    async def _state(self, execution_id: str) -> ExecutionState | None:
        state = self._engine.turns.states.get(execution_id)
        if state is not None:
            return state
        kept = self._loaded
        if kept is not None and kept.execution_id == execution_id:
            return kept  # it is not in memory, so nothing has happened to it since
        try:
            self._loaded = await self._engine.state(execution_id)
        except (NotFound, StoreError):
            self._loaded = None
        return self._loaded


def names_of(rule: Rule, event: ev.Event) -> AbstractSet[str]:
    """All names under which something of this event is told."""
    name = rule.name_of(event)
    return {name, LEASED} if type(event) is ev.AttemptStarted and event.grants else {name}


def told_names(told: Told) -> AbstractSet[str]:
    """All names under which something of this is told, as far as can be seen without loading."""
    if told.event is not None:
        return {told.event.name}
    assert told.source is not None  # one of the two is there
    return names_of(RULES[type(told.source.event)], told.source.event)


def name_of(event: ev.Event) -> str:
    """The published name of an event; "" for one of the engine's own bookkeeping."""
    rule = RULES.get(type(event))
    return "" if rule is None else rule.name_of(event)


def execution_of(source: Source) -> str:
    """The execution that an event is about, which need not be its stream's."""
    event = source.event
    return event.execution_id if isinstance(event, ev.IoUnusual) else source.stream


def _plain(rule: Rule, source: Source) -> tuple[CommittedEvent]:
    """An event that is about no execution."""
    stream, seq, at_ms, event = source
    data = _own(rule, event)
    subject = ""
    if rule.scope == "resource":
        subject, _ = resource_of(stream)
        data["resource"] = subject
    elif isinstance(event, ev.MessagePublished) and not stream.startswith(MESSAGES):
        subject, data["messageId"] = stream, task_id(stream, event.number)
    return (CommittedEvent(f"{stream}:{seq}", rule.name_of(event), at_ms, subject, data),)


def _of_execution(rule: Rule, source: Source, state: ExecutionState | None) -> Iterator[CommittedEvent]:
    stream, seq, at_ms, event = source
    execution_id = execution_of(source)
    facts = _facts(execution_id, state)
    if rule.scope != "execution":
        facts |= _task_facts(execution_id, event, state)
    identity = f"{stream}:{seq}"
    yield CommittedEvent(identity, rule.name_of(event), at_ms, execution_id, {**facts, **_own(rule, event)})
    if isinstance(event, ev.AttemptStarted):
        for resource, weight, mode, key, *_ in event.grants or ():
            leased = {**facts, "resource": resource, "weight": weight, "mode": mode, "key": key}
            yield CommittedEvent(f"{identity}/{resource}/{key}", LEASED, at_ms, str(resource), leased)


def _own(rule: Rule, event: ev.Event) -> JsonObject:
    return {public_key(key): getattr(event, key) for key in rule.keys}


def _facts(execution_id: str, state: ExecutionState | None) -> JsonObject:
    if state is None:
        return {"executionId": execution_id}
    return {
        "executionId": execution_id,
        "workflow": state.name,
        "version": state.version,
        "correlationId": state.correlation_id,
    }


def _task_facts(execution_id: str, event: ev.Event, state: ExecutionState | None) -> JsonObject:
    facts: JsonObject = {}
    number = 0
    serial = getattr(event, "serial", 0)
    if serial:
        job = None if state is None else job_with(state, serial)
        if job is not None:
            number = job.number
            facts |= {"resource": job.resource, "instance": job.instance, "handle": job.handle}
    elif isinstance(event, ev.BranchesScheduled):
        number = event.fork
    else:
        number = getattr(event, "number", 0)
    if number:
        facts["taskId"] = task_id(execution_id, number)
        task = None if state is None else state.tasks.get(number)
        facts |= {} if task is None else _of_task(task)
    return facts


def _of_task(task: TaskState) -> JsonObject:
    return {
        "ref": task.ref.removesuffix(task.suffix),
        "task": task.name or task.node.name,
        "type": task_type(task),
        "iteration": task.iteration,
    }

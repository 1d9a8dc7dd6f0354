"""What must hold when a seed is over, read from the file and from the services' own books.

It asks no code of the engine for its opinion: the journal is read event by event. The letters are those of
the invariants of a crash test: nothing lost, nothing doubled, nothing stuck, every effect once.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore
from tests.crash.histories import Histories, judge_history
from tests.crash.job_audit import Outside as Job
from tests.crash.job_audit import judge_attempt, read_attempts
from tests.simulation.plans import Plan
from tests.simulation.world import World

_MANY = 10**6  # deliveries of a job that may run more than once


async def audit(world: World) -> str:
    """Add what is wrong to the world's list; a digest of all that happened, the same for the same seed."""
    async with SqliteStore.open(world.file) as store:
        world.wrong += await store.find_faults()
        rows = await store.list_executions((), Page(limit=-1, order=(("execution_id", False),)))
        ids = [row.execution_id for row in rows]
        histories = await store.read_streams(ids)
    roots = _roots(histories)
    for stream in world.acknowledged:
        if stream not in histories:
            world.wrong.append(f"{world.acknowledged[stream]} was acknowledged and is lost")
    for root, members in _families(roots).items():
        started = histories[root][0].event
        assert isinstance(started, ev.ExecutionStarted)
        plan = world.plans[str(started.correlation_id)]
        for wrong in _judge_family(world, plan, root, {each: histories[each] for each in members}):
            world.wrong.append(f"{plan.name}: {wrong}")
    world.wrong += _judge_jobs(world, histories)
    world.counts["executions"] += len(histories)
    world.counts["events"] += sum(len(history) for history in histories.values())
    return _digest(world, histories)


def _roots(histories: Histories) -> dict[str, str]:
    """By execution, the one that nobody else started."""
    parents: dict[str, str] = {}
    for stream, history in histories.items():
        event = history[0].event
        assert isinstance(event, ev.ExecutionStarted)
        parents[stream] = event.parent_id or ""

    def root(stream: str) -> str:
        return root(parents[stream]) if parents.get(stream) else stream

    return {stream: root(stream) for stream in histories}


def _families(roots: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for stream, root in roots.items():
        found[root].append(stream)
    return found


def _judge_family(world: World, plan: Plan, root: str, histories: Histories) -> list[str]:
    wrong: list[str] = []
    may_end = {"COMPLETED", "TERMINATED"} if plan.terminates else {"COMPLETED"}
    for stream, history in histories.items():
        wrong += [f"{stream}: {each}" for each in judge_history(history, may_end)]
    gave = [each.event for each in histories[root] if isinstance(each.event, ev.ExecutionEnded)]
    if any(end.status == "COMPLETED" and end.output != plan.output for end in gave):
        wrong.append(f"gave {gave[0].output}, not {plan.output}")
    ended = _ends(histories)
    if not plan.terminates and ended != Counter(plan.ends):
        wrong.append(f"ends {ended - Counter(plan.ends)} too many, {Counter(plan.ends) - ended} too few")
    if plan.terminates and ended - Counter(plan.ends):
        wrong.append(f"ends {ended - Counter(plan.ends)} too many")
    return wrong


def _ends(histories: Histories) -> Counter[str]:
    """How often a record of each reference ended successfully; an iteration counts for its task."""
    found: Counter[str] = Counter()
    for history in histories.values():
        refs = _refs(history)
        for each in history:
            if isinstance(each.event, ev.TaskEnded) and each.event.status == "COMPLETED":
                found[refs[each.event.number]] += 1
    return found


def _refs(history: Sequence[Recorded]) -> dict[int, str]:
    """The plain reference of every record; those of a dynamic fork's branches count together."""
    found: dict[int, str] = {}
    for each in history:
        match each.event:
            case ev.TaskScheduled() as event:
                found[event.number] = "branch" if event.fork_index >= 0 else event.ref
            case ev.BranchesScheduled() as event:
                for number in range(event.number, event.number + event.last - event.first):
                    found[number] = "branch"
            case _:
                pass
    return found


def _judge_jobs(world: World, histories: Histories) -> list[str]:
    wrong: list[str] = []
    for tier, service in world.services.items():
        wrong += service.wrong
        jobs: dict[str, list[Job]] = defaultdict(list)
        for made in service.made.values():
            service._settled(made)
            jobs[made.token].append(Job(made.handle, made.token, made.word))
        world.counts[f"jobs_{tier}"] += len(service.made)
        for stream, history in histories.items():
            for attempt in read_attempts(world.installation, stream, history):
                if attempt.tier == tier:
                    wrong += judge_attempt(attempt, jobs.pop(attempt.token, []), lives=_MANY)
        wrong += [f"{tier}: job {each[0].handle} has no attempt" for each in jobs.values()]
    return wrong


def _digest(world: World, histories: Histories) -> str:
    told = hashlib.sha256()
    for stream in sorted(histories):
        for each in histories[stream]:
            told.update(repr((stream, each.seq, each.event)).encode())
    for service in world.services.values():
        told.update(repr(service.truth).encode())
    return told.hexdigest()

"""What executions hold that a start set aside: kept from others, until they are released or deleted.

Their jobs and workers go on outside, whatever is wrong with the execution, so that a limit would be exceeded
without it. What they hold is found by `decide/left_held`; who goes back or out is `runtime/quarantine`.
"""

from __future__ import annotations

from asyncflow.decide.left_held import left_held
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.admitting import Admitting
from asyncflow.runtime.carry import Carry
from asyncflow.runtime.stored_definitions import chunks
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Journal


async def keep_held(turns: Turns, admitting: Admitting, journal: Journal) -> None:
    """Have all that are set aside hold what can be known of it; before anybody asks for anything.

    Cost: in the histories of those set aside.
    """
    for names in chunks([*turns.quarantined]):
        for stream, events in (await journal.read_legible(names)).items():
            for held in left_held(events):
                admitting.keep_left(stream, held)


def take_over(carry: Carry, state: ExecutionState) -> None:
    """The execution comes back: its jobs go on with what was kept for them."""
    for job in state.jobs.values():
        key, job_key = (state.execution_id, job.number), (state.execution_id, -job.serial)
        if carry.admission.fence_of(job_key) is None and state.job_of.get(job.number) == job.serial:
            carry.admitting.begun(key, job_key)


def hand_back(carry: Carry, state: ExecutionState) -> None:
    """The execution is back: what was kept for it and is not its goes to the next."""
    stream = state.execution_id
    for key in carry.admission.held_by(stream):
        task = state.tasks.get(key[1])
        is_its = key[1] < 0 or (task is not None and bool(task.grants) and not task.is_ended)
        if key[1] == 0:
            is_its = bool(state.slot) and not (state.awaits_slot or state.is_ended)
        if not is_its:
            carry.report_all(carry.admitting.release(key))

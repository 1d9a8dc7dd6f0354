"""Leases that span several tasks: who takes one, whom it covers, and when it is given back."""

from __future__ import annotations

import pytest

from asyncflow.decide.holds import is_covered
from asyncflow.model import inputs
from asyncflow.model.effects import Admit, Hold, Offer
from asyncflow.model.holds import HoldState, hold_of_key
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.definitions import Json, fork, loop, task, workflow
from tests.decide.job_cases import job_task, job_world

TABLE: list[object] = ["table", 1, "exclusive", "k"]
OTHER: list[object] = ["other", 1, None, ""]


def use(hold: str | None = None, **more: object) -> Json:
    """One use of the table, perhaps held."""
    return {"name": "table", "mode": "exclusive", "key": "k", **({"hold": hold} if hold else {}), **more}


def holder(ref: str, hold: str, *others: Json, kind: str = "SIMPLE", **more: object) -> Json:
    return task(ref, kind, asyncflow={"resources": [use(hold), *others]}, **more)


def user(ref: str, kind: str = "SIMPLE") -> Json:
    return task(ref, kind, asyncflow={"resources": [use()]})


def admit(made: World, state: ExecutionState, ref: str, *grants: list[object]) -> None:
    number = made.task(state, ref).number
    made.send(state.execution_id, inputs.AttemptAdmitted(number, list(grants), 9))


def end(made: World, state: ExecutionState, ref: str, status: str = "COMPLETED") -> None:
    made.send(state.execution_id, inputs.AttemptEnded(made.task(state, ref).number, status, {}, "because"))


def held(state: ExecutionState) -> list[list[object]]:
    return [list(hold.grant) for hold in state.holds.values()]


def started(*tasks: Json, **more: object) -> tuple[World, ExecutionState]:
    made = job_world("a", "b", "c", "d")
    state = made.start(workflow(*tasks, **more))
    return made, state


def test_grant_is_the_executions_from_the_first_task_to_the_last() -> None:
    made, state = started(holder("a", "from a to c", {"name": "other"}), user("b"), task("c"), task("d"))

    admit(made, state, "a", OTHER, TABLE)

    assert state.tasks[1].grants == [OTHER], "only what is held leaves the attempt"
    hold = state.holds[1]
    assert (hold.taker, hold.grant, hold.fence, hold.users) == (1, TABLE, 9, {1: None})
    assert state.wanted[hold.key] == (Hold(hold.key),)
    assert hold_of_key(hold.key) == 1
    end(made, state, "a")
    assert held(state) == [TABLE]
    assert is_covered(state, TABLE)
    admit(made, state, "b")
    assert 2 in hold.users
    end(made, state, "b")
    made.end(state, "c")
    assert held(state) == []
    assert not [number for number in state.wanted if number < 0]
    assert state.status == "RUNNING"


def test_what_is_waiting_asks_anew_when_a_hold_begins_and_ends() -> None:
    made, state = started(
        *fork(
            "f",
            [holder("a", "from a to c"), task("c")],
            [user("b")],
            [task("far", asyncflow={"resources": [use()]})],
        )
    )
    b, far = made.task(state, "b").number, made.task(state, "far").number
    assert state.wanted[b] == (Admit(b, 0),)

    admit(made, state, "a", TABLE)

    assert state.wanted[b] == (Admit(b, 0, 1),)
    assert state.wanted[far] == (Offer(far, 0, "", 1),)
    end(made, state, "a")
    made.end(state, "c")
    assert state.wanted[b] == (Admit(b, 0, 2),)


def test_hold_lasts_until_whoever_began_under_it_is_done() -> None:
    made, state = started(*fork("f", [holder("a", "from a to c"), task("c")], [user("b")]))
    admit(made, state, "a", TABLE)
    end(made, state, "a")
    admit(made, state, "b")

    made.end(state, "c")

    assert (held(state), state.holds[1].is_over) == ([TABLE], True)
    assert not is_covered(state, TABLE), "nobody begins under it any more"
    end(made, state, "b")
    assert held(state) == []


def test_retry_of_the_first_task_goes_on_under_its_hold() -> None:
    made = job_world("a", "c")
    made.register_task(name="a", retryCount=1, retryDelaySeconds=0)
    state = made.start(workflow(holder("a", "from a to c"), task("c")))
    admit(made, state, "a", TABLE)

    end(made, state, "a", "FAILED")
    admit(made, state, "a", ["table", 0, None, ""])

    assert (held(state), list(state.holds[1].users)) == ([TABLE], [2])


@pytest.mark.parametrize("ends", ["terminate", "fail"])
def test_end_of_the_execution_gives_everything_back(ends: str) -> None:
    made, state = started(holder("a", "from a to c"), task("b"), task("c"))
    made.register_task(name="b", retryCount=0)
    admit(made, state, "a", TABLE)
    end(made, state, "a")

    if ends == "terminate":
        made.terminate(state)
    else:
        made.send(state.execution_id, inputs.UpdateTask(2, "FAILED_WITH_TERMINAL_ERROR", {}))

    assert state.is_ended
    assert (state.holds, state.wanted) == ({}, {})


def test_job_begun_under_a_hold_keeps_it_until_its_own_end() -> None:
    made, state = started(
        holder("a", "from a to c"), job_task("b", asyncflow={"resources": [use()]}), task("c")
    )
    admit(made, state, "a", TABLE)
    end(made, state, "a")
    admit(made, state, "b")

    made.terminate(state)

    key = state.holds[1].key
    assert (state.holds[1].users, set(state.wanted), set(state.jobs)) == ({-1: None}, {key}, {1})
    made.retry(state)
    made.send(state.execution_id, inputs.JobOver(1, "cancelled", {}))
    assert state.holds == {}
    assert key not in state.wanted


def test_job_may_begin_a_hold() -> None:
    made, state = started(holder("a", "from a to c", kind="JOB"), task("c"))
    admit(made, state, "a", ["cluster", 1, None, ""], TABLE)

    assert state.jobs[1].grants == [["cluster", 1, None, ""]]
    made.send(state.execution_id, inputs.JobOver(1, "succeeded", {}))
    assert held(state) == [TABLE]
    made.end(state, "c")
    assert held(state) == []


def test_each_iteration_has_a_hold_of_its_own() -> None:
    body = [holder("a", "from a to c"), task("c")]
    made, state = started(loop("l", *body, times=2), task("d"))
    for iteration in (1, 2):
        admit(made, state, f"a__{iteration}", TABLE)
        end(made, state, f"a__{iteration}")
        assert (held(state), state.holds[iteration].suffix) == ([TABLE], f"__{iteration}")
        made.end(state, f"c__{iteration}")
        assert held(state) == []
    assert made.task(state, "d").status == "SCHEDULED"


def test_hold_into_a_loop_lasts_until_the_loop_is_done() -> None:
    made, state = started(holder("a", "from a to c"), loop("l", task("c"), times=2), task("d"))
    admit(made, state, "a", TABLE)
    end(made, state, "a")

    made.end(state, "c__1")
    assert (held(state), state.holds[1].until) == ([TABLE], "l")
    made.end(state, "c__2")

    assert held(state) == []


def test_last_task_that_was_skipped_before_leaves_the_grant_with_the_attempt() -> None:
    made, state = started(holder("a", "from a to c"), task("b"), task("c"))
    made.skip(state, "c")

    admit(made, state, "a", TABLE)

    assert (state.tasks[1].grants, state.holds) == ([TABLE], {})


def test_skipping_the_last_task_ends_the_hold() -> None:
    made, state = started(holder("a", "from a to c"), task("b"), task("c"))
    admit(made, state, "a", TABLE)
    end(made, state, "a")

    made.skip(state, "c")

    assert state.holds == {}


def test_use_on_another_task_than_the_first_begins_nothing() -> None:
    made, state = started(holder("a", "from b to c"), holder("b", "from b to c"), task("c"))

    admit(made, state, "a", TABLE)

    assert (state.tasks[1].grants, state.holds) == ([TABLE], {})


@pytest.mark.parametrize(
    ("held_row", "asked", "expected"),
    [
        (["r", 2, None, ""], ["r", 2, None, ""], True),
        (["r", 2, None, ""], ["r", 3, None, ""], False),
        (["r", 1, "exclusive", "k"], ["r", 1, "shared", "k"], True),
        (["r", 1, "shared", "k"], ["r", 1, "exclusive", "k"], False),
        (["r", 1, None, ""], ["r", 1, "shared", ""], False),
        (["r", 1, "exclusive", "k"], ["r", 1, "exclusive", "other"], False),
        (["r", 1, None, ""], ["s", 1, None, ""], False),
    ],
)
def test_hold_covers_no_more_than_it_is(
    held_row: list[object], asked: list[object], *, expected: bool
) -> None:
    _, state = started(task("a"))
    state.holds = {1: HoldState(1, 0, held_row)}

    assert is_covered(state, asked) is expected


# --- what a whole execution holds --------------------------------------------------------------------


def test_execution_holds_what_its_definition_names_until_it_ends() -> None:
    resources = [use(key="${workflow.input.day}")]
    made = job_world("a")
    made.gives_slots = False
    state = made.start(workflow(task("a"), asyncflow={"resources": resources}), {"day": "monday"})
    assert (state.tasks, state.wanted) == ({}, {0: (Admit(0, 0),)})
    assert state.slot_needs == [["table", 1, "exclusive", "monday"]]

    made.send(state.execution_id, inputs.AttemptAdmitted(0, [], 5))

    assert (held(state), state.holds[1].fence) == ([["table", 1, "exclusive", "monday"]], 5)
    assert 0 not in state.wanted
    assert differences(state, made.fold(state.execution_id)) == []
    made.end(state, "a")
    assert (state.status, state.holds, state.wanted) == ("COMPLETED", {}, {})
    made.restart(state)
    assert state.wanted == {0: (Admit(0, 0),)}, "opened again it asks again"


def test_execution_asks_for_its_slot_and_what_it_holds_together() -> None:
    made = job_world("a")
    made.gives_slots = False
    limited = {"rateLimitConfig": {"rateLimitKey": "x", "concurrentExecLimit": 1}}
    state = made.start(workflow(task("a"), asyncflow={"resources": [use()]}, **limited))

    made.send(state.execution_id, inputs.AttemptAdmitted(0))

    assert (state.slot, held(state)) == ("workflow:x", [TABLE])
    assert state.wanted[0] == (Hold(0),)


def test_execution_whose_key_comes_to_nothing_fails_by_name() -> None:
    made = job_world("a")

    state = made.start(workflow(task("a"), asyncflow={"resources": [use(key="${workflow.input.none}")]}))

    assert (state.status, state.tasks) == ("FAILED", {})
    assert "asyncflow.resources[0].key" in (state.reason or "")


def test_fold_of_every_prefix_has_the_same_holds() -> None:
    made, state = started(*fork("f", [holder("a", "from a to c"), task("c")], [user("b")]))
    seen = []
    for ref, grants in (("a", [TABLE]), ("b", [])):
        admit(made, state, ref, *grants)
        seen.append((len(made.journal[state.execution_id]), held(state)))
        end(made, state, ref)
        seen.append((len(made.journal[state.execution_id]), held(state)))
    made.end(state, "c")

    for upto, holds in seen:
        assert held(made.fold(state.execution_id, upto)) == holds
    assert differences(state, made.fold(state.execution_id)) == []

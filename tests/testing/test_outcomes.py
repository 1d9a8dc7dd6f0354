"""The table of outcomes by itself: look-up, consumption, shorthands, refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asyncflow.errors import InvalidInput, TaskFailed, TerminalTaskFailed
from asyncflow.model.values import JsonObject
from asyncflow.testing.kit import run_definition
from asyncflow.testing.outcomes import Outcome, Outcomes, Scripted

KEYS = ("poll__2", "poll", "http_poll")


def taken(outcomes: Outcomes, *keys: str, given: JsonObject | None = None) -> Outcome | None:
    found = outcomes.take(keys or KEYS, given or {})
    return None if found is None else found[0]


OUTPUTS: dict[str, tuple[object, JsonObject]] = {
    "nothing": (None, {}),
    "object": ({"a": 1}, {"a": 1}),
    "plain value": (7, {"result": 7}),
    "list": ([1, 2], {"result": [1, 2]}),
}


@pytest.mark.parametrize(("given", "output"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_output_is_made_an_object_as_that_of_a_function_is(given: object, output: JsonObject) -> None:
    assert Outcome.complete(given) == Outcome("COMPLETED", output)


RAISED: dict[str, tuple[Exception, str, str]] = {
    "any error": (KeyError("x"), "FAILED", "KeyError: 'x'"),
    "failed": (TaskFailed("no money"), "FAILED", "no money"),
    "for good": (TerminalTaskFailed("no account"), "FAILED_WITH_TERMINAL_ERROR", "no account"),
}


@pytest.mark.parametrize(("error", "status", "reason"), RAISED.values(), ids=RAISED.keys())
def test_raising_ends_as_the_engine_would_end_it(error: Exception, status: str, reason: str) -> None:
    assert Outcome.raises(error) == Outcome(status, {}, reason)


def test_exact_reference_wins_over_plain_reference_over_name_over_default() -> None:
    table: dict[str, Scripted] = {
        "poll__2": {"by": "exact"},
        "poll": {"by": "plain"},
        "http_poll": {"by": "name"},
    }
    outcomes = Outcomes(table, default={"by": "default"})

    assert [
        (taken(outcomes, *keys) or Outcome()).output["by"]
        for keys in (KEYS, ("poll__1", "poll", "http_poll"), ("other", "other", "http_poll"), ("a", "b", "c"))
    ] == ["exact", "plain", "name", "default"]


def test_list_gives_one_outcome_per_attempt_and_its_last_repeats() -> None:
    outcomes = Outcomes({"poll": [Outcome.fail("1"), Outcome.fail("2"), {}]})
    statuses = [(found.status if (found := taken(outcomes)) else None) for _ in range(5)]

    assert statuses == ["FAILED", "FAILED", "COMPLETED", "COMPLETED", "COMPLETED"]


def test_list_that_does_not_repeat_runs_out() -> None:
    outcomes = Outcomes({"poll": [{}]}, repeat_last=False)

    assert taken(outcomes) == Outcome()
    assert taken(outcomes) is None


def test_single_outcome_is_no_list_and_always_answers() -> None:
    outcomes = Outcomes({"poll": {"a": 1}}, repeat_last=False)

    assert [taken(outcomes) for _ in range(3)] == [Outcome(output={"a": 1})] * 3


def test_key_that_ran_out_leaves_the_next_one_to_answer() -> None:
    outcomes = Outcomes({"poll__2": [{"n": 1}], "poll": [{"n": 2}]}, default={"n": 3}, repeat_last=False)

    assert [(taken(outcomes) or Outcome()).output["n"] for _ in range(3)] == [1, 2, 3]


def test_what_follows_is_known() -> None:
    outcomes = Outcomes({"poll": [{}, {}]})

    assert [outcomes.take(KEYS, {}) for _ in range(2)] == [(Outcome(), True), (Outcome(), False)]


def test_no_entry_is_no_outcome() -> None:
    assert taken(Outcomes()) is None
    assert taken(Outcomes({"poll": []})) is None
    assert Outcomes(default={}).take(KEYS, {}, default=False) is None


def test_function_gets_the_input_and_gives_output_or_outcome() -> None:
    outcomes = Outcomes(
        {"double": lambda given: given["n"] * 2, "late": lambda given: Outcome.delayed(given["n"])}  # type: ignore[operator, arg-type]
    )

    assert taken(outcomes, "double", given={"n": 4}) == Outcome(output={"result": 8})
    assert taken(outcomes, "late", given={"n": 4}) == Outcome(after=4)


@pytest.mark.parametrize("function", [lambda given: given["missing"], lambda given: object()])
def test_function_that_raises_fails_the_attempt(function: Callable[[JsonObject], object]) -> None:
    found = taken(Outcomes({"poll": function}))

    assert found is not None
    assert found.status == "FAILED"


@pytest.mark.parametrize("wrong", ["text", 5, [["nested"]], [3]])
def test_entry_of_no_kind_is_refused_by_its_key(wrong: Scripted) -> None:
    with pytest.raises(InvalidInput, match="poll"):
        Outcomes({"poll": wrong})


def test_unused_entries_are_named() -> None:
    outcomes = Outcomes({"poll": {}, "pol": {}})
    taken(outcomes)

    assert outcomes.unused() == ["pol"]


# --- Conductor's mocks --------------------------------------------------------------------------


def test_mocks_are_read_with_their_milliseconds() -> None:
    outcomes = Outcomes.from_mocks(
        {
            "poll__2": [
                {"status": "FAILED", "output": {"a": 1}, "executionTime": 1500, "queueWaitTime": 250},
                {},
            ]
        }
    )

    assert taken(outcomes) == Outcome("FAILED", {"a": 1}, None, after=1.5, queued=0.25)
    assert taken(outcomes) == Outcome()
    assert taken(outcomes) is None


@pytest.mark.parametrize(
    ("mock", "path"),
    [
        ({"status": "DONE"}, "status"),
        ({"output": [1]}, "output"),
        ({"executionTime": -1}, "executionTime"),
        ({"queueWaitTime": "soon"}, "queueWaitTime"),
        ({"executionTime": True}, "executionTime"),
    ],
)
def test_malformed_mock_is_refused_with_its_path(mock: JsonObject, path: str) -> None:
    with pytest.raises(InvalidInput, match=rf"taskRefToMockOutput\.poll\[1\]: {path}"):
        Outcomes.from_mocks({"poll": [{}, mock]})


@pytest.mark.parametrize(("outcome", "ends_s"), [(Outcome.never(), 30), (Outcome.never(heartbeat=10), 100)])
async def test_one_that_never_ends_is_alive_if_it_says_so(outcome: Outcome, ends_s: int) -> None:
    bounds = {"name": "charge", "retryCount": 0, "responseTimeoutSeconds": 30, "timeoutSeconds": 100}
    task = {"name": "charge", "taskReferenceName": "charge", "type": "SIMPLE", "taskDefinition": bounds}
    definition: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [task]}
    run = await run_definition(definition, outcomes={"charge": outcome})

    assert (run.status, run.duration) == ("TIMED_OUT", ends_s)

"""The scenarios of HyperFlow's smart re-run, by number, each with what HyperFlow 1.7.0 does beside ours.

Numbers are those of the project's list of HyperFlow scenarios; `docs/hyperflow.md` has them as a table. The
ones about journal files are tested with those.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncflow.decide.rerun_plan import RerunRequest, counts, plan_rerun
from asyncflow.errors import InvalidInput
from asyncflow.model import events as ev
from asyncflow.model.definition import parse_workflow
from asyncflow.model.inputs import StartExecution
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.testing.pure import World
from tests.decide.reopening_support import loop, simple, workflow
from tests.decide.rerun_support import Rerun, another, redone

CHAIN = workflow(
    "chain",
    *(
        {**simple(str(n)), "inputParameters": {"of": f"${{{n - 1}.output.of}}" if n > 1 else 0}}
        for n in range(1, 6)
    ),
)


def test_scenario_3_a_completed_run_with_nothing_changed_executes_nothing() -> None:
    """HyperFlow: as ours, but it replays every firing through Redis and takes as long as no-ops take."""
    made = Rerun(CHAIN)
    before = len(made.world.journal[made.state.execution_id])

    assert made.change() == []
    assert made.state.status == "COMPLETED"
    assert len(made.world.journal[made.state.execution_id]) == before


def test_scenario_11_a_step_that_returned_nothing_is_not_run_again() -> None:
    """HyperFlow: `null` outputs are recorded and reused as well; so is an error, which it records alike."""
    made = Rerun(CHAIN, outcome=lambda task: {})

    assert made.change("ref:4") == ["4", "5"]


def test_scenario_18_a_selected_step_and_all_behind_it_run() -> None:
    """HyperFlow: 3, 4 and 5 run; the step cannot tell that it is forced, and gets `recovered` as well."""
    made = Rerun(CHAIN)
    old = made.state.by_ref["3"].output

    assert made.change("process.name=3", outcome=another) == ["3", "4", "5"]
    journal = made.world.journal[made.state.execution_id]
    ended = [
        each.event.output
        for each in journal
        if isinstance(each.event, ev.TaskEnded) and each.event.number == 3
    ]
    assert ended == [old, made.state.by_ref["3"].output]  # the old result is there to be read
    assert made.state.by_ref["3"].starts == 1


def test_scenario_19_what_follows_the_same_result_is_not_run() -> None:
    """HyperFlow: 4 and 5 are recomputed all the same, there is no early stop."""
    made = Rerun(CHAIN)

    assert redone(made.plan("name:3")) == ["3", "4", "5"]
    assert made.change("name:3") == ["3"]
    assert made.change("name:3", cut_off="none") == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("name:6", "'name:6': no task of this execution"),
        ("colour:3", "'colour:3': no such selector"),
        ("nmae:3", "'nmae:3': no such selector"),
        ("name:", "'name:': name of what?"),
        ("name:late", "'name:late': such a task has not run"),
        ("input:dya", "'input:dya': the input has no such key, and no task reads it"),
        ("path:$..x=1", "'path:$..x=1': a path of names and places expected"),
    ],
)
def test_scenario_20_an_entry_that_means_nothing_is_an_error_that_names_it(entry: str, named: str) -> None:
    """HyperFlow: an unknown selector or a misspelt key is ignored; a step not yet run is an unnamed error."""
    late: list[JsonValue] = [simple("late")]
    choice: JsonObject = {
        **simple("never"),
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "on",
        "inputParameters": {"on": "other"},
        "decisionCases": {"one": late},
    }
    made = Rerun(workflow("chosen", simple("3"), choice))
    before = len(made.world.journal[made.state.execution_id])
    with pytest.raises(InvalidInput) as refused:
        made.plan("name:3", entry)

    assert named in str(refused.value)
    assert len(made.world.journal[made.state.execution_id]) == before


def _inline(ref: str, needs: list[str]) -> JsonObject:
    inputs: JsonObject = {"evaluatorType": "value-param", "expression": "v", "v": 1}
    made: JsonObject = {"name": ref, "taskReferenceName": ref, "type": "INLINE", "inputParameters": inputs}
    return {**made, "asyncflow": {"dependsOn": list(needs)}} if needs else made


def _run(definition: JsonObject) -> ExecutionState:
    """An execution of any size, of tasks that end as they begin."""
    world = World()
    limits = replace(DEFAULT_LIMITS, definition_tasks=200_000)
    graph = world.catalog.inline(parse_workflow(definition, limits=limits))
    world.send("large", StartExecution(graph.hash, {}))
    state = world.states["large"]
    assert state.status == "COMPLETED"
    return state


def test_scenario_21_a_thousand_diamonds_in_a_row() -> None:
    """HyperFlow: time doubles with each diamond; 28 of them take 37 s."""
    tasks = [_inline("d0", [])]
    for n in range(1_000):
        tasks += [
            _inline(f"l{n}", [f"d{n}"]),
            _inline(f"r{n}", [f"d{n}"]),
            _inline(f"d{n + 1}", [f"l{n}", f"r{n}"]),
        ]
    plan = plan_rerun(_run(workflow("diamonds", *tasks)), RerunRequest(("ref:d500",)))

    assert counts(plan.tasks) == {"reuse": 1_500, "redo": 1_501, "ask": 0}


def test_scenario_21_a_chain_of_a_hundred_thousand() -> None:
    """HyperFlow: a chain of 10,000 overflows the stack."""
    chain = _run(workflow("chain", *(_inline(f"t{n}", []) for n in range(100_000))))
    plan = plan_rerun(chain, RerunRequest(("ref:t40000",)))

    assert counts(plan.tasks) == {"reuse": 40_000, "redo": 60_000, "ask": 0}


def test_scenario_21_a_graph_with_a_loop() -> None:
    """HyperFlow: a cycle overflows the stack."""
    made = Rerun(workflow("looped", simple("a"), loop("l", simple("i"), simple("j"), times=3), simple("end")))

    assert redone(made.plan("ref:i__2")) == ["end", "i__2", "i__3", "j__2", "j__3"]
    assert redone(made.plan("name:i")) == ["end", *(f"{ref}__{n}" for ref in "ij" for n in (1, 2, 3))]

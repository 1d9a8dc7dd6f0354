"""The laws of smart reruns, over random DAGs and random definitions of all operators.

A DAG is of tasks with `dependsOn`; each reads some of what it depends on and a key of the input, and some
give the same result whatever they read. What has to run again is computed here from the DAG alone.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow.decide.rerun_plan import RerunRequest, command_of, plan_rerun
from asyncflow.errors import Conflict, Refused
from asyncflow.model.inputs import Once
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from asyncflow.testing.states import differences
from tests.decide.reopening_support import simple, workflow
from tests.decide.rerun_support import Rerun, redone
from tests.decide.test_reopening_laws import SEEDS, begin, check

DAGS = 1_000


@dataclass
class Dag:
    """A random DAG, and what its tasks give: `changed` ones another result, `deaf` ones always the same."""

    seed: int
    needs: dict[str, list[str]] = field(default_factory=dict)
    reads: dict[str, list[str]] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Draw it; every DAG has a task that depends on nothing."""
        dice = random.Random(self.seed)
        refs = [f"t{i}" for i in range(dice.randint(2, 12))]
        for index, ref in enumerate(refs):
            count = dice.choice([0, 1, 1, 2, 3]) if index else 0
            self.needs[ref] = sorted(dice.sample(refs[:index], min(index, count)))
            self.reads[ref] = [need for need in self.needs[ref] if dice.random() < 0.6]
        self.deaf = {ref for ref in refs if dice.random() < 0.3}
        self.selected = set(dice.sample(refs, dice.randint(1, min(3, len(refs)))))

    def definition(self) -> JsonObject:
        """The tasks, in an order of their own."""
        tasks = []
        for ref, needs in self.needs.items():
            inputs = {need: f"${{{need}.output.v}}" for need in self.reads[ref]}
            inputs["key"] = f"${{workflow.input.{ref}}}"
            tasks.append(simple(ref, inputParameters=inputs, asyncflow={"dependsOn": list(needs)}))
        random.Random(self.seed).shuffle(tasks)
        return workflow("dag", *tasks)

    def outcome(self, task: TaskState) -> JsonObject:
        """What a task gives for its input."""
        return {"v": self.value(task.ref, task.input)}

    def value(self, ref: str, inputs: JsonObject) -> str:
        """A deaf task says its name, or its name and version; another one all it was given."""
        version = 2 if ref in self.changed else 1
        return (
            f"{ref}:{version}" if ref in self.deaf else f"{ref}:{version}:{hash(str(sorted(inputs.items())))}"
        )

    def values(self) -> dict[str, str]:
        """What every task gives in a run from nothing."""
        found: dict[str, str] = {}
        for ref in self.needs:
            found[ref] = self.value(ref, self._inputs(ref, found))
        return found

    def _inputs(self, ref: str, values: dict[str, str]) -> JsonObject:
        return {**{need: values[need] for need in self.reads[ref]}, "key": ref}

    def reachable(self) -> set[str]:
        """The selected tasks and all that depends on them."""
        found: set[str] = set()
        for ref, needs in self.needs.items():
            if ref in self.selected or found & set(needs):
                found.add(ref)
        return found

    def affected(self, before: dict[str, str], *, by_order: bool) -> set[str]:
        """Those whose inputs change; `by_order` also those that depend on a task with another result."""
        after = self.values()
        found: set[str] = set()
        for ref, needs in self.needs.items():
            counted = needs if by_order else self.reads[ref]
            if ref in self.selected or any(before[n] != after[n] for n in counted):
                found.add(ref)
        return found


def _run(seed: int) -> tuple[Dag, Rerun, dict[str, str]]:
    dag = Dag(seed)
    made = Rerun(dag.definition(), {ref: ref for ref in dag.needs}, dag.outcome)
    before = dag.values()
    dice = random.Random(seed + 1)
    dag.changed = {ref for ref in sorted(dag.selected) if dice.random() < 0.6}
    return dag, made, before


def _results(made: Rerun) -> dict[str, object]:
    return {ref: (task.output or {}).get("v") for ref, task in made.state.by_ref.items()}


@pytest.mark.parametrize("part", range(10))
def test_exactly_the_reachable_part_of_a_dag_is_redone(part: int) -> None:
    """Without cut-off: what is selected and what depends on it, as planned, each once."""
    for seed in range(part * DAGS // 10, (part + 1) * DAGS // 10):
        dag, made, _ = _run(seed)
        plan = made.plan(*(f"ref:{ref}" for ref in sorted(dag.selected)), cut_off="none")
        ran = made.apply(plan)

        assert ran == redone(plan) == sorted(dag.reachable()), seed
        assert _results(made) == dag.values(), seed
        assert made.state.status == COMPLETED


@pytest.mark.parametrize("part", range(10))
def test_exactly_the_part_whose_inputs_changed_is_redone(part: int) -> None:
    """With cut-off: what is selected, and what follows or reads another result than before."""
    for seed in range(part * DAGS // 10, (part + 1) * DAGS // 10):
        for cut_off, by_order in (("outputs", True), ("inputs", False)):
            dag, made, before = _run(seed)
            kept = {ref: (task.number, task.ended_ms) for ref, task in made.state.by_ref.items()}
            made.world.now_ms += 1_000
            plan = made.plan(*(f"ref:{ref}" for ref in sorted(dag.selected)), cut_off=cut_off)
            ran = made.apply(plan)
            expected = dag.affected(before, by_order=by_order)

            assert ran == sorted(expected), (seed, cut_off)
            assert set(ran) <= set(redone(plan))
            assert _results(made) == dag.values(), (seed, cut_off)
            for ref in kept.keys() - expected:
                task = made.state.by_ref[ref]
                assert (task.number, task.ended_ms) == kept[ref], (seed, ref)


@given(SEEDS, st.integers(0, 11))
@settings(max_examples=100)
def test_a_changed_key_redoes_who_reads_it_and_what_that_alters(seed: int, index: int) -> None:
    dag, made, _ = _run(seed)
    dag.changed.clear()
    ref = list(dag.needs)[index % len(dag.needs)]
    before = _results(made)
    ran = made.change(f"input:{ref}=new")
    after = _results(made)

    assert made.state.input[ref] == "new"
    expected = {ref} | {r for r, needs in dag.needs.items() if any(before[n] != after[n] for n in needs)}
    assert ran == sorted(expected)


@given(SEEDS)
@settings(max_examples=100)
def test_a_plan_applied_twice_changes_nothing_and_an_old_one_is_refused(seed: int) -> None:
    dag, made, _ = _run(seed)
    plan = made.plan(f"ref:{min(dag.selected)}")
    command = Once("token", command_of(plan, {}))
    made.world.send(made.state.execution_id, command)
    made.go_on()
    before = copy.deepcopy(made.world.journal[made.state.execution_id])
    made.world.send(made.state.execution_id, command)

    assert made.world.journal[made.state.execution_id] == before
    with pytest.raises(Conflict):
        made.world.send(made.state.execution_id, command_of(plan, {}))
    assert made.world.journal[made.state.execution_id] == before


@given(SEEDS, st.sampled_from(["outputs", "inputs", "none"]), st.sampled_from([2_000, 3]))
@settings(max_examples=300)
def test_any_execution_comes_to_its_end_again_with_its_other_results_untouched(
    seed: int, cut_off: str, slice_size: int
) -> None:
    """Forks, loops, choices, children: planned as reuse stays as it is, at every level and slice."""
    world, history = begin(seed, completable=True, slice_size=slice_size)
    history.settle()
    dice = random.Random(seed)
    for _ in range(2):
        for state in list(world.states.values()):
            if not state.is_ended or not state.tasks:
                continue
            ref = dice.choice(list(state.by_ref))
            request = RerunRequest(
                (f"ref:{ref}",) if state.by_ref[ref].status != "SKIPPED" else (), "keep", cut_off
            )
            plan = plan_rerun(state, request)
            kept = {
                t.ref: (t.number, state.by_ref[t.ref].ended_ms) for t in plan.tasks if t.action == "reuse"
            }
            try:
                world.send(state.execution_id, command_of(plan, {}))
            except Refused:
                continue
            history.settle()
            check(world)

            assert state.is_ended, state.execution_id
            for name, was in kept.items():
                assert (state.by_ref[name].number, state.by_ref[name].ended_ms) == was
    for identity, state in world.states.items():
        assert differences(state, world.fold(identity)) == []

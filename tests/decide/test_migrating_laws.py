"""The laws of migration, over random definitions, histories and changes of the definition."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.decide.migration_plan import plan_migration
from asyncflow.errors import DefinitionError, Refused
from asyncflow.model.definition import parse_workflow
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import MigrateExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import SKIPPED
from asyncflow.model.validation import validate_workflow
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.definitions import Json, task
from tests.decide.random_histories import History, random_world
from tests.decide.test_laws import GIVEN, SEEDS, SEEDS_AN_EXAMPLE, check_derived, check_waiting, journals

STEPS = 30
MOST_BEFORE = 12  # things that happen before the migration: after more, most executions have ended


class Editor:
    """Changes definitions as an author would: adds, removes, moves, renames, gives other inputs."""

    def __init__(self, seed: int) -> None:
        self.dice, self.mapping = random.Random(seed), dict[str, str]()
        self.body: Json = {}

    def edited(self, body: Json) -> Json:
        """Another version; `mapping` says what was renamed."""
        made = self.body = copy.deepcopy(body)
        made["version"] = 2
        for number in range(self.dice.randint(1, 3)):
            home = self.dice.choice(list(_lists(made["tasks"])))
            self.dice.choice([self._add, self._add, self._remove, self._rename, self._rename, self._input])(
                home, number
            )
        return made

    def _add(self, home: list[Json], number: int) -> None:
        home.insert(
            self.dice.randint(0, len(home)), task(f"new{number}", self.dice.choice(["SIMPLE", "NOOP"]))
        )

    def _remove(self, home: list[Json], number: int) -> None:
        place = self.dice.randrange(len(home))
        if len(home) > 1 and not self._is_named(home[place]):
            home.pop(place)

    def _is_named(self, removed: Json) -> bool:
        """Whether a task that stays names one that is to go: such a version would wait for it for ever."""
        whole, own = json.dumps(self.body), json.dumps(removed)
        refs = re.findall(r'"taskReferenceName": ("[^"]+")', own)
        return any(whole.count(ref) != own.count(ref) for ref in refs)

    def _rename(self, home: list[Json], number: int) -> None:
        chosen = self.dice.choice(home)
        old = str(chosen["taskReferenceName"])
        if chosen["type"] == "SIMPLE" and old not in self.mapping and not old.startswith("re_"):
            chosen["taskReferenceName"] = self.mapping[old] = f"re_{old}"

    def _input(self, home: list[Json], number: int) -> None:
        chosen = self.dice.choice(home)
        if chosen["type"] == "SIMPLE":
            chosen["inputParameters"] = {"edited": number}


def _lists(home: object) -> Iterator[list[Json]]:
    assert isinstance(home, list)
    yield home
    for each in home:
        inner = [*each.get("forkTasks", ()), *each.get("decisionCases", {}).values()]
        for listed in (*inner, each.get("defaultCase"), each.get("loopOver")):
            if listed:
                yield from _lists(listed)


def renamed_joins(body: object, mapping: dict[str, str]) -> object:
    """The definition with the new names wherever tasks name each other."""
    if isinstance(body, dict):
        return {key: renamed_joins(value, mapping) for key, value in body.items()}
    if isinstance(body, list):
        return [
            mapping.get(each, each) if isinstance(each, str) else renamed_joins(each, mapping)
            for each in body
        ]
    return body


def edited_graph(world: World, definition: Json, seed: int) -> tuple[Graph, dict[str, str]] | None:
    """A valid other version, or None where the change made none."""
    editor = Editor(seed)
    body = renamed_joins(editor.edited(definition), editor.mapping)
    assert isinstance(body, dict)
    try:
        parsed = parse_workflow(body)
    except DefinitionError:
        return None
    return None if validate_workflow(parsed) else (world.catalog.inline(parsed), editor.mapping)


def begun(seed: int) -> tuple[World, History, ExecutionState, Json]:
    world, definition = random_world(seed)
    state = world.start(definition, GIVEN)
    history = History(world, seed)
    for _ in range(seed % MOST_BEFORE):
        history.happen()
    return world, history, state, definition


def migrated(seed: int) -> tuple[World, History, ExecutionState] | None:
    """A world in which an execution was migrated, or None where the plan had something against it."""
    world, history, state, definition = begun(seed)
    found = edited_graph(world, definition, seed)
    if found is None:
        return None
    graph, mapping = found
    names = {old: new for old, new in mapping.items() if old in state.graph.nodes}
    plan = plan_migration(state, graph, names)
    before = journals(world)
    try:
        world.send(state.execution_id, MigrateExecution(graph.hash, names))
    except Refused as refusal:
        unnamed = [problem for problem in plan.problems if str(problem) not in str(refusal)]
        assert (bool(plan.problems), unnamed) == (True, [])
        assert journals(world) == before, "a refusal records nothing"
        return None
    assert not plan.problems, "what the plan refuses is refused"
    return world, history, state


@given(SEEDS)
def test_migrated_execution_folds_to_the_state_that_made_it(seed: int) -> None:
    """Fold equals the unbroken run, derived counts equal counts from scratch, whatever happens next."""
    for offset in range(SEEDS_AN_EXAMPLE):
        made = migrated(seed + offset)
        for step in range(STEPS if made is not None else 0):
            assert made is not None
            world, history, _ = made
            if step % 6 == 0 or step == STEPS - 1:
                for identity, state in world.states.items():
                    folded = world.fold(identity)
                    assert differences(state, folded) == []
                    check_derived(state, folded)
                    check_waiting(state)
            history.happen()


@given(SEEDS)
def test_migrated_execution_comes_to_an_end(seed: int) -> None:
    """Nothing is lost on the way: once undisturbed it ends, and for no other reason than its tasks."""
    for offset in range(SEEDS_AN_EXAMPLE):
        made = migrated(seed + offset)
        if made is None:
            continue
        world, history, state = made
        history.settle()

        assert all(each.is_ended for each in world.states.values())
        if all(
            each.status != SKIPPED for each in state.tasks.values()
        ):  # a SWITCH skipped may leave its JOIN
            assert "Nothing can proceed" not in (state.reason or "")


@given(SEEDS)
def test_recovery_after_a_migration_leaves_no_trace(seed: int) -> None:
    """A run folded anew right after its migration and later records what an unbroken one does."""
    for offset in range(SEEDS_AN_EXAMPLE):
        unbroken, broken = migrated(seed + offset), migrated(seed + offset)
        if unbroken is None or broken is None:
            assert unbroken is broken
            continue
        for step in range(STEPS):
            if step % 5 == 0:
                for identity in list(broken[0].states):
                    broken[0].recover(identity)
            unbroken[1].happen()
            broken[1].happen()

        assert journals(broken[0]) == journals(unbroken[0])


@given(st.integers(0, 2**16))
def test_migration_to_an_equal_shape_is_never_refused(seed: int) -> None:
    """Only inputs differ: whatever is under way, the execution goes on as if it always had them."""
    world, history, state, definition = begun(seed)
    if state.is_ended:
        return
    graph = world.catalog.inline(parse_workflow({**definition, "version": 2, "description": "new"}))

    world.send(state.execution_id, MigrateExecution(graph.hash))
    history.settle()

    assert state.version == 2
    assert all(each.is_ended for each in world.states.values())

"""Lists with `dependsOn`, lowered, keep their partial order exactly."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow.convert.conductor import lower_to_conductor
from asyncflow.errors import DefinitionError

Task = dict[str, object]
Order = dict[str, frozenset[str]]


def dag(edges: dict[str, list[str]]) -> dict[str, object]:
    """A definition of simple tasks with these dependencies, in this order."""
    tasks = [
        {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", "asyncflow": {"dependsOn": needs}}
        for ref, needs in edges.items()
    ]
    return {"name": "dag", "tasks": tasks}


def order_asked(edges: dict[str, list[str]]) -> Order:
    """For each task what must have ended before it starts, as the edges say."""
    before: dict[str, frozenset[str]] = {}
    for ref, needs in edges.items():
        before[ref] = frozenset(needs).union(*(before[need] for need in needs))
    return before


class Interpreter:
    """What must have ended before each task starts, in a definition of sequences, forks and joins.

    Every start condition in these is a conjunction, so the order is a closure over prerequisites:
    a task starts when the one before it in its list has ended, a branch when its fork has, a JOIN
    ends when all it names have ended. A SWITCH itself ends at once, what follows it in its list
    waits for its case, and a JOIN that names it does not.
    """

    def __init__(self, tasks: list[Task]) -> None:
        self._needs: dict[str, list[str]] = {}
        self._kinds: dict[str, str] = {}
        self._walk(tasks, [])
        self._ended: dict[str, frozenset[str]] = {}

    def _walk(self, tasks: list[Task], entry: list[str]) -> None:
        for task in tasks:
            ref, kind = str(task["taskReferenceName"]), str(task["type"])
            assert ref not in self._needs, "references are unique"
            joined = task.get("joinOn", [])
            assert isinstance(joined, list)
            self._needs[ref], self._kinds[ref] = [*entry, *joined], kind
            branches = task.get("forkTasks", [])
            assert isinstance(branches, list)
            for branch in branches:
                assert branch, "Conductor refuses an empty branch"
                self._walk(branch, [ref])
            entry = [ref]
            cases = task.get("decisionCases", {})
            assert isinstance(cases, dict)
            for case in cases.values():
                self._walk(case, [ref])
                entry.append(case[-1]["taskReferenceName"])
        for task, follower in pairwise(tasks):
            if task["type"] == "FORK_JOIN":
                assert follower["type"] == "JOIN", "Conductor wants the JOIN next"

    def order(self) -> Order:
        """The order among the tasks that work, which are the simple ones."""
        real = {ref for ref, kind in self._kinds.items() if kind == "SIMPLE"}
        return {ref: self._before(ref) & real for ref in real}

    def _before(self, ref: str, trail: frozenset[str] = frozenset()) -> frozenset[str]:
        assert ref not in trail, "the lowered definition would wait for itself"
        if ref not in self._ended:
            found: set[str] = set()
            for need in self._needs[ref]:
                found |= self._before(need, trail | {ref}) | {need}
            self._ended[ref] = frozenset(found)
        return self._ended[ref]


def lowered_tasks(definition: dict[str, object]) -> list[Task]:
    tasks = lower_to_conductor(definition)[0]["tasks"]
    assert isinstance(tasks, list)
    return tasks


@st.composite
def random_edges(draw: st.DrawFn) -> dict[str, list[str]]:
    """A random DAG of up to 14 tasks, from sparse to dense, named in topological order."""
    size = draw(st.integers(1, 14))
    density = draw(st.sampled_from([0.1, 0.25, 0.5, 0.8]))
    dice = random.Random(draw(st.integers(0, 1 << 32)))
    names = [f"t{number}" for number in range(size)]
    return {
        name: [other for other in names[:index] if dice.random() < density]
        for index, name in enumerate(names)
    }


@settings(max_examples=400, deadline=None)
@given(random_edges())
def test_lowering_keeps_partial_order(edges: dict[str, list[str]]) -> None:
    """Law: the lowered definition starts each task after exactly its direct and indirect dependencies."""
    tasks = lowered_tasks(dag(edges))

    assert Interpreter(tasks).order() == order_asked(edges)


@settings(max_examples=100, deadline=None)
@given(random_edges(), st.randoms(use_true_random=False))
def test_lowering_ignores_order_of_list(edges: dict[str, list[str]], dice: random.Random) -> None:
    """Law: only the edges count, not where in the list a task stands."""
    refs = list(edges)
    dice.shuffle(refs)

    tasks = lowered_tasks(dag({ref: edges[ref] for ref in refs}))

    assert Interpreter(tasks).order() == order_asked(edges)


def task_of_kind(kind: str, ref: str, needs: list[str]) -> list[Task]:
    """A simple task, a SWITCH with one inside, or a fork of two with its JOIN, all ending as `ref`."""
    made: Task = {"name": ref, "taskReferenceName": ref, "asyncflow": {"dependsOn": needs}}
    inner = [{"name": f"{ref}_{n}", "taskReferenceName": f"{ref}_{n}", "type": "SIMPLE"} for n in "ab"]
    if kind == "SWITCH":
        return [{**made, "type": kind, "decisionCases": {"k": inner}}]
    if kind == "FORK_JOIN":
        fork = {**made, "taskReferenceName": f"{ref}_f", "type": kind, "forkTasks": [inner[:1], inner[1:]]}
        join: Task = {
            "name": ref,
            "taskReferenceName": ref,
            "type": "JOIN",
            "joinOn": [f"{ref}_a", f"{ref}_b"],
        }
        return [fork, join | {"asyncflow": {"dependsOn": [f"{ref}_f"]}}]
    return [{**made, "type": "SIMPLE"}]


@settings(max_examples=200, deadline=None)
@given(random_edges(), st.data())
def test_lowering_waits_for_what_is_inside(edges: dict[str, list[str]], data: st.DataObject) -> None:
    """Law: who depends on a SWITCH or on a fork's JOIN starts after everything inside has ended."""
    kinds = {ref: data.draw(st.sampled_from(["SIMPLE", "SWITCH", "FORK_JOIN"])) for ref in edges}
    tasks = [task for ref, needs in edges.items() for task in task_of_kind(kinds[ref], ref, needs)]
    own = {ref: [ref] if kind == "SIMPLE" else [f"{ref}_a", f"{ref}_b"] for ref, kind in kinds.items()}

    order = Interpreter(lowered_tasks({"name": "dag", "tasks": tasks})).order()

    for ref, before in order_asked(edges).items():
        asked = {task for other in before for task in own[other]}
        first, last = own[ref][0], own[ref][-1]
        assert order[first] == asked
        assert order[last] == asked | ({first} if kinds[ref] == "SWITCH" else set())


def shape(tasks: list[Task]) -> list[object]:
    """The arrangement alone: references, and lists of branches for forks; joins are left out."""
    arranged: list[object] = []
    for task in tasks:
        branches = task.get("forkTasks")
        if isinstance(branches, list):
            arranged.append([shape(branch) for branch in branches])
        elif task["type"] != "JOIN":
            arranged.append(task["taskReferenceName"])
    return arranged


def test_chain_becomes_plain_sequence() -> None:
    tasks = lowered_tasks(dag({"c": ["b"], "a": [], "b": ["a"]}))

    assert shape(tasks) == ["a", "b", "c"]
    assert [task["type"] for task in tasks] == ["SIMPLE"] * 3


def test_diamond_becomes_one_fork() -> None:
    tasks = lowered_tasks(dag({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}))

    assert shape(tasks) == ["a", [["b"], ["c"]], "d"]
    assert tasks[2]["joinOn"] == ["b", "c"]


def test_ten_thousand_tasks_without_order_become_one_fork() -> None:
    """What an imported trace may hold; looking at all tasks for each took seconds."""
    fork, join = lowered_tasks(dag({f"t{n}": [] for n in range(10_000)}))

    assert (fork["type"], join["type"]) == ("FORK_JOIN", "JOIN")
    assert join["joinOn"] == [f"t{n}" for n in range(10_000)]


def test_nested_series_parallel_order_nests_forks() -> None:
    edges = {"a": [], "b": ["a"], "c": ["a"], "d": ["b"], "e": ["b"], "f": ["d", "e"], "g": ["f", "c"]}

    tasks = lowered_tasks(dag(edges))

    assert shape(tasks) == ["a", [["b", [["d"], ["e"]], "f"], ["c"]], "g"]


def test_implied_edges_do_not_spoil_sequence() -> None:
    tasks = lowered_tasks(dag({"a": [], "b": ["a"], "c": ["a", "b"]}))

    assert shape(tasks) == ["a", "b", "c"]


def test_n_shape_joins_on_exactly_what_is_needed() -> None:
    tasks = lowered_tasks(dag({"a": [], "b": [], "c": ["a"], "d": ["a", "b"]}))

    branches = tasks[0]["forkTasks"]
    assert isinstance(branches, list)
    assert shape(tasks) == [[["a"], ["b"], ["c"], ["d"]]]
    assert [branch[0].get("joinOn") for branch in branches] == [None, None, ["a"], ["a", "b"]]
    assert tasks[1]["joinOn"] == ["c", "d"]


def test_task_without_key_follows_its_predecessor() -> None:
    definition = dag({"a": [], "b": ["a"], "c": ["a"]})
    tasks = definition["tasks"]
    assert isinstance(tasks, list)
    tasks.append({"name": "d", "taskReferenceName": "d", "type": "SIMPLE"})

    assert shape(lowered_tasks(definition)) == ["a", [["b"], ["c", "d"]]]


def test_very_deep_nesting_falls_back_to_flat_form() -> None:
    edges: dict[str, list[str]] = {"left0": [], "right0": []}
    for level in range(1, 200):
        edges[f"right{level}"] = []
        edges[f"left{level}"] = [f"left{level - 1}", f"right{level - 1}"]

    tasks = lowered_tasks(dag(edges))

    assert Interpreter(tasks).order() == order_asked(edges)


def test_thousands_of_tasks_are_lowered() -> None:
    dice = random.Random(7)
    names = [f"t{number}" for number in range(1000)]
    edges = {n: dice.sample(names[max(0, i - 40) : i], min(i, 2)) for i, n in enumerate(names)}

    tasks = lowered_tasks(dag(edges))

    assert Interpreter(tasks).order() == order_asked(edges)


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ({"a": ["b"], "b": ["a"]}, "depend on each other: a -> b -> a"),
        ({"a": ["a"]}, "depend on each other: a -> a"),
        ({"a": ["ghost"]}, "'ghost' is not a task of the same list"),
    ],
)
def test_bad_dependencies_are_refused(edges: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        lower_to_conductor(dag(edges))

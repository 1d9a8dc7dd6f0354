"""Workflows: order, places, names, what they carry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.errors import DefinitionError, InvalidInput
from asyncflow.sdk import operators as nodes
from asyncflow.sdk.composition import Node
from asyncflow.sdk.tasks import task
from asyncflow.sdk.workflow import Workflow


@task
def double(n: int) -> int:
    return 2 * n


def noop(ref: str) -> Node:
    return nodes.noop(ref=ref)


def outline(wf: Workflow) -> list[object]:
    """References and dependencies of the top-level tasks, forks with their branches."""
    tasks = wf.to_definition()["tasks"]
    assert isinstance(tasks, list)
    return [_entry(task) for task in tasks]


def _entry(task: dict[str, object]) -> object:
    ref = task["taskReferenceName"]
    branches, own = task.get("forkTasks"), task.get("asyncflow")
    if isinstance(branches, list):
        return [[_entry(inner) for inner in branch] for branch in branches]
    if "joinOn" in task:
        return {"join": task["joinOn"]}
    return (ref, own["dependsOn"]) if isinstance(own, dict) else ref


def test_chain_follows_and_list_forks() -> None:
    wf = Workflow("w")
    _ = wf >> noop("a") >> [noop("b"), noop("c") >> noop("d")] >> noop("e")

    assert outline(wf) == ["a", [["b"], ["c", "d"]], {"join": ["b", "d"]}, "e"]


def test_list_in_a_list_is_a_branch_and_forks_again_within() -> None:
    wf = Workflow("w")
    _ = wf >> [[noop("a"), [noop("b"), noop("c")], noop("d")], noop("e")]

    assert outline(wf) == [[["a", [["b"], ["c"]], {"join": ["b", "c"]}, "d"], ["e"]], {"join": ["d", "e"]}]


def test_fork_at_the_end_of_a_branch_is_joined_by_its_join() -> None:
    wf = Workflow("w")
    _ = wf >> [noop("a") >> [noop("b"), noop("c")], noop("d")]

    assert outline(wf)[-1] == {"join": ["join_fork_b", "d"]}


def test_list_may_come_first() -> None:
    wf = Workflow("w")
    _ = wf >> ([noop("a"), noop("b")] >> noop("c") >> noop("d"))

    assert outline(wf) == [[["a"], ["b"]], {"join": ["a", "b"]}, "c", "d"]


def test_join_waits_for_the_branch_of_a_switch_not_only_for_the_switch() -> None:
    wf = Workflow("w")
    chosen = nodes.switch(wf.input.x, cases={"a": noop("b")}, ref="s")
    _ = wf >> [chosen, noop("c")] >> noop("d")

    assert outline(wf) == [[["s", "end_s"], ["c"]], {"join": ["end_s", "c"]}, "d"]


def test_after_alone_makes_a_graph() -> None:
    with Workflow("w") as wf:
        a, b = noop("a"), noop("b")
        c = nodes.noop(ref="c", after=[a, b])
        nodes.noop(ref="d", after=c)
        nodes.noop(ref="e", after=["a"])

    assert outline(wf) == ["a", ("b", []), ("c", ["a", "b"]), ("d", ["c"]), ("e", ["a"])]


def test_after_in_a_chain_waits_for_the_forerunner_as_well() -> None:
    with Workflow("w") as wf:
        a, side = noop("a"), nodes.noop(ref="side", after=[])
        fork = nodes.fork([noop("b"), noop("c")], ref="f")
        _ = wf >> a >> fork >> nodes.noop(ref="d", after=side) >> noop("e")

    assert outline(wf)[3:] == [("d", ["join_f", "side"]), "e", ("side", [])]


def test_after_a_fork_means_after_its_join() -> None:
    with Workflow("w") as wf:
        fork = nodes.fork([noop("a"), noop("b")], ref="f")
        nodes.noop(ref="c", after=fork)

    assert outline(wf) == [[["a"], ["b"]], {"join": ["a", "b"]}, ("c", ["join_f"])]


def test_nodes_made_outside_can_be_added() -> None:
    a = noop("a")
    b = nodes.noop(ref="b", after=a)
    wf = Workflow("w")
    wf.add(a, b)

    assert outline(wf) == ["a", ("b", ["a"])]


def test_node_used_twice_is_refused_by_name() -> None:
    with Workflow("w") as wf:
        a = noop("a")
        _ = wf >> a
        with pytest.raises(DefinitionError, match=r"w\.a: is used twice: in w and in w$"):
            _ = wf >> a
        with pytest.raises(DefinitionError, match=r"w\.a: is used twice: in w and in fork"):
            _ = wf >> [noop("b"), a]


def test_every_fault_of_the_whole_is_named_at_once() -> None:
    with Workflow("w") as wf:
        noop("lost")
        _ = wf >> noop("a") >> [noop("b"), noop("a")] >> nodes.noop(ref="c", after="nowhere")

    with pytest.raises(DefinitionError) as caught:
        wf.to_definition()

    assert [str(fault) for fault in caught.value.violations] == [
        "w.lost: has no place: chain it with >> or give it after=",
        "w.a: this reference name is used more than once",
        "w.c: waits for nowhere, which is not in this workflow",
    ]


def test_reference_names_are_made_free_within_a_workflow() -> None:
    with Workflow("w") as wf:
        made = [double.node(n=number) for number in range(3)]
    with Workflow("v"):
        other = double.node(n=1)

    assert [node.ref for node in [*made, other]] == ["double", "double_2", "double_3", "double"]
    assert wf.free_ref("double") == "double_4"


def test_configure_adds_options_and_inputs_but_never_renames() -> None:
    wf = Workflow("w")
    node = double.node("d", n=1).configure(weight=2, inputs={"more": 1}, extra={"unknown": [1]})
    _ = wf >> node
    tasks = wf.to_definition()["tasks"]

    assert tasks == [
        {
            "name": "double",
            "taskReferenceName": "d",
            "type": "SIMPLE",
            "inputParameters": {"n": 1, "more": 1},
            "unknown": [1],
            "asyncflow": {"weight": 2},
        }
    ]
    with pytest.raises(InvalidInput, match=r"w\.d: .*cannot change"):
        node.configure(ref="other")


def test_workflow_within_a_workflow_is_a_sub_workflow_with_its_functions() -> None:
    with Workflow("child", version=4) as child:
        _ = child >> double.node("d", n=child.input.n)
    with Workflow("parent") as parent:
        _ = parent >> nodes.sub_workflow(child, ref="s", inputs={"n": 1}) >> child
    tasks = parent.to_definition()["tasks"]

    param = {"name": "child", "version": 4, "workflowDefinition": child.to_definition()}
    assert tasks == [
        {
            "name": "s",
            "taskReferenceName": "s",
            "type": "SUB_WORKFLOW",
            "inputParameters": {"n": 1},
            "subWorkflowParam": param,
        },
        {
            "name": "child",
            "taskReferenceName": "child",
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": param,
        },
    ]
    assert parent.functions() == {"double": double}


def test_functions_are_found_wherever_nodes_are() -> None:
    @task
    def other() -> None: ...

    @task
    def third() -> None: ...

    with Workflow("w") as wf:
        body = nodes.loop(nodes.switch(1, cases={"1": [[double.node(n=1)], other.node()]}), times=2)
        _ = wf >> [body, nodes.dynamic_fork(wf.input.x, task=third)]
    wf.register(double)

    assert wf.functions() == {"double": double, "other": other, "third": third}


def test_two_functions_of_one_name_are_refused() -> None:
    @task(name="double")
    def impostor() -> None: ...

    with Workflow("w") as wf:
        _ = wf >> double.node(n=1) >> impostor.node()

    with pytest.raises(DefinitionError, match=r"w\.double: two functions"):
        wf.functions()


def test_workflow_refuses_an_option_that_does_not_exist() -> None:
    with pytest.raises(InvalidInput, match=r"^w: there is no option timout"):
        Workflow("w", timout=3)  # type: ignore[call-arg]  # what type checkers refuse is refused at run time too


def test_workflow_within_a_block_ends_with_it_even_on_error() -> None:
    with Workflow("outer") as outer:
        with pytest.raises(InvalidInput), Workflow("inner"):
            double.node("x")
        node = noop("a")

    assert node.path == "outer.a"
    assert outer.free_ref("a") == "a_2"


def test_ten_thousand_nodes_cost_no_more_than_their_number() -> None:
    with Workflow("w") as wf:
        for number in range(10_000):
            double.node(n=number, after=[])

    tasks = wf.to_definition()["tasks"]

    assert isinstance(tasks, list)
    assert len({task["taskReferenceName"] for task in tasks}) == 10_000


def test_importing_the_builder_imports_nothing_heavy(checkout: Path) -> None:
    code = "import asyncflow.sdk.workflow, sys; print(*sys.modules)"
    heavy = {"aiohttp", "aiosqlite", "quickjs", "jq", "rich", "uvloop", "pydantic", "jsonpath_ng", "yaml"}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True
    )

    assert heavy & set(done.stdout.split()) == set()

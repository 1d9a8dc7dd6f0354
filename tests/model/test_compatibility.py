"""What another version of a definition changes for its users, and whether that breaks them."""

from __future__ import annotations

import pytest

from asyncflow.model.compatibility import differences, renames
from asyncflow.model.definition import parse_workflow

Json = dict[str, object]


def task(ref: str, kind: str = "SIMPLE", /, **more: object) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": kind, **more}


def workflow(*tasks: Json, **more: object) -> Json:
    return {"name": "w", "version": 1, "tasks": list(tasks) or [task("a")], **more}


def found(before: Json, after: Json) -> list[tuple[str, str, str, bool]]:
    """Subject, change, name and whether it breaks, of every difference."""
    listed = differences(parse_workflow(before), parse_workflow(after))
    return [(each.subject, each.change, each.name, each.breaking) for each in listed]


def switch(*inner: Json) -> Json:
    parameters: Json = {"inputParameters": {"on": "1"}, "evaluatorType": "value-param", "expression": "on"}
    return task("s", "SWITCH", **parameters, decisionCases={"1": list(inner)})


def test_equal_definitions_differ_in_nothing() -> None:
    same = workflow(task("a"), switch(task("b")), inputParameters=["x"], outputParameters={"y": 1})

    assert found(same, {**same, "version": 2, "description": "other", "timeoutSeconds": 9}) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"inputParameters": ["x"]}, [("input", "added", "x", True)]),
        ({}, {"inputParameters": ["x"], "inputTemplate": {"x": 1}}, [("input", "added", "x", False)]),
        ({"inputParameters": ["x"]}, {}, [("input", "removed", "x", False)]),
        (
            {"inputParameters": ["x"], "inputTemplate": {"x": 1}},
            {"inputParameters": ["x"]},
            [("input", "changed", "x", True)],
        ),
        ({}, {"outputParameters": {"y": 1}}, [("output", "changed", "outputParameters", True)]),
        ({"outputParameters": {"y": 1}}, {}, [("output", "changed", "outputParameters", True)]),
        (
            {"outputParameters": {"y": 1, "z": 1}},
            {"outputParameters": {"y": 2, "x": 1}},
            [
                ("output", "added", "x", False),
                ("output", "removed", "z", True),
                ("output", "changed", "y", False),
            ],
        ),
    ],
)
def test_what_callers_give_and_get(
    before: Json, after: Json, expected: list[tuple[str, str, str, bool]]
) -> None:
    assert found(workflow(**before), workflow(**after)) == expected


def schema(required: list[str], **properties: str) -> Json:
    described = {name: {"type": kind} for name, kind in properties.items()}
    return {"name": "s", "type": "JSON", "data": {"properties": described, "required": required}}


@pytest.mark.parametrize(
    ("field", "after", "expected"),
    [
        ("inputSchema", schema(["a"], a="string", b="string", c="string"), [("added", "c", False)]),
        ("inputSchema", schema(["a", "c"], a="string", b="string", c="string"), [("added", "c", True)]),
        ("inputSchema", schema(["a"], a="string"), [("removed", "b", False)]),
        ("inputSchema", schema(["a"], a="integer", b="string"), [("changed", "a", True)]),
        ("inputSchema", schema(["a", "b"], a="string", b="string"), [("changed", "b", True)]),
        ("outputSchema", schema(["a", "c"], a="string", b="string", c="string"), [("added", "c", False)]),
        ("outputSchema", schema(["a"], a="string"), [("removed", "b", True)]),
        ("outputSchema", schema([], a="string", b="string"), [("changed", "a", True)]),
    ],
)
def test_what_schemas_describe(field: str, after: Json, expected: list[tuple[str, str, bool]]) -> None:
    before = schema(["a"], a="string", b="string")
    side = field.removesuffix("Schema")

    assert found(workflow(**{field: before}), workflow(**{field: after})) == [
        ("schema", change, f"{side}.{name}", breaking) for change, name, breaking in expected
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([task("a")], [task("a"), task("b")], [("added", "b", False)]),
        ([task("a"), task("b")], [task("a")], [("removed", "b", True)]),
        ([task("a")], [task("a", "HUMAN")], [("changed", "a", True)]),
        ([task("a")], [task("a", name="other")], [("changed", "a", True)]),
        ([task("a")], [task("a", inputParameters={"k": 1})], [("changed", "a", False)]),
        ([task("a", inputParameters={"k": 1})], [task("a")], [("changed", "a", True)]),
        ([task("a", inputParameters={"k": 1})], [task("a", inputParameters={"k": 2})], []),
        (
            [task("a"), switch(task("b"))],
            [task("b"), switch(task("a"))],
            [("changed", "a", True), ("changed", "b", True)],
        ),
        ([task("a", name="n")], [task("x", name="n")], [("renamed", "a", True)]),
        (
            [task("a", name="n"), task("b", name="n")],
            [task("x", name="n"), task("y", name="n")],
            [("removed", "a", True), ("removed", "b", True), ("added", "x", False), ("added", "y", False)],
        ),
    ],
)
def test_what_workers_and_running_executions_meet(
    before: list[Json], after: list[Json], expected: list[tuple[str, str, bool]]
) -> None:
    assert found(workflow(*before), workflow(*after)) == [("task", *each) for each in expected]


def test_renamed_tasks_are_a_mapping_for_migrations() -> None:
    before = parse_workflow(workflow(task("a", name="n"), task("b")))
    after = parse_workflow(workflow(task("x", name="n"), task("b")))

    listed = differences(before, after)

    assert renames(listed) == {"a": "x"}
    assert listed[0].shown()["renamedTo"] == "x"
    assert listed[0].shown()["verdict"] == "breaking"


def test_another_child_breaks_and_another_version_of_it_does_not() -> None:
    def parent(name: str, version: int) -> Json:
        return workflow(task("c", "SUB_WORKFLOW", subWorkflowParam={"name": name, "version": version}))

    assert found(parent("one", 1), parent("one", 2)) == []
    assert found(parent("one", 1), parent("two", 1)) == [("task", "changed", "c", True)]

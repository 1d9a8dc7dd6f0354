"""WfFormat documents, real and small, become definitions or are refused by path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncflow.convert.wfformat import WfFormatOptions, import_wfformat
from asyncflow.errors import DefinitionError, InvalidInput
from tests.convert.emitted import depth_and_edges, inputs_of, needs_of, tasks_of

Document = dict[str, object]
REAL = [
    ("wfformat-1000genome-2ch-100k.json", 52, 3, 76),
    ("wfformat-montage-2mass-015d.json", 310, 8, 798),
    ("wfformat-seismology-1100p.json", 1101, 2, 1100),
]


def specified(key: str, *, parents: list[str] | None = None, **more: object) -> Document:
    return {"id": key, "name": key, "parents": parents or [], "children": [], **more}


def measured(key: str, runtime: object = 2.0, **more: object) -> Document:
    return {
        "id": key,
        "runtimeInSeconds": runtime,
        "command": {"program": "tool", "arguments": [key]},
        **more,
    }


def document(tasks: list[Document], executed: list[Document] | None = None, **more: object) -> Document:
    if executed is None:
        executed = [measured(str(task["id"])) for task in tasks]
    workflow = {"specification": {"tasks": tasks, "files": []}, "execution": {"tasks": executed}}
    return {"name": "small", "schemaVersion": "1.5", "workflow": workflow, **more}


@pytest.mark.parametrize("execute", [False, True])
@pytest.mark.parametrize(("file", "count", "depth", "edges"), REAL)
def test_real_traces_keep_their_shape(
    data_dir: Path, file: str, count: int, depth: int, edges: int, *, execute: bool
) -> None:
    content = json.loads((data_dir / "workflows" / file).read_text())

    tasks = tasks_of(import_wfformat(content, WfFormatOptions(execute=execute)))

    assert len(tasks) == count
    assert depth_and_edges(tasks) == (depth, edges)
    assert {task["type"] for task in tasks.values()} == {"COMMAND" if execute else "WAIT"}


def test_real_trace_keeps_what_was_measured(data_dir: Path) -> None:
    content = json.loads((data_dir / "workflows" / REAL[1][0]).read_text())

    tasks = tasks_of(import_wfformat(content, WfFormatOptions()))
    facts = tasks["mProject_ID0000001"]["metadata"]

    assert isinstance(facts, dict)
    assert facts["runtimeInSeconds"] == 16.15
    assert facts["memoryInBytes"] == 14888000
    assert facts["inputFiles"] == {"region-oversized.hdr": 277, "2mass-atlas-001021s-j0560033.fits": 1538769}


@pytest.mark.parametrize(
    ("runtime", "scale", "duration", "milliseconds"),
    [
        (2.0, 1.0, "2s", None),
        (53.6, 1.0, "54s", 53600),
        (53.6, 0.01, "1s", 536),
        (0, 1.0, "0s", None),
        (3, 0.0, "0s", None),
        (1000, 0.001, "1s", None),
    ],
)
def test_runtime_becomes_wait_to_the_millisecond(
    runtime: float, scale: float, duration: str, milliseconds: int | None
) -> None:
    content = document([specified("a")], [measured("a", runtime)])

    (task,) = tasks_of(import_wfformat(content, WfFormatOptions(time_scale=scale))).values()

    assert inputs_of(task) == {"duration": duration}
    extension = task["asyncflow"]
    assert isinstance(extension, dict)
    assert extension.get("durationMs") == milliseconds


def test_edges_of_either_end_are_taken_and_parents_come_first() -> None:
    tasks = [specified("c", parents=["b"]), specified("b"), specified("a", children=["b"])]

    imported = tasks_of(import_wfformat(document(tasks), WfFormatOptions()))

    assert list(imported) == ["a", "b", "c"]
    assert [needs_of(task) for task in imported.values()] == [[], ["a"], ["b"]]


def test_ids_become_fit_references() -> None:
    ids = ["a.b", "a-b", "1st", "x__y_", "workflow", "ünï"]

    imported = tasks_of(import_wfformat(document([specified(key) for key in ids]), WfFormatOptions()))

    assert list(imported) == ["a_b", "a_b_2", "t_1st", "x_y", "workflow_2", "n"]


def test_execute_keeps_command_and_escapes_expressions() -> None:
    command = {"program": "/opt/bin/tool", "arguments": ["-x", 5, "${workflow.input.secret}"]}
    content = document([specified("a")], [{"id": "a", "command": command}])

    (task,) = tasks_of(import_wfformat(content, WfFormatOptions(execute=True, workdir="/w"))).values()

    assert task["name"] == "tool"
    assert inputs_of(task) == {
        "executable": "/opt/bin/tool",
        "args": ["-x", "5", "$${workflow.input.secret}"],
        "workdir": "/w",
    }


def test_older_schema_is_read_by_name_with_linked_files() -> None:
    files = [
        {"link": "input", "name": "in.txt", "sizeInBytes": 7},
        {"link": "output", "name": "out", "size": 9},
    ]
    first = {"name": "first", "type": "compute", "runtime": 1, "cores": 2, "files": files}
    second = {"name": "second", "id": "ID2", "runtimeInSeconds": 1, "parents": ["first"]}
    content = {"name": "old", "schemaVersion": "1.3", "workflow": {"jobs": [second, first]}}

    imported = tasks_of(import_wfformat(content, WfFormatOptions()))

    assert {ref: needs_of(task) for ref, task in imported.items()} == {"first": [], "ID2": ["first"]}
    assert imported["first"]["metadata"] == {
        "id": "first",
        "runtimeInSeconds": 1,
        "coreCount": 2,
        "inputFiles": {"in.txt": 7},
        "outputFiles": {"out": 9},
    }


BAD: list[tuple[object, str, str]] = [
    ([], "", "is a JSON object"),
    ({"name": "x"}, "$.workflow", "has no tasks"),
    ({"workflow": []}, "$.workflow", "must be an object, is a list"),
    (
        document([specified("a", parents=["z"])]),
        "$.workflow.specification.tasks[0].parents",
        "'z' is not a task",
    ),
    (
        document([specified("a", children=["z"])]),
        "$.workflow.specification.tasks[0].children",
        "'z' is not a task",
    ),
    (document([specified("a"), specified("a")], [measured("a")]), "specification.tasks[1].id", "given twice"),
    (document([specified("a")], [measured("a")] * 2), "execution.tasks[1].id", "given twice"),
    (
        document([specified("a")], [measured("a"), measured("b")]),
        "execution.tasks[1].id",
        "'b' is not a task",
    ),
    (
        document([specified("a")], [measured("a", -1)]),
        "execution.tasks[0].runtimeInSeconds",
        "at least 0, is -1",
    ),
    (document([specified("a")], [measured("a", float("nan"))]), "runtimeInSeconds", "at least 0, is nan"),
    (document([specified("a")], [measured("a", "2")]), "runtimeInSeconds", "must be a number, is a text"),
    (document([specified("a")], []), "specification.tasks[0]", "no recorded runtime"),
    (document([specified("a", parents=["a"])]), "tasks[0].parents", "wait for each other: a -> a"),
    (
        document([specified("a", parents=["b"]), specified("b", parents=["a"])]),
        "$.workflow.specification.tasks[0].parents",
        "wait for each other: a -> b -> a",
    ),
    (document([{"parents": []}], []), "tasks[0]", "neither an id nor a name"),
]


@pytest.mark.parametrize(("content", "path", "reason"), BAD)
def test_bad_document_is_refused_by_path(content: object, path: str, reason: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        import_wfformat(content, WfFormatOptions())

    assert any(path in v.path and reason in v.message for v in refused.value.violations), refused.value


def test_every_fault_is_reported_at_once() -> None:
    content = document([specified("a", parents=["x"]), specified("b", parents=["y"])])

    with pytest.raises(DefinitionError) as refused:
        import_wfformat(content, WfFormatOptions())

    assert len(refused.value.violations) == 2


def test_missing_runtime_can_be_given() -> None:
    content = document([specified("a")], [])

    (task,) = tasks_of(import_wfformat(content, WfFormatOptions(missing_runtime_seconds=3))).values()

    assert inputs_of(task) == {"duration": "3s"}


def test_missing_command_is_refused_only_when_executing() -> None:
    content = document([specified("a")], [{"id": "a", "runtimeInSeconds": 1}])

    assert tasks_of(import_wfformat(content, WfFormatOptions()))
    with pytest.raises(DefinitionError, match="nothing to execute"):
        import_wfformat(content, WfFormatOptions(execute=True))


@pytest.mark.parametrize("scale", [-1, float("inf"), float("nan")])
def test_time_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(InvalidInput, match="time_scale"):
        import_wfformat(document([specified("a")]), WfFormatOptions(time_scale=scale))

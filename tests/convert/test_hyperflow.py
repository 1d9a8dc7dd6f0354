"""HyperFlow workflows with a fixed number of firings: templates, graphs, streams, every attribute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.errors import DefinitionError, InvalidInput
from tests.convert.emitted import Task, depth_and_edges, inputs_of, needs_of, tasks_of
from tests.convert.player import Function, Json, Player


def process(name: str, ins: list[object], outs: list[object], **more: object) -> Json:
    return {"name": name, "function": name.lower(), "ins": ins, "outs": outs, **more}


def workflow(processes: list[Json], signals: Mapping[str, object], **more: object) -> str:
    """A workflow.json; signals by name, with a list of data, None, or the whole entry."""
    entries = [
        {"name": name, **(entry if isinstance(entry, dict) else {} if entry is None else {"data": entry})}
        for name, entry in signals.items()
    ]
    return json.dumps({"name": "small", "processes": processes, "signals": entries, **more})


def imported(text: str, **options: object) -> dict[str, Task]:
    return tasks_of(import_hyperflow(text, HyperflowOptions(**options)))  # type: ignore[arg-type]  # by name


def notes_of(text: str) -> list[str]:
    metadata = import_hyperflow(text, HyperflowOptions())["metadata"]
    assert isinstance(metadata, dict)
    return list(metadata["source"]["notes"])


def sqr(given: Json) -> Json:
    number = given["number"]
    assert isinstance(number, int)
    return {"square": number * number}


def total(given: Json) -> Json:
    squares = given["square"]
    assert isinstance(squares, list)
    assert given["ins"] == [squares]
    return {"sum": sum(squares)}


def test_sqrsum_streams_into_sums_of_three(data_dir: Path) -> None:
    text = (data_dir / "workflows" / "hyperflow-sqrsum.json").read_text()
    player = Player({"sqr": sqr, "sum": total})

    outputs = player.play(import_hyperflow(text, HyperflowOptions()))

    assert outputs == {"sum": [14, 77]}
    assert [name for name, _ in player.calls].count("sqr") == 6


def test_sqrsum_carries_data_by_expressions(data_dir: Path) -> None:
    tasks = imported((data_dir / "workflows" / "hyperflow-sqrsum.json").read_text())

    assert inputs_of(tasks["Sum_2"])["square"] == [f"${{Sqr_{number}.output.square}}" for number in (4, 5, 6)]
    assert needs_of(tasks["Sum_2"]) == ["Sqr_4", "Sqr_5", "Sqr_6", "Sum_1"]
    assert needs_of(tasks["Sqr_3"]) == ["Sqr_2"]


@pytest.mark.parametrize("options", [{}, {"execute": True}, {"simulate": True}])
def test_montage_keeps_its_shape(data_dir: Path, options: Json) -> None:
    tasks = imported((data_dir / "workflows" / "hyperflow-montage143.json").read_text(), **options)

    assert len(tasks) == 143
    assert depth_and_edges(tasks)[0] == 9
    assert sum(not needs_of(task) for task in tasks.values()) == 32
    assert len(needs_of(tasks["mConcatFit"])) == 73
    assert tasks["mJPEG"]["asyncflow"] == {"dependsOn": ["mShrink"], "executeWhenRecovering": True}


def test_montage_becomes_commands(data_dir: Path) -> None:
    text = (data_dir / "workflows" / "hyperflow-montage143.json").read_text()

    task = imported(text, execute=True, executables={"mShrink": ["python3", "t.py"]})["mShrink"]

    source, target = "mosaic_20130212_013030_8881.fits", "shrunken_20130212_013030_8881.fits"
    assert (task["name"], task["type"]) == ("mShrink", "COMMAND")
    assert inputs_of(task) == {"executable": "python3", "args": ["t.py", source, target, "2"]}


def test_montage_function_comes_from_the_template(data_dir: Path) -> None:
    text = (data_dir / "workflows" / "hyperflow-montage143.json").read_text()

    task = imported(text, variables={"function": "run_it"})["mShrink"]

    config = inputs_of(task)["config"]
    assert (task["name"], task["type"]) == ("run_it", "SIMPLE")
    assert isinstance(config, dict)
    assert config["executor"]["executable"] == "mShrink"
    assert inputs_of(task)["ins"] == ["${mAdd.output['mosaic_20130212_013030_8881.fits']}"]


@pytest.mark.parametrize("tag", ["{{size}}", "{{{size}}}", "{{ size }}"])
def test_template_variable_is_filled_in_as_it_is(tag: str) -> None:
    text = workflow([process("A", ["x"], [], config={"n": "@"})], {"x": [1]}).replace('"@"', tag)

    assert inputs_of(imported(text, variables={"size": '{"<": 1}'})["A"])["config"] == {"n": {"<": 1}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{missing}}", "'missing' has no value"),
        ("{{#section}}x{{/section}}", "only plain variables"),
        ("{{! remark }}", "only plain variables"),
        ('{"processes": [', "line 1, column 16: not JSON"),
        ("[]", "is a JSON object"),
        ("{}", "no process that can fire"),
    ],
)
def test_bad_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        import_hyperflow(text, HyperflowOptions())


@pytest.mark.parametrize(
    ("parlevel", "needs"),
    [(None, ["A_2"]), (1, ["A_2"]), ("1", ["A_2"]), (2, ["A_1"]), (0, [])],
)
def test_parlevel_bounds_firings_at_once(parlevel: object, needs: list[str]) -> None:
    more = {} if parlevel is None else {"parlevel": parlevel}

    tasks = imported(workflow([process("A", ["x"], [], ordering="true", **more)], {"x": [1, 2, 3]}))

    assert needs_of(tasks["A_3"]) == needs


def test_firing_limit_leaves_the_rest_unused() -> None:
    text = workflow([process("A", ["x"], [], firingLimit=2)], {"x": [1, 2, 3]})

    assert list(imported(text)) == ["A_1", "A_2"]
    assert notes_of(text) == ["A (number 1): 1 of 'x' arrive and are not used"]


def test_firing_interval_becomes_waits_between() -> None:
    text = workflow([process("A", [], ["x"], firingLimit=3, firingInterval=1500)], {"x": None})

    tasks = imported(text, time_scale=0.5)

    assert {ref: needs_of(task) for ref, task in tasks.items()} == {
        "A_1": [],
        "A_interval_2": ["A_1"],
        "A_2": ["A_1", "A_interval_2"],
        "A_interval_3": ["A_2"],
        "A_3": ["A_2", "A_interval_3"],
    }
    assert tasks["A_interval_2"]["asyncflow"] == {"durationMs": 750, "dependsOn": ["A_1"]}


def test_overlapping_firings_keep_their_interval_from_start_to_start() -> None:
    more = {"firingLimit": 3, "firingInterval": 1000, "parlevel": 0}

    tasks = imported(workflow([process("A", [], ["x"], **more)], {"x": None}))

    assert needs_of(tasks["A_interval_3"]) == ["A_interval_2"]
    assert needs_of(tasks["A_3"]) == ["A_interval_3"]


def test_sticky_value_is_reused() -> None:
    text = workflow(
        [process("A", ["x", "k"], ["y"], sticky=["k"])], {"x": [1, 2], "k": [{"a": "${b}"}], "y": None}
    )

    tasks = imported(text)

    assert [inputs_of(task)["k"] for task in tasks.values()] == [{"a": "$${b}"}] * 2


@pytest.mark.parametrize("value", [True, "true", False, "false", 1])
def test_execute_when_recovering_is_on_for_any_text(value: object) -> None:
    task = imported(workflow([process("A", ["x"], [], executeWhenRecovering=value)], {"x": [1]}))["A"]

    assert task["asyncflow"] == {"dependsOn": [], "executeWhenRecovering": True}


@pytest.mark.parametrize("value", ["", None])
def test_execute_when_recovering_is_off_if_empty(value: object) -> None:
    task = imported(workflow([process("A", ["x"], [], executeWhenRecovering=value)], {"x": [1]}))["A"]

    assert task["asyncflow"] == {"dependsOn": []}


def test_signal_without_data_is_an_input_of_the_execution() -> None:
    definition = import_hyperflow(
        workflow([process("A", ["x"], ["y"])], {"x": None, "y": None}, ins=["x"], outs=["y"]),
        HyperflowOptions(),
    )

    assert definition["inputParameters"] == ["x"]
    assert Player({"a": lambda given: {"y": given["x"]}}, {"x": 5}).play(definition) == {"y": 5}


def test_several_outputs_of_one_signal_are_given_by_index() -> None:
    text = workflow(
        [process("A", ["x"], ["y:2"]), process("B", ["y"], ["z"])], {"x": [1], "y": None, "z": None}
    )
    functions: dict[str, Function] = {
        "a": lambda given: {"y": ["p", "q"]},
        "b": lambda given: {"z": given["y"]},
    }

    assert Player(functions).play(import_hyperflow(text, HyperflowOptions())) == {"z": ["p", "q"]}


def test_bounded_loop_is_unrolled() -> None:
    text = workflow([process("A", ["x"], ["x"], firingLimit=4)], {"x": [0]}, outs=["x"])
    functions: dict[str, Function] = {"a": lambda given: {"x": [given["x"]]}}

    outputs = Player(functions).play(import_hyperflow(text, HyperflowOptions()))

    assert outputs == {"x": [0, [0], [[0]], [[[0]]], [[[[0]]]]]}


def test_repeated_names_are_told_apart_by_position() -> None:
    text = workflow([process("A", ["x"], []), process("B", ["x"], []), process("A", ["x"], [])], {"x": [1]})

    assert list(imported(text)) == ["A_1", "B", "A_3"]


def test_old_key_names_and_indexes_are_read() -> None:
    text = json.dumps(
        {"tasks": [process("A", [0], [1])], "data": [{"name": "x", "data": [1]}, {"name": "y"}]}
    )

    assert list(imported(text)) == ["A"]


def test_what_has_no_effect_is_noted() -> None:
    processes: list[Json] = [process("A", ["x"], [], firingInterval=5, colour="red"), {"name": "empty"}]
    text = workflow(processes, {"x": {"data": [1], "schema": {}, "name": "x"}}, functions=[])

    assert notes_of(text) == [
        "$.functions is not used",
        "$.processes[0].colour is not used",
        "$.processes[0].firingInterval has no effect on a process with inputs",
        "$.processes[1] (empty) has no inputs, outputs or function: left out",
    ]


X = {"x": [1], "y": None}
REFUSED: list[tuple[str, str]] = [
    *(
        (
            workflow([process("A", ["x"], ["y"], type=kind)], X),
            rf"processes\[0\].type: '{kind}' cannot be imported",
        )
        for kind in ("choice", "join", "foreach", "splitter")
    ),
    (workflow([process("A", ["x"], [], type="odd")], X), "'odd' is not a process type"),
    *(
        (workflow([process("A", ["x"], [])], {**X, "c": {"control": kind}}), f"control signal '{kind}'")
        for kind in ("next", "done", "merge")
    ),
    (workflow([process("A", ["x", "c"], [])], {**X, "c": {"control": "count"}}), "can only be a count"),
    (workflow([process("A", ["x:y"], [])], X), "'y' is not a control signal of the kind 'count'"),
    (workflow([process("A", ["x"], [])], {"x": {"data": [1], "remoteSinks": ["u"]}}), "remoteSinks"),
    (workflow([process("A", ["ghost"], [])], X), r"processes\[0\].ins\[0\]: 'ghost' is not a signal"),
    (workflow([process("A", [7], [])], X), "7 is not a signal"),
    (workflow([process("A", [-1], [])], X), "-1 is not a signal"),
    (workflow([process("A", ["x", "x"], [])], X), "listed twice"),
    (workflow([process("A", ["y"], [])], X), r"A \(number 1\) never fires: it needs 1 of 'y', got 0"),
    (workflow([process("A", ["x:3"], [])], X), "needs 3 of 'x', got 1"),
    (workflow([process("A", [], ["y"])], X), "no inputs and no firingLimit"),
    (
        workflow([process("A", ["x"], ["x"])], X),
        r"more than 10000 firings: A \(number 1\) would not come to rest",
    ),
    (workflow([process("A", ["x"], [], sticky=["x"])], X), "all its ports are sticky"),
    (
        workflow([process("A", ["x", "k"], [], sticky=["k"])], {"x": [1], "k": [1, 2]}),
        "'k' gets more than one value",
    ),
    (workflow([process("A", ["x"], [], parlevel=1.5)], X), "parlevel: must be a whole number"),
    (workflow([process("A", ["x"], [], firingLimit=-1)], X), "firingLimit: must be a finite number"),
    (workflow([{"name": "A", "ins": ["x"], "outs": []}], X), "nothing can run it"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_cannot_be_unrolled_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        import_hyperflow(text, HyperflowOptions())


def test_execute_and_simulate_exclude_each_other() -> None:
    with pytest.raises(InvalidInput, match="simulate"):
        import_hyperflow("{}", HyperflowOptions(execute=True, simulate=True))


def test_executor_without_executable_is_refused() -> None:
    text = workflow([process("A", ["x"], [], config={"executor": {"args": ["a"]}})], X)

    with pytest.raises(DefinitionError, match="nothing to execute"):
        import_hyperflow(text, HyperflowOptions(execute=True))


def test_executor_files_and_environment_are_kept() -> None:
    executor = {"executable": "e", "args": "-a 'b c'", "stdout": "o", "stderr": "r", "env": {"K": "${v}"}}
    text = workflow([process("A", ["x"], [], config={"executor": executor})], X)

    assert inputs_of(imported(text, execute=True, workdir="${workflow.input.dir}")["A"]) == {
        "executable": "e",
        "args": ["-a", "b c"],
        "workdir": "${workflow.input.dir}",
        "stdout": "o",
        "stderr": "r",
        "env": {"K": "$${v}"},
    }

"""HyperFlow collections of a size known only at run time: each element a task, gathered in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.errors import DefinitionError
from tests.convert.emitted import tasks_of
from tests.convert.player import Function, Json, Player

SIZES = {"firstActivation": 2, "a2": 3, "a3": 1, "a4": 0, "a5": 11, "a6": 1, "a7": 2}


def generate(given: Json) -> Json:
    name = str(given["activation"])
    return {"file": [f"{name}/{number}" for number in range(SIZES[name])]}


def collections(**of_each: object) -> str:
    """One producer of a collection, one process for each element, one consumer of all."""
    processes: list[Json] = [
        {"name": "make", "function": "make", "ins": ["go"], "outs": ["part:n"]},
        {"name": "work", "function": "work", "ins": ["part"], "outs": ["done"], **of_each},
        {"name": "gather", "function": "gather", "ins": ["done:n"], "outs": ["all"]},
    ]
    signals: list[Json] = [
        {"name": "go", "data": [1]},
        *[dict[str, object](name=name) for name in ("part", "done", "all", "other")],
        {"name": "n", "control": "count"},
        {"name": "key", "data": ["${k}"]},
    ]
    return json.dumps({"processes": processes, "signals": signals, "outs": ["all"]})


@pytest.fixture(params=["absent", "0", "1"])
def parlevel(request: pytest.FixtureRequest) -> Json:
    return {} if request.param == "absent" else {"parlevel": int(request.param)}


def test_collections_are_delivered_whole_and_in_order(data_dir: Path, parlevel: Json) -> None:
    document = json.loads((data_dir / "workflows" / "hyperflow-collections.json").read_text())
    document["processes"][1] |= parlevel
    player = Player(
        {
            "genCollection": generate,
            "procElement": lambda given: {"fileout": f"{given['file']}.OUT"},
            "consumeCollection": lambda given: {},
        }
    )

    player.play(import_hyperflow(json.dumps(document), HyperflowOptions()))
    consumed = [given["fileout"] for name, given in player.calls if name == "consumeCollection"]

    assert consumed == [[f"{name}/{n}.OUT" for n in range(size)] for name, size in SIZES.items()]


@pytest.mark.parametrize(
    ("parlevel", "kind"), [(None, "FORK_JOIN_DYNAMIC"), (0, "FORK_JOIN_DYNAMIC"), (1, "DO_WHILE")]
)
def test_parlevel_chooses_between_fork_and_loop(parlevel: int | None, kind: str) -> None:
    more = {} if parlevel is None else {"parlevel": parlevel}

    tasks = tasks_of(import_hyperflow(collections(**more), HyperflowOptions()))

    assert tasks["work"]["type"] == kind


def test_values_that_look_like_expressions_stay_as_they_are(parlevel: Json) -> None:
    values = ["${workflow.input.x}", {"a": "$${b}"}, None, [1]]
    text = collections(ins=["part", "key"], sticky=["key"], config={"c": "${d}"}, **parlevel)
    player = Player(
        {
            "make": lambda given: {"part": values},
            "work": lambda given: {"done": [given["part"], given["key"], given["ins"], given["config"]]},
            "gather": lambda given: {"all": given["done"]},
        }
    )

    outputs = player.play(import_hyperflow(text, HyperflowOptions()))

    assert outputs == {"all": [[value, "${k}", [value, "${k}"], {"c": "${d}"}] for value in values]}


def test_collection_passes_through_several_processes() -> None:
    document = json.loads(collections())
    document["processes"][1]["outs"] = ["other"]
    document["processes"].append({"name": "more", "function": "more", "ins": ["other"], "outs": ["done"]})
    player = Player(
        {
            "make": lambda given: {"part": [1, 2, 3]},
            "work": lambda given: {"other": [given["part"]]},
            "more": lambda given: {"done": [given["other"]]},
            "gather": lambda given: {"all": given["done"]},
        }
    )

    outputs = player.play(import_hyperflow(json.dumps(document), HyperflowOptions()))

    assert outputs == {"all": [[[1]], [[2]], [[3]]]}


def test_recovery_flag_reaches_every_element() -> None:
    definition = import_hyperflow(collections(executeWhenRecovering="true"), HyperflowOptions())
    makes: Function = lambda given: {"part": [1, 2]}  # noqa: E731 - one value for three names
    player = Player(dict.fromkeys(("make", "work", "gather"), makes))

    player.play(definition)
    (state,) = player.world.states.values()
    flags = [
        task.node.task.extension is not None and task.node.task.extension.execute_when_recovering
        for task in state.tasks.values()
        if task.node.name == "work"
    ]

    assert flags == [True, True]


@pytest.mark.parametrize(
    ("of_each", "reason"),
    [
        ({"ins": ["part", "go"]}, "pairs a collection of unknown size with other signals"),
        ({"ins": ["part:2"]}, "takes 2 of 'part' at a time, a collection of unknown size"),
        ({"outs": ["done:2"]}, "makes a collection of each element"),
        ({"firingLimit": 2}, "firingLimit on a collection"),
        ({"parlevel": 3}, "parlevel above 1 on a collection"),
        ({"ins": ["part"], "sticky": ["part"]}, "sticky"),
    ],
)
def test_unknown_outcomes_are_refused_by_name(of_each: Json, reason: str) -> None:
    with pytest.raises(DefinitionError, match=rf"work \(number 2\).*{reason}"):
        import_hyperflow(collections(**of_each), HyperflowOptions())


def test_counting_what_is_no_collection_is_refused() -> None:
    document = json.loads(collections())
    document["processes"][0]["outs"] = ["part"]

    with pytest.raises(DefinitionError, match="'done' is not a collection counted by 'n'"):
        import_hyperflow(json.dumps(document), HyperflowOptions())


def test_simulation_cannot_know_the_size() -> None:
    with pytest.raises(DefinitionError, match="says nothing of the size of a collection"):
        import_hyperflow(collections(), HyperflowOptions(simulate=True))

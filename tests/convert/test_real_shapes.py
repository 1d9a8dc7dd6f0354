"""Real traces, replayed on the deciding core in virtual time, take as long as their longest path."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from asyncflow.convert.conductor import lower_to_conductor
from asyncflow.convert.wfformat import WfFormatOptions, import_wfformat
from asyncflow.testing.pure import World
from tests.convert.emitted import inputs_of, needs_of, tasks_of

Json = dict[str, object]


def longest_path(definition: Json) -> int:
    """The seconds of the longest chain of waits."""
    ends: dict[str, int] = {}
    for reference, task in tasks_of(definition).items():
        seconds = int(str(inputs_of(task)["duration"]).removesuffix("s"))
        ends[reference] = seconds + max((ends[need] for need in needs_of(task)), default=0)
    return max(ends.values())


def replayed(definition: Json) -> float:
    """The seconds an execution takes from start to its good end."""
    world = World()
    state = world.start(definition)
    world.run()
    assert state.status == "COMPLETED", state.reason
    return (world.now_ms - state.created_ms) / 1000


@pytest.mark.parametrize("file", ["wfformat-1000genome-2ch-100k.json", "wfformat-montage-2mass-015d.json"])
def test_replay_takes_the_longest_path_before_and_after_lowering(data_dir: Path, file: str) -> None:
    """Law: neither the import nor the lowering lets a task wait for what it does not depend on."""
    document = json.loads((data_dir / "workflows" / file).read_text())
    for task in document["workflow"]["execution"]["tasks"]:
        task["runtimeInSeconds"] = math.ceil(task["runtimeInSeconds"])  # Conductor waits whole seconds
    definition = import_wfformat(document, WfFormatOptions())

    assert replayed(definition) == longest_path(definition)
    assert replayed(lower_to_conductor(definition)[0]) == longest_path(definition)


def test_scaled_replay_is_exact_to_the_millisecond() -> None:
    task = {"id": "a", "name": "a", "parents": [], "children": []}
    measured = {"id": "a", "runtimeInSeconds": 53.6}
    document = {"workflow": {"specification": {"tasks": [task]}, "execution": {"tasks": [measured]}}}

    assert replayed(import_wfformat(document, WfFormatOptions(time_scale=0.01))) == 0.536

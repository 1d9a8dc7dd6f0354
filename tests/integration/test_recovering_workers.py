"""Tasks of outside workers that are performed again when another process took their execution up."""

from __future__ import annotations

from pathlib import Path

from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, workflow
from tests.integration.worker_support import shop

AGAIN: JsonObject = {"executeWhenRecovering": True}
BODY = workflow(
    "again", [simple("far", asyncflow=AGAIN), simple("near")], outputParameters={"of": "${far.output.of}"}
)


def told(task: JsonObject) -> tuple[object, object]:
    """What a worker is told of an earlier result, and of the reason."""
    ours = task["asyncflow"]
    assert isinstance(ours, dict)
    return ours.get("recovered"), ours.get("previousOutputs")


async def test_a_worker_is_given_the_task_again_with_its_result_before_anything_else(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as first:
        execution = await first.start(BODY)
        (task,) = await first.poll("w1")
        assert told(task) == (None, None)
        await first.complete(task, output={"of": 1})
    async with shop(tmp_path / "a.db") as second:
        assert await second.poll("w2", name="near") == []
        (task,) = await second.poll("w1")
        assert told(task) == (True, {"of": 1})
        await second.complete(task, output={"of": 2})
        (task,) = await second.poll("w2", name="near")
        assert told(task) == (None, None)
        await second.complete(task)
        shown = await second.service.get(execution)

    assert (shown["status"], shown["output"]) == ("COMPLETED", {"of": 2})


async def test_why_names_what_is_performed_again_first(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as first:
        execution = await first.start(BODY)
        (task,) = await first.poll("w1")
        await first.complete(task)
    async with shop(tmp_path / "a.db") as second:
        (task,) = await second.poll("w1")
        waits = await second.service.why(execution)

    assert {(each.get("task"), each["kind"], each.get("of")) for each in waits} == {
        ("far", "report", None),
        ("near", "recovery", "far"),
    }

"""`/metrics`: what it shows is what happened, its names are documented, and it stays bounded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.author_metrics import AuthorMetrics
from asyncflow.app.exposition import Bounded, Family, Page
from asyncflow.app.metric_families import FAMILIES
from asyncflow.app.tallies import MOST_TASK_TYPES, Tallies
from asyncflow.runtime.attempt_records import MetricObserved
from asyncflow.runtime.distribution import Distribution
from tests.http.conftest import Server
from tests.http.exposition import Series, read_exposition

WORKFLOW = {
    "name": "two",
    "version": 3,
    "schemaVersion": 2,
    "tasks": [
        {"name": "pack", "taskReferenceName": "pack", "type": "SIMPLE", "inputParameters": {"text": "abc"}},
        {"name": "set", "taskReferenceName": "set", "type": "SET_VARIABLE", "inputParameters": {"a": 1}},
    ],
}


async def scraped(server: Server, path: str = "/metrics") -> Series:
    answer = await server.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return read_exposition(answer.text)


async def started(server: Server) -> str:
    assert (await server.put("/api/metadata/workflow", json=[WORKFLOW])).status == 200
    answer = await server.post("/api/workflow/two", json={})
    assert answer.status == 200
    return answer.text


async def ended(server: Server) -> str:
    """An execution of two tasks, the first done by a worker with an output of 13 bytes."""
    workflow_id = await started(server)
    [task] = await server.services.workers.poll("pack", worker_id="w1", timeout_ms=5_000)
    result = {
        "workflowInstanceId": workflow_id,
        "taskId": task["taskId"],
        "status": "COMPLETED",
        "outputData": {"packed": 12},
        "workerId": "w1",
    }
    assert (await server.post("/api/tasks", json=result)).status == 200
    await server.services.executions.ended(workflow_id)
    return workflow_id


@pytest.mark.route("GET /metrics")
@pytest.mark.route("GET /actuator/prometheus")
@pytest.mark.parametrize("path", ["/metrics", "/actuator/prometheus"])
async def test_metrics_tell_what_happened(server: Server, path: str) -> None:
    before = await scraped(server)
    assert before["asyncflow_executions_in_flight"][()] == 0
    workflow_id = await started(server)
    assert (await scraped(server, path))["asyncflow_executions_in_flight"][()] == 1
    await server.delete(f"/api/workflow/{workflow_id}")
    await ended(server)

    shown = await scraped(server, path)

    two = (("workflow", "two"), ("version", "3"))
    assert shown["asyncflow_executions_started_total"][two] == 2
    assert shown["asyncflow_executions_ended_total"][(*two, ("status", "COMPLETED"))] == 1
    assert shown["asyncflow_executions_ended_total"][(*two, ("status", "TERMINATED"))] == 1
    assert shown["asyncflow_executions_in_flight"][()] == 0
    pack = (("task_type", "pack"),)
    assert shown["asyncflow_attempts_started_total"][pack] == 1
    assert shown["asyncflow_tasks_ended_total"][(*pack, ("status", "COMPLETED"))] == 1
    assert shown["asyncflow_attempt_seconds_count"][pack] == 1
    assert shown["asyncflow_queue_wait_seconds_count"][pack] == 1
    assert shown["asyncflow_task_bytes_total"][(*pack, ("direction", "out"))] == len('{"packed":12}')
    assert shown["asyncflow_tasks_ended_total"][(("task_type", "SET_VARIABLE"), ("status", "COMPLETED"))] == 1
    assert shown["asyncflow_commit_seconds_count"][()] == shown["asyncflow_turns_total"][()] > 0


async def test_metrics_count_requests_by_route(server: Server) -> None:
    await server.get("/api/workflow/no-such")
    await server.get("/nowhere")
    await server.get("/nowhere/else")

    shown = (await scraped(server))["asyncflow_http_requests_total"]

    assert shown[("method", "GET"), ("route", "/api/workflow/{id}"), ("status", "404")] == 1
    assert shown[("method", "any"), ("route", "none"), ("status", "404")] == 2
    assert not any("no-such" in value for labels in shown for _, value in labels)


async def test_metrics_show_queues_workers_and_resources(server: Server) -> None:
    limited = [{"name": "pack", "concurrentExecLimit": 1}]
    assert (await server.post("/api/metadata/taskdefs", json=limited)).status == 200
    for _ in range(2):
        await started(server)
    assert len(await server.services.workers.poll("pack", worker_id="w1", timeout_ms=5_000)) == 1

    shown = await scraped(server)

    assert shown["asyncflow_resource_in_use"][(("resource", "task:pack"),)] == 1
    assert shown["asyncflow_resource_limit"][(("resource", "task:pack"),)] == 1
    assert shown["asyncflow_queue_tasks"][(("queue", "pack"),)] == 1
    assert shown["asyncflow_leases"][()] == 1
    assert shown["asyncflow_workers"][(("state", "seen"),)] == 1


async def test_metrics_of_authors_stand_beside_the_engine_s(server: Server) -> None:
    @af.task
    async def measure(ctx: af.TaskContext) -> None:
        ctx.metric("rows_loaded", 5, {"table": 'or"ders\n'})
        ctx.metric("rows_loaded", 7, {"table": 'or"ders\n'})
        ctx.metric("asyncflow_turns_total", 1)
        ctx.record_io(rows=3, bytes=40, direction="out")

    engine = server.services.executions.engine
    engine.load_functions({"measure": measure})
    tasks = [{"name": "measure", "taskReferenceName": "m", "type": "SIMPLE"}]
    definition = {**WORKFLOW, "name": "measured", "tasks": tasks}
    assert (await server.put("/api/metadata/workflow", json=[definition])).status == 200
    workflow_id = (await server.post("/api/workflow/measured", json={})).text
    await server.services.executions.ended(workflow_id)

    shown = await scraped(server)

    orders = (("table", 'or"ders\n'),)
    assert shown["rows_loaded_sum"][orders] == 12
    assert shown["rows_loaded_count"][orders] == 2
    assert shown["rows_loaded_last"][orders] == 7
    assert shown["asyncflow_author_metrics_dropped_total"][()] == 1
    out = (("task_type", "measure"), ("direction", "out"))
    assert shown["asyncflow_task_io_rows_total"][out] == 3
    assert shown["asyncflow_task_io_bytes_total"][out] == 40


def test_names_are_documented(checkout: Path) -> None:
    page = (checkout / "docs" / "metrics.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert documented == [(family.name, family.kind) for family in FAMILIES]
    for family in FAMILIES:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{family.name}` "))
        assert all(f"`{label}`" in row for label in family.labels), family


def test_series_of_authors_are_bounded() -> None:
    metrics = AuthorMetrics(most=3)
    for number in range(10):
        metrics.add(MetricObserved("visits", 1.0, {"user": str(number)}))
    metrics.add(MetricObserved("visits_sum", 1.0, {}))  # would make the page ambiguous
    metrics.add(MetricObserved("wide", 1.0, {f"l{number}": "" for number in range(11)}))

    shown = read_exposition("".join(f"{line}\n" for line in metrics.lines()))

    assert len(shown["visits_count"]) == 3
    assert metrics.dropped == 9


def test_types_of_tasks_are_bounded() -> None:
    tallies = Tallies({})
    for number in range(MOST_TASK_TYPES + 50):
        tallies.of_type(f"t{number}").started += 1
    assert len(tallies.types) == MOST_TASK_TYPES + 1
    assert tallies.types["other"].started == 50


def test_labels_are_bounded_and_escaped() -> None:
    labels = Bounded(1)
    assert [labels.label(name) for name in ("a", "b", "a")] == ["a", "other", "a"]
    page = Page([Family("x", "gauge", "Of\nall.", ("label",))])
    page.write("x", 0.5, 'a"b\\c\nd')
    assert read_exposition(page.text())["x"][(("label", 'a"b\\c\nd'),)] == 0.5


def test_histograms_add_up() -> None:
    values = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 3.0):
        values.observe(value)
    page = Page([Family("x", "histogram", "Some.")])
    page.write_distribution("x", values)
    shown = read_exposition(page.text())
    buckets = {dict(labels)["le"]: value for labels, value in shown["x_bucket"].items()}
    assert buckets == {"1": 2, "2": 3, "+Inf": 4}
    assert shown["x_sum"][()] == 6.0

"""Queues over HTTP: how long they are, who polled, and the queues that end WAIT tasks."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import NOBODY, as_list, as_object, chain, polled, started, status, wait

UPDATE = pytest.mark.route("POST /api/queue/update/{workflowId}/{reference}/{status}")
UPDATE_BY_ID = pytest.mark.route("POST /api/queue/update/{workflowId}/task/{task}/{status}")


@pytest.mark.route("GET /api/tasks/queue/sizes")
async def test_sizes_are_counted_by_type(server: Server) -> None:
    for _ in range(3):
        await started(server)
    await polled(server)

    repeated = await server.get("/api/tasks/queue/sizes", params=[("taskType", "work"), ("taskType", "none")])
    listed = await server.get("/api/tasks/queue/sizes", params={"taskType": "work,none"})
    nothing = await server.get("/api/tasks/queue/sizes")

    assert repeated.json == listed.json == {"work": 2, "none": 0}
    assert (nothing.status, nothing.json) == (200, {})


@pytest.mark.route("GET /api/tasks/queue/size")
async def test_the_size_of_a_queue_is_a_number(server: Server) -> None:
    await started(server)
    await started(server, task_to_domain={"work": "inner"})
    await started(server, task_to_domain={"work": "inner"})

    plain = await server.get("/api/tasks/queue/size", params={"taskType": "work"})
    inner = await server.get("/api/tasks/queue/size", params={"taskType": "work", "domain": "inner"})

    assert (plain.json, inner.json) == (1, 2)


@pytest.mark.route("GET /api/tasks/queue/size")
@pytest.mark.route("GET /api/tasks/queue/polldata")
@pytest.mark.parametrize("path", ["size", "polldata"])
async def test_a_type_has_to_be_named(server: Server, path: str) -> None:
    answer = await server.get(f"/api/tasks/queue/{path}")

    assert answer.status == 400
    assert answer.message.startswith("taskType: ")


@pytest.mark.route("GET /api/tasks/queue/all")
@pytest.mark.route("GET /api/tasks/queue/all/verbose")
async def test_all_queues_are_listed_by_name(server: Server) -> None:
    await started(server, task_to_domain={"work": "inner"})
    await started(server)
    await started(server)
    await polled(server)

    sizes = await server.get("/api/tasks/queue/all")
    details = await server.get("/api/tasks/queue/all/verbose")

    assert sizes.json == {"inner:work": 1, "work": 1}
    assert list(as_object(sizes)) == ["inner:work", "work"]
    assert details.json == {
        "inner:work": {"a": {"size": 1, "uacked": 0}},
        "work": {"a": {"size": 1, "uacked": 1}},
    }


@pytest.mark.route("GET /api/tasks/queue/polldata")
@pytest.mark.route("GET /api/tasks/queue/polldata/all")
async def test_every_poll_leaves_a_trace(server: Server) -> None:
    await server.get("/api/tasks/poll/work", params={"workerid": "w1"})
    await server.get("/api/tasks/poll/work", params={"workerid": "w2", "domain": "inner"})
    await server.get("/api/tasks/poll/other", params={"workerid": "w1"})

    work = as_list(await server.get("/api/tasks/queue/polldata", params={"taskType": "work"}))
    everything = as_list(await server.get("/api/tasks/queue/polldata/all"))

    assert [(each["queueName"], each["workerId"], each.get("domain")) for each in work] == [
        ("work", "w1", None),
        ("work", "w2", "inner"),
    ]
    assert [each["queueName"] for each in everything] == ["other", "work", "work"]
    assert all(isinstance(each["lastPollTime"], int) and each["lastPollTime"] > 0 for each in everything)


@pytest.mark.route("POST /api/tasks/queue/requeue/{type}")
async def test_requeueing_counts_the_open_tasks_and_loses_none(server: Server) -> None:
    await started(server)
    await started(server)
    await polled(server)

    answer = await server.post("/api/tasks/queue/requeue/work")

    assert (answer.status, answer.text) == (200, "2")
    assert (await server.post("/api/tasks/queue/requeue/none")).text == "0"
    assert (await polled(server))["status"] == "IN_PROGRESS"


@pytest.mark.route("GET /api/queue/size")
@pytest.mark.route("GET /api/queue")
@pytest.mark.route("GET /api/queue/")
async def test_the_queues_that_end_waits_have_names_and_sizes(server: Server) -> None:
    names = as_object(await server.get("/api/queue/"))
    sizes = as_object(await server.get("/api/queue/size"))

    assert set(names) == {"COMPLETED", "FAILED"}
    assert sizes == dict.fromkeys(map(str, names.values()), 0)
    assert (await server.get("/api/queue")).json == names


@UPDATE
async def test_a_message_ends_a_wait_with_its_output(server: Server) -> None:
    execution = await started(server, wait())

    answer = await server.post(f"/api/queue/update/{execution}/pause/COMPLETED", json={"ok": True})

    assert (answer.status, answer.body) == (200, b"")
    assert await status(server, execution) == "COMPLETED"
    shown = await server.services.executions.get(execution)
    assert shown["output"] == {"ok": True}


@UPDATE_BY_ID
async def test_a_message_fails_a_wait_by_its_id(server: Server) -> None:
    execution = await started(server, wait())
    tasks = (await server.services.executions.get(execution))["tasks"]
    assert isinstance(tasks, list)

    path = f"/api/queue/update/{execution}/task/{tasks[0]['taskId']}/FAILED"
    assert (await server.post(path, json={})).status == 200
    assert await status(server, execution) == "FAILED"


@UPDATE
@UPDATE_BY_ID
async def test_a_message_that_nothing_waits_for_is_no_error(server: Server) -> None:
    execution = await started(server, *chain("work"))
    task = await polled(server)

    for target in (f"{execution}/work", f"{execution}/none", f"{NOBODY}/work"):
        assert (await server.post(f"/api/queue/update/{target}/COMPLETED", json={})).status == 200
    for target in (f"{execution}/task/{task['taskId']}", f"{execution}/task/none"):
        assert (await server.post(f"/api/queue/update/{target}/COMPLETED", json={})).status == 200

    assert await status(server, execution) == "RUNNING"


@UPDATE
@UPDATE_BY_ID
@pytest.mark.parametrize("target", ["pause", "task/x"])
async def test_there_are_no_queues_for_other_statuses(server: Server, target: str) -> None:
    execution = await started(server, wait())

    answer = await server.post(f"/api/queue/update/{execution}/{target}/IN_PROGRESS", json={})

    assert answer.status == 400
    assert answer.message.startswith("status: ")
    assert (await server.post(f"/api/queue/update/{execution}/{target}/COMPLETED")).status == 400

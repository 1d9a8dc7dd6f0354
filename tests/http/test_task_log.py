"""One task and its log over HTTP: lines as clients really send them, and what is there to read."""

from __future__ import annotations

import json

import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import NOBODY, as_list, as_object, polled, result, started

ADD = pytest.mark.route("POST /api/tasks/{id}/log")
READ = pytest.mark.route("GET /api/tasks/{id}/log")


async def lines(server: Server, task: object) -> list[str]:
    """The texts of a log."""
    return [str(line["log"]) for line in as_list(await server.get(f"/api/tasks/{task}/log"))]


@ADD
@READ
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("plain words", "plain words"),
        ("Traceback:\n  line 2", "Traceback:\n  line 2"),
        (json.dumps('said "so"\n'), 'said "so"\n'),
        (r"said \"so\"\n", r"said \"so\"\n"),
        ('"quoted" and "quoted"', '"quoted" and "quoted"'),
        ('"', '"'),
        ("ünïcödé ✓", "ünïcödé ✓"),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
async def test_a_line_is_kept_as_it_was_meant(server: Server, sent: str, kept: str) -> None:
    task = (await polled(server))["taskId"] if await started(server) else ""

    answer = await server.post(
        f"/api/tasks/{task}/log", data=sent.encode(), headers={"Content-Type": "application/json"}
    )

    assert (answer.status, answer.body) == (200, b"")
    assert await lines(server, task) == [kept]


@ADD
@READ
async def test_lines_are_shown_in_order_with_task_and_time(server: Server) -> None:
    await started(server)
    task = (await polled(server))["taskId"]
    for text in ("first", "second"):
        await server.post(f"/api/tasks/{task}/log", data=text)

    found = as_list(await server.get(f"/api/tasks/{task}/log"))

    assert [(line["log"], line["taskId"]) for line in found] == [("first", task), ("second", task)]
    assert all(isinstance(line["createdTime"], int) and line["createdTime"] > 10**12 for line in found)


@READ
async def test_an_empty_log_is_204(server: Server) -> None:
    answer = await server.get(f"/api/tasks/{NOBODY}/log")

    assert (answer.status, answer.body) == (204, b"")


@ADD
async def test_a_line_for_a_task_that_is_not_known_is_taken(server: Server) -> None:
    assert (await server.post(f"/api/tasks/{NOBODY}/log", data="hello")).status == 200


@ADD
async def test_a_line_that_is_no_text_is_refused(server: Server) -> None:
    assert (await server.post(f"/api/tasks/{NOBODY}/log", data=b"\xff\xfe")).status == 400


@ADD
@READ
@pytest.mark.parametrize("created", [1_700_000_000, 1_700_000_000.25, 1_700_000_000_000])
async def test_lines_of_a_result_may_count_in_seconds(server: Server, created: float) -> None:
    await started(server)
    task = await polled(server)
    logs = [{"log": "boom", "taskId": task["taskId"], "createdTime": created}]

    await server.post("/api/tasks/update-v2", json=result(task, "FAILED", logs=logs))

    [line] = as_list(await server.get(f"/api/tasks/{task['taskId']}/log"))
    assert line["log"] == "boom"
    assert int(str(line["createdTime"])) // 1000 == 1_700_000_000


@READ
async def test_the_log_of_a_task_is_kept_after_its_end(server: Server) -> None:
    await started(server)
    task = await polled(server)
    await server.post("/api/tasks", json=result(task, logs=[{"log": str(i)} for i in range(12)]))

    assert await lines(server, task["taskId"]) == [str(i) for i in range(10)]


@pytest.mark.route("GET /api/tasks/{id}")
async def test_a_task_is_found_by_its_id_after_its_end_too(server: Server) -> None:
    await started(server)
    task = await polled(server)
    await server.post("/api/tasks", json=result(task))

    shown = as_object(await server.get(f"/api/tasks/{task['taskId']}"))

    assert (shown["taskId"], shown["status"]) == (task["taskId"], "COMPLETED")


@pytest.mark.route("GET /api/tasks/{id}")
@pytest.mark.parametrize("task", [NOBODY, "no-id", "a" * 4000])
async def test_a_task_that_is_not_there_is_404(server: Server, task: str) -> None:
    answer = await server.raw("GET", f"/api/tasks/{task}")

    assert answer.status == 404
    assert answer.message.startswith("no such task")


@pytest.mark.route("GET /api/tasks/{id}")
@pytest.mark.parametrize("task", ["%00", "a" * 4097, "%ff"])
async def test_what_cannot_be_an_id_is_400(server: Server, task: str) -> None:
    assert (await server.raw("GET", f"/api/tasks/{task}")).status == 400


@pytest.mark.route("POST /api/tasks")
@pytest.mark.parametrize("time", [1e300, 10**30, 2**63, -(10**30), -1, None, "soon"])
async def test_a_line_of_a_result_whose_time_is_none_is_of_now(server: Server, time: object) -> None:
    execution = await started(server)
    task = await polled(server)
    said = {**result(task), "logs": [{"log": "one", "createdTime": time}, {"log": "two"}]}
    answer = await server.post("/api/tasks", json=said)

    assert (answer.status, answer.text) == (200, task["taskId"])
    assert (await server.services.executions.get(execution))["status"] == "COMPLETED"
    found = as_list(await server.get(f"/api/tasks/{task['taskId']}/log"))
    assert [line["log"] for line in found] == ["one", "two"]
    now_ms = server.services.executions.engine.clock.now().wall_ms
    assert all(abs(now_ms - int(str(line["createdTime"]))) < 3_600_000 for line in found)


@pytest.mark.route("POST /api/tasks")
@pytest.mark.parametrize("line", ["x" * 5_000, "a\x00b"])
async def test_a_line_however_odd_keeps_no_result_from_being_answered(server: Server, line: str) -> None:
    execution = await started(server)
    task = await polled(server)
    answer = await server.post("/api/tasks", json={**result(task), "logs": [{"log": line}]})

    assert (answer.status, answer.text) == (200, task["taskId"])
    assert (await server.services.executions.get(execution))["status"] == "COMPLETED"
    assert await lines(server, task["taskId"]) == [line.replace("\0", "\ufffd")]

"""Clients that mean harm, at a real socket: R97 to R103, R108, R111 to R113 of the scenarios.

What a single limit does is in `test_limits`; here every route is walked, or many come at once.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.app.services import open_services
from asyncflow.http.limits import HttpLimits
from asyncflow.http.server import HttpSettings
from asyncflow.http.tables import all_routes
from tests.http.conftest import Server, serving
from tests.http.sockets import WITHIN_S, Wire, request, wire
from tests.http.workflow_calls import SIMPLE, WAIT, definition

LIMITS = HttpLimits(request_bytes=200_000, header_timeout_s=0.5, body_timeout_s=0.5, idle_timeout_s=30.0)
CROWD = 300


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(settings=HttpSettings(port=0, limits=LIMITS)) as served:
        yield served


def start(**fields: object) -> bytes:
    body = {"name": "w", "workflowDef": definition("w", WAIT), **fields}
    return json.dumps(body).encode()


async def begun(server: Server, *tasks: dict[str, object], **fields: object) -> str:
    body = {"name": "w", "workflowDef": definition("w", *(tasks or (WAIT,))), **fields}
    answer = await server.post("/api/workflow", json=body)
    assert answer.status == 200, answer.text
    return answer.text


async def tasks_of(server: Server, execution: str) -> list[dict[str, object]]:
    answer = await server.get(f"/api/workflow/{execution}")
    assert isinstance(answer.json, dict)
    found = answer.json["tasks"]
    assert isinstance(found, list)
    return found


# --- slowness, size, number -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /api/workflow HTTP/1.1\r\nHost: 127",
        request("POST", "/api/workflow", "Content-Length: 99", body=b"{"),
    ],
    ids=["headers", "body"],
)
async def test_a_crowd_of_slow_clients_is_cut_and_holds_up_nobody(server: Server, sent: bytes) -> None:
    """R97: everybody else is served meanwhile, and nothing is left of the crowd."""
    async with AsyncExitStack() as stack:
        crowd: list[Wire] = []
        for _ in range(CROWD):
            crowd.append(await stack.enter_async_context(wire(server.url)))
            await crowd[-1].send(sent)
        answers = [await server.get("/api/version") for _ in range(50)]
        ends = await asyncio.gather(*(each.rest() for each in crowd))

    assert {answer.status for answer in answers} == {200}
    assert {end[:13] for end in ends} <= {b"", b"HTTP/1.1 408 "}
    assert server.http.door.traffic.at_work == 0
    assert server.http.door.budget.taken == 0


async def test_endless_chunks_and_many_fields_take_no_memory(server: Server) -> None:
    """R98: refused at the limit on a route that does something, and given back."""
    async with wire(server.url) as raw:
        await raw.send(request("POST", "/api/workflow", "Transfer-Encoding: chunked"))
        for _ in range(25):
            await raw.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert (await raw.head()).startswith(b"HTTP/1.1 413 ")
    form = aiohttp.FormData()
    for number in range(2_000):
        form.add_field(f"f{number}", b"x", filename=f"../{number}")
    async with server.session.post(f"{server.url}/api/workflow", data=form) as answer:
        assert answer.status in {400, 413}

    assert server.http.door.budget.taken == 0


BODIES = {
    "deep": b"[" * 100_000,
    "deep names": b'{"a":' * 20_000,
    "digits": b'{"name": ' + b"9" * 5_000 + b"}",
    "NaN": b'{"name": NaN}',
    "infinite": b'{"name": 1e999}',
    "twice": b'{"name": "a", "name": "b"}',
    "surrogate": b'{"name": "\\ud800"}',
    "no UTF-8": b'{"name": "\xff"}',
    "NUL": b"\x00",
    "cut": b'{"name": "a"',
}
TAKING_JSON = [
    route
    for route in all_routes()
    if route.body is not None and route.body.kind == "json" and route.method != "DELETE"
]


@pytest.mark.parametrize("kind", BODIES)
async def test_every_route_refuses_hostile_json(server: Server, kind: str) -> None:
    """R100: 400, or 404 where the path names nothing; never more than that, and never an error of ours."""
    for route in TAKING_JSON:
        path = route.path.replace("{", "").replace("}", "")
        answer = await server.call(route.method, path, data=BODIES[kind])
        assert answer.status in {400, 404, 413}, f"{route.method} {route.path}: {answer.text}"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_every_route_refuses_bombs(server: Server, encoding: str) -> None:
    """R99: nothing is unpacked, so nothing bursts."""
    bomb = gzip.compress(b"[" + b"0," * 5_000_000)[:150_000]
    for route in TAKING_JSON:
        path = route.path.replace("{", "").replace("}", "")
        answer = await server.call(route.method, path, data=bomb, headers={"Content-Encoding": encoding})
        assert answer.status in {400, 404, 415}, f"{route.method} {route.path}: {answer.text}"


async def test_clients_that_go_leave_whole_executions_or_none(server: Server) -> None:
    """R101: a start that was sent whole happened or not; half a start never does; nothing leaks."""
    for number in range(60):
        whole, body = number % 2 == 0, start(correlationId="whole" if number % 2 == 0 else "half")
        async with wire(server.url) as raw:
            sent = body if whole else body[: len(body) // 2]
            await raw.send(request("POST", "/api/workflow", f"Content-Length: {len(body)}", body=sent))
    async with asyncio.timeout(WITHIN_S):
        while server.http.door.traffic.at_work or len(server.http.gate.open) > 1:
            await server.get("/api/version")

    found = await server.get("/api/workflow/search", params={"query": "workflowType = w", "size": "100"})
    assert isinstance(found.json, dict)
    assert {each["correlationId"] for each in found.json["results"]} <= {"whole"}
    for each in found.json["results"]:
        assert [task["status"] for task in await tasks_of(server, each["workflowId"])] == ["IN_PROGRESS"]
    assert server.http.door.budget.taken == 0


async def test_what_is_answered_under_overload_is_durable(tmp_path: Path) -> None:
    """R103: what cannot be done is refused at once with the time to come again; every 2xx is in the file."""
    settings = HttpSettings(port=0, limits=HttpLimits(in_flight=4))
    database = tmp_path / "a.db"
    async with serving(settings=settings, database=database) as server:
        crowd = aiohttp.TCPConnector(limit=100)
        async with aiohttp.ClientSession(connector=crowd) as server.session:
            answers = await asyncio.gather(*(server.post("/api/workflow", data=start()) for _ in range(600)))
    started = {answer.text for answer in answers if answer.status == 200}
    refused = [answer for answer in answers if answer.status == 503]
    async with open_services(database) as services:
        for execution in started:
            await services.executions.get(execution)

    assert len(started) + len(refused) == 600
    assert started
    assert refused
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert refused[0].message.startswith("in_flight: ")


# --- what is not theirs -----------------------------------------------------------------------------


async def test_a_task_is_reached_by_its_own_execution_only(server: Server) -> None:
    """R108: the id of one and the task of another name nothing."""
    mine, other = await begun(server, SIMPLE), await begun(server, SIMPLE)
    (task,) = await tasks_of(server, mine)
    body = {"taskId": task["taskId"], "workflowInstanceId": other, "status": "COMPLETED"}

    answers = [
        await server.post("/api/tasks", json=body),
        await server.post("/api/tasks/update-v2", json=body),
        await server.post(f"/api/queue/update/{other}/task/{task['taskId']}/COMPLETED", json={}),
        await server.post(f"/api/workflow/{other}/rerun", json={"reRunFromTaskId": task["taskId"]}),
    ]

    # A queue takes a message that nobody waits for, and nothing comes of it.
    assert [answer.status for answer in answers[:3]] == [404, 404, 200]
    assert answers[3].status in {400, 404, 409}
    assert [each["status"] for each in await tasks_of(server, mine)] == ["SCHEDULED"]
    assert [each["status"] for each in await tasks_of(server, other)] == ["SCHEDULED"]


NAMES = [
    "../../../escaped",
    "/absolute",
    "..",
    ".",
    "..\\..\\escaped",
    "%2e%2e%2fescaped",
    "file:///escaped",
    "C:escaped",
    "CON",
    "-rf",
    "~/escaped",
    "$(touch escaped)",
    "x" * 250,
    "\u202eescaped",
    "a\x00b",
]


@pytest.mark.parametrize("name", NAMES)
async def test_no_name_becomes_a_path(tmp_path: Path, name: str) -> None:
    """R111: names of every kind make no file, and none but our own is opened."""
    data = tmp_path / "data"
    data.mkdir()
    settings = EngineSettings(payload_folder=data / "payloads")
    task = {"name": name, "taskReferenceName": name, "type": "SIMPLE", "inputParameters": {name: name}}
    async with serving(engine=settings, database=data / "a.db") as server:
        statuses = [
            (await server.post("/api/metadata/workflow", json=definition(name, task))).status,
            (await server.post("/api/metadata/taskdefs", json=[{"name": name}])).status,
        ]
        begun = {"name": name, "workflowDef": definition("w", task), "correlationId": name}
        statuses.append((await server.post("/api/workflow", json=begun)).status)
        escaped = "".join(f"%{byte:02x}" for byte in name.encode())
        for method, path in _NAMED:
            statuses.append((await server.raw(method, path.format(escaped))).status)
        answer = await server.raw("GET", f"/api/{name if name.isprintable() and name.isascii() else 'x'}")
        statuses.append(answer.status)

    assert {status for status in statuses if status >= 500} == set()
    assert {each.name for each in tmp_path.iterdir()} == {"data"}  # noqa: ASYNC240
    assert {each.name for each in data.iterdir()} <= {"a.db", "a.db.lock", "a.db-lock", "payloads"}


_NAMED = [
    ("GET", "/api/metadata/workflow/{}"),
    ("GET", "/api/metadata/taskdefs/{}"),
    ("GET", "/api/workflow/{}"),
    ("GET", "/api/tasks/{}/log"),
    ("GET", "/api/tasks/poll/batch/{}?timeout=0&domain=../x&workerid=../y"),
    ("GET", "/api/environment/{}"),
    ("GET", "/api/asyncflow/keys/{}"),
    ("DELETE", "/api/metadata/taskdefs/{}"),
    ("DELETE", "/api/metadata/workflow/{}/1"),
]


async def test_script_in_texts_comes_back_as_data(server: Server) -> None:
    """R112: it is never sent as a page, and no browser may take it for one."""
    script = "<script>alert(1)</script>"
    answers = [
        await server.get("/api/workflow/%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
        await server.get(
            f"/api/workflow/{await begun(server, correlationId=script, input={script: script})}"
        ),
        await server.post("/api/workflow", json={"name": script}),
        await server.post("/api/metadata/workflow", json={"name": script, "tasks": script}),
        await server.get("/api/tasks/poll/x", params={"timeout": script, "count": script}),
    ]

    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        kind = answer.headers.get("Content-Type", "")
        assert kind.startswith(("application/json", "text/plain")) or not answer.body, kind


async def test_no_route_answers_a_page_of_another_origin_or_a_name_of_its_own(server: Server) -> None:
    """R113: cross-origin calls, the null origin, and names made to point here change nothing."""
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ]
    for route in all_routes():
        path = route.path.replace("{", "").replace("}", "")
        for headers in foreign:
            answer = await server.call(route.method, path, headers=headers)
            assert answer.status == 403, f"{route.method} {route.path} {headers}"
            assert "Access-Control-Allow-Origin" not in answer.headers

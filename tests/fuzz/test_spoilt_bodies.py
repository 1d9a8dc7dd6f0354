"""Bodies that are taken, spoilt in one place: none is answered 5xx, and no answer is undocumented.

Systematic where schemathesis is random, so it is quick and finds the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps

import pytest

from tests.fuzz.good_bodies import bodies, definitions, handler, reports, schedule, task_definition
from tests.http.conftest import Server, serving

WRONG: tuple[object, ...] = (None, [], {}, ["a"], {"a": [1]}, "", "x", -1, 1.5, True, 2**70, "\0", [[None]])


def spoilt(value: object) -> Iterator[object]:
    """The value with something else in each of its places, whole last."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for other in spoilt(inner):
                yield {**value, key: other}
    elif isinstance(value, list):
        for place, inner in enumerate(value[:2]):
            for other in spoilt(inner):
                yield [*value[:place], other, *value[place + 1 :]]
    yield from WRONG


async def planted(server: Server) -> tuple[list[str], dict[str, list[object]]]:
    """Executions, and the bodies that this server takes."""
    known = definitions()
    sent = [
        await server.put("/api/metadata/workflow", json=known),
        await server.post(
            "/api/metadata/taskdefs", json=[task_definition("work1"), task_definition("work2")]
        ),
        *[await server.post("/api/event", json=handler(name)) for name in ("spare1", "spare2")],
        *[
            await server.post("/api/scheduler/schedules", json=schedule(name))
            for name in ("spare1", "spare2")
        ],
    ]
    assert {each.status for each in sent} == {200}
    names = ("waits", "works", "quick", "fails", "forks", "waits")
    ids = [(await server.post(f"/api/workflow/{name}", json={"a": 1})).text for name in names]
    shown = (await server.get(f"/api/workflow/{ids[1]}")).json
    assert isinstance(shown, dict)
    return ids, {**reports(shown["tasks"]), **bodies(known, ids)}


def address(case: str, execution: str) -> tuple[str, str]:
    """Method and path of a body, about things that there are."""
    method, path = case.split(" ")
    for name, there in (
        ("id", execution),
        ("name", "waits"),
        ("version", "1"),
        ("ref", "wait"),
        ("sink", "conductor:a"),
    ):
        path = path.replace(f"{{{name}}}", there)
    return method, path + ("?waitForSeconds=1" if "/execute/" in path else "")


async def test_bodies_are_taken_as_they_are() -> None:
    """So that what is spoilt below is spoilt in one place alone; a command may not fit the execution."""
    async with serving() as server:
        ids, found = await planted(server)
        for case, (body, *_) in found.items():
            if case != "POST /api/asyncflow/keys":  # from then on this server would want one
                method, path = address(case, ids[0])
                answer = await server.call(method, path, json=body)
                assert answer.status in {200, 204, 409}, (case, answer.text)


@pytest.mark.timeout(240)
async def test_a_spoilt_body_is_refused_or_taken_but_no_fault_of_the_server() -> None:
    async with serving() as server:
        ids, found = await planted(server)
        count = 0
        for case, (body, *_) in found.items():
            method, path = address(case, ids[0])
            for other in spoilt(body):
                answer = await server.call(method, path, json=other)
                assert answer.status < 500, (case, dumps(other), answer.text)
                count += 1
        assert count > 1_000
        assert not server.services.keys.is_required

"""Register and run every definition of a folder on a server, by REST alone, and print what came of it.

python examples/serve_conductor_definitions.py URL FOLDER

Each way of `run_conductor_definitions.py` is taken in real time with `auto_worker.py` as worker. HTTP
tasks are sent to a host of this program, so the server must be allowed to reach 127.0.0.1. Where the
folder has JSON Schemas and the package jsonschema is there, all answers are held against them.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from auto_worker import Api, AutoWorker, Json, Refused, every_task
from run_conductor_definitions import SCRIPTS, Script

from asyncflow.testing.outcomes import NOT_TAKEN, Outcome, Outcomes

_AT_MOST_S = 100
_STORED_BY_SERVER = {"createTime", "updateTime", "createdBy", "updatedBy", "ownerApp"}
_OUT_OF_REACH = ("http://2852039166/",)  # to be refused: it is the address of the cloud's metadata


@dataclass
class Way:
    """One way through one definition, and what came of it."""

    file: str
    definition: Json
    script: Script
    given: Json
    is_inline: bool
    outcomes: Outcomes
    status: str = ""
    reason: str = ""
    tasks: int = 0
    seconds: float = 0
    differs: list[str] = field(default_factory=list)

    @property
    def is_as_expected(self) -> bool:
        """It ended as its script says, and everything came back as it was sent."""
        return self.status == self.script.ends and not self.differs

    @property
    def is_unpolled(self) -> bool:
        """Whether it must not be worked on: nobody takes its tasks."""
        return any(isinstance(o, Outcome) and o.status == NOT_TAKEN for o in self.script.table.values())


class Schemas:
    """The JSON Schemas of the folder; without jsonschema, or without them, everything fits."""

    def __init__(self, folder: Path) -> None:
        self.faults: dict[str, int] = defaultdict(int)
        self.checked: dict[str, int] = defaultdict(int)
        self._validators: dict[str, Any] = {}
        try:
            import jsonschema  # noqa: PLC0415 - only the tests need it
        except ImportError:
            return
        for file in folder.glob("*.json"):
            schema = json.loads(file.read_text(encoding="utf-8"))
            self._validators[file.stem] = jsonschema.Draft7Validator(schema)

    def check(self, name: str, answer: object) -> None:
        """Count an answer that is not of the schema of this name, by what is wrong with it."""
        if name not in self._validators:
            return
        self.checked[name] += 1
        for fault in self._validators[name].iter_errors(answer):
            path = "/".join("#" if isinstance(part, int) else str(part) for part in fault.absolute_path)
            self.faults[f"{name}: {path}: {fault.message[:120]}"] += 1


def ways(folder: Path) -> Iterator[Way]:
    """All ways of all definitions, by file name; a start request brings its definition with it."""
    for file, name, each in _entries(folder):
        inner = each.get("workflowDef", each)
        if "tasks" not in inner:
            continue
        for script in SCRIPTS.get((file, name)) or SCRIPTS.get((file, "")) or [Script()]:
            given = {**(each.get("input") or {} if each is not inner else {}), **script.given}
            outcomes = Outcomes(script.table, default={})
            yield Way(file, copy.deepcopy(inner), script, given, each is not inner, outcomes)


def task_definitions(folder: Path) -> list[Json]:
    """What is no workflow."""
    return [each for _, _, each in _entries(folder) if "tasks" not in each.get("workflowDef", each)]


def _entries(folder: Path) -> Iterator[tuple[str, str, Json]]:
    for file in sorted(folder.glob("*/*.json")):
        parsed = json.loads(file.read_text(encoding="utf-8"))
        for each in parsed if isinstance(parsed, list) else [parsed]:
            yield file.name, each.get("workflowDef", each)["name"], each


def batches(every: list[Way]) -> list[list[Way]]:
    """Ways that can run at the same time: no two files with one name, and nobody polls for the unpolled."""
    found: list[list[Way]] = []
    for way in every:
        batch = next((each for each in found if _fits(way, each)), None)
        if batch is None:
            found.append(batch := [])
        batch.append(way)
    return found


def _fits(way: Way, batch: list[Way]) -> bool:
    key = _key(way.definition)
    return all(
        (other.file == way.file or _key(other.definition) != key) and other.is_unpolled == way.is_unpolled
        for other in batch
    )


def _key(definition: Json) -> tuple[str, int]:
    return definition["name"], definition.get("version", 1)


def differences(sent: object, got: object, path: str = "") -> Iterator[str]:
    """Where what was sent is not in what came back; defaults that were added are no difference."""
    if isinstance(sent, dict) and isinstance(got, dict):
        for key, value in sent.items():
            is_told = value is not None or "Parameters" in path
            if is_told and not (path == "" and key in _STORED_BY_SERVER):
                yield from differences(value, got.get(key), f"{path}/{key}")
    elif isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        for index, (one, other) in enumerate(zip(sent, got, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    elif sent != got:
        yield f"{path}: {json.dumps(sent)[:80]} is {json.dumps(got)[:80]}"


class Runner:
    """Runs batches of ways on one server."""

    def __init__(self, api: Api, schemas: Schemas, stand_in: str, defined: set[str]) -> None:
        self._api, self._schemas, self._stand_in = api, schemas, stand_in
        self._defined = defined
        self._tables: dict[str, Outcomes] = {}
        self._worker = AutoWorker(api, self._tables.get, checked=lambda task: schemas.check("Task", task))

    async def run(self, batch: list[Way]) -> None:
        """Register all of the batch, then run all of it at once."""
        for way in batch:
            await self._register(way)
        idle = [way for way in batch if way.is_unpolled]
        self._worker.left_alone = {task["name"] for way in idle for task in every_task(way.definition)}
        async with asyncio.TaskGroup() as group:
            polling = group.create_task(self._worker.work(group))
            await asyncio.gather(*(self._take(way) for way in batch if not way.status))
            polling.cancel()

    async def _register(self, way: Way) -> None:
        """Store the definition, and compare what comes back; an inline one is only made ready."""
        redirected(way.definition, self._stand_in)
        for name in missing_children(way.definition) - self._defined:
            await self._api.call("POST", "/metadata/workflow", answered_by_people(name), overwrite="true")
        if way.is_inline:
            return
        name, version = _key(way.definition)
        try:
            await self._api.call("POST", "/metadata/workflow/validate", way.definition)
            await self._api.call("POST", "/metadata/workflow", way.definition, overwrite="true")
        except Refused as refusal:
            way.status, way.reason = "refused", str(refusal)
            return
        got = await self._api.call("GET", f"/metadata/workflow/{name}", version=version)
        self._schemas.check("WorkflowDef", got)
        way.differs = list(differences(way.definition, got))

    async def _take(self, way: Way) -> None:
        began = time.perf_counter()
        name, version = _key(way.definition)
        request = {"name": name, "version": version, "input": way.given, "correlationId": way.file}
        if way.is_inline:
            request["workflowDef"] = way.definition
        try:
            execution_id = await self._api.call("POST", "/workflow", request)
            self._tables[execution_id] = way.outcomes
            async with asyncio.timeout(_AT_MOST_S):
                shown = await self._worker.until_ended(execution_id)
        except Refused as refusal:
            way.status, way.reason = "refused", str(refusal)
        except TimeoutError:
            way.status, way.reason = "open", f"not ended after {_AT_MOST_S} s"
        else:
            self._schemas.check("Workflow", shown)
            way.status, way.reason = shown["status"], shown.get("reasonForIncompletion") or ""
            way.tasks = len(shown["tasks"])
        way.seconds = time.perf_counter() - began


def missing_children(definition: Json) -> set[str]:
    """Names of children that the definition does not bring with it."""
    named = [task.get("subWorkflowParam") or {} for task in every_task(definition)]
    wanted = {child.get("name", "") for child in named if not child.get("workflowDefinition")}
    return {name for name in wanted if name and "${" not in name}


def answered_by_people(name: str) -> Json:
    """A workflow in place of one that is in no file."""
    wait = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT", "inputParameters": {}}
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": [wait], "ownerEmail": "a@example.com"}


def redirected(definition: Json, stand_in: str) -> None:
    """Send the HTTP tasks of a definition to the stand-in, but for what is to be refused."""
    for task in every_task(definition):
        request = (task.get("inputParameters") or {}).get("http_request") or task.get("inputParameters") or {}
        uri = request.get("uri") if isinstance(request, dict) else None
        if task.get("type") == "HTTP" and uri and not uri.startswith(_OUT_OF_REACH):
            request["uri"] = f"{stand_in}/{quote(definition['name'], safe='')}/{task['taskReferenceName']}"


@asynccontextmanager
async def standing_in(every: list[Way]) -> AsyncIterator[str]:
    """The address of a host that answers HTTP tasks from the tables, by workflow and reference."""
    table = {
        f"{way.definition['name']}/{ref}": scripted
        for way in every
        for ref, scripted in way.script.table.items()
    }
    outcomes = Outcomes(table, default={})

    async def answer(request: web.BaseRequest) -> web.Response:
        taken = outcomes.take([request.path.removeprefix("/")], {})
        outcome = taken[0] if taken else Outcome()
        body = outcome.output.get("response", outcome.output)
        body = body.get("body", body) if isinstance(body, dict) else body
        return web.json_response(body, status=500 if outcome.reason else 200)

    runner = web.ServerRunner(web.Server(answer))  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def run(url: str, folder: Path) -> tuple[list[Way], Schemas, list[str]]:
    """All ways with what came of them, the schemas with their faults, and the server's own faults."""
    every, schemas = list(ways(folder)), Schemas(folder)
    async with aiohttp.ClientSession() as session, standing_in(every) as stand_in:
        api = Api(url, session)
        described = task_definitions(folder)
        if described:  # an empty list is refused, as by Conductor
            await api.call("POST", "/metadata/taskdefs", described)
        for sent in described:
            got = await api.call("GET", f"/metadata/taskdefs/{sent['name']}")
            schemas.check("TaskDef", got)
        runner = Runner(api, schemas, stand_in, {way.definition["name"] for way in every})
        for batch in batches(every):
            await runner.run(batch)
    return every, schemas, api.faults


def line(way: Way) -> str:
    """A row of the table."""
    mark = "" if way.is_as_expected else f"EXPECTED {way.script.ends} {way.differs[:2]} "
    remarks = way.script.note or ("" if way.status == "COMPLETED" else way.reason[:90])
    return (
        f"{way.file[:44]:44} {way.definition['name'][:40]:40} {way.script.way[:22]:22} {way.tasks:6} "
        f"{way.status:10}{way.seconds:8.1f}  {mark}{remarks}"
    )


async def main(url: str, folder: Path) -> int:
    """Print the table; 1 if something is not as it should be."""
    every, schemas, faults = await run(url, folder)
    for way in every:
        print(line(way))
    wrong = sum(not way.is_as_expected for way in every)
    print(f"\n{len(every)} ways, {len(every) - wrong} as expected; answers checked: {dict(schemas.checked)}")
    for fault, count in schemas.faults.items():
        print(f"not of its schema, {count} ×: {fault}")
    print(*faults, sep="\n")
    return 1 if wrong or schemas.faults or faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]))))

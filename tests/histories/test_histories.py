"""Law: what any release left this one opens: every execution is what it was, and goes on to its end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from asyncflow.app import database, recovering
from asyncflow.app.build import open_engine
from asyncflow.app.service import Service
from asyncflow.model.events import EVENTS
from asyncflow.store import maintenance, schema
from asyncflow.store.codec import Codec
from tests.histories.make import FUNCTIONS, SIGNAL, Json, events, make, shown

FOLDER = Path(__file__).parent
KEPT = sorted(path.stem for path in FOLDER.glob("schema-*.json"))
NEWEST = f"schema-{schema.migrations()[-1].number:04}"


def told(name: str) -> tuple[dict[str, Json], list[list[object]]]:
    """What the release said of its executions, and one event of each kind that it had."""
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found["executions"], found["events"]


@pytest.fixture(params=KEPT)
def name(request: pytest.FixtureRequest) -> str:
    """Each release of which a file is kept."""
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path, name: str) -> Path:
    """Its database, to be opened."""
    path = tmp_path / "flow.db"
    path.write_bytes(gzip.decompress((FOLDER / f"{name}.db.gz").read_bytes()))
    return path


async def test_every_execution_is_what_it_was_and_goes_on(path: Path, name: str) -> None:
    expected, _ = told(name)
    async with open_engine(path, functions=FUNCTIONS) as (engine, _):
        service = Service(engine)
        found = {stream: shown(await service.get(stream)) for stream in expected}
        assert found == expected
        open_ones = [stream for stream, one in found.items() if one["status"] == "RUNNING"]
        for stream in open_ones:
            state = await service.engine.state(stream)
            if any(each.ref == SIGNAL and not each.is_ended for each in state.tasks.values()):
                await service.signal(stream, SIGNAL)
        ends = [(await service.ended(stream)).status for stream in open_ones]
        assert not engine.turns.quarantined

    assert len(open_ones) >= 6
    assert ends == ["COMPLETED"] * len(open_ones)
    assert await maintenance.check(path) == []


async def test_views_made_anew_are_those_of_the_release(path: Path, name: str) -> None:
    expected, _ = told(name)
    await maintenance.migrate(path)
    rebuilt = await database.rebuild(path)
    async with database.reading(path) as reader:
        rows = {row.execution_id: row.status for row in await reader.list_executions()}

    assert rebuilt.executions == len(expected)
    assert rows == {stream: one["status"] for stream, one in expected.items()}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("schema-*.log")), ids=lambda file: file.stem)
async def test_journal_of_the_release_is_taken_up_anywhere(tmp_path: Path, file: Path) -> None:
    found = await recovering.read_file(file)
    assert await recovering.put_in(tmp_path / "new.db", found)
    async with open_engine(tmp_path / "new.db", functions=FUNCTIONS) as (engine, _):
        service = Service(engine)
        states = [await engine.state(stream) for stream in found.streams]
        for state in states:
            if any(each.ref == SIGNAL and not each.is_ended for each in state.tasks.values()):
                await service.signal(state.execution_id, SIGNAL)
        ends = {state.name: (await service.ended(state.execution_id)).status for state in states}

    assert ends in ({"steps": "COMPLETED"}, {"parent": "COMPLETED", "child": "COMPLETED"})


def test_events_of_the_release_are_read_as_they_were(name: str) -> None:
    """Events only gain fields: what was written of one is in it still, in its place."""
    _, recorded = told(name)
    codec = Codec()
    for record in recorded:
        event = codec.event(list(record))
        again = json.loads(codec.encode_entries([("s", 1, [event])]))[0][2][0]  # type: ignore[list-item]

        assert again[: len(record)] == record


def test_a_file_is_kept_of_this_schema_with_every_kind_of_event() -> None:
    """Where this fails: `python -m tests.histories.make`, once, with what was released."""
    kinds = {str(record[0]) for record in told(NEWEST)[1]}

    assert NEWEST in KEPT
    assert kinds <= EVENTS.keys()
    assert {str(record[0]) for record in json.loads(json.dumps(events()))} == EVENTS.keys()


async def test_what_this_release_makes_it_reads(tmp_path: Path) -> None:
    made = await make(tmp_path)
    found = json.loads(made.with_suffix(".json").read_text(encoding="utf-8"))["executions"]
    kept = told(NEWEST)[0]

    assert sorted(one["workflowName"] for one in found.values()) == sorted(
        str(one["workflowName"]) for one in kept.values()
    )

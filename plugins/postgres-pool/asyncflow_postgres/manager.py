"""The resource manager for PostgreSQL: a statement and its token are committed together, or neither is.

The result is kept beside the token, so a poll after a restart reads what a lost answer would have said. It
keeps no statement and no argument.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

import asyncpg
from pydantic import Field, SecretStr
from pydantic_core import from_json, to_json

from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.plugins.errors import CredentialsRefused, OutcomeOpen, Rejected, ServiceError, Throttled
from asyncflow.plugins.jobs import Ended, Job, JobStatus, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceManager

if TYPE_CHECKING:
    from asyncpg import Connection, Pool, Record
    from asyncpg.pool import PoolConnectionProxy

_TABLE = """
CREATE TABLE IF NOT EXISTS asyncflow_statements (
    token text PRIMARY KEY,
    payload_hash text NOT NULL,
    result jsonb NOT NULL DEFAULT '{}',
    done_at timestamptz NOT NULL DEFAULT now()
)"""
_CLAIM = """
INSERT INTO asyncflow_statements (token, payload_hash) VALUES ($1, $2)
ON CONFLICT (token) DO NOTHING RETURNING token"""
_KEEP = "UPDATE asyncflow_statements SET result = $2::jsonb WHERE token = $1"
_READ = """
SELECT token, result::text AS result, (extract(epoch FROM done_at) * 1000)::bigint AS done_ms
FROM asyncflow_statements WHERE token = ANY($1::text[])"""
_SWEEP = "DELETE FROM asyncflow_statements WHERE done_at < now() - make_interval(days => $1)"
_BUSY = ("53", "57P03")  # no connections or memory left; starting up
_REFUSED = ("28",)
_VALUE = re.compile(r"(?<=argument \$)(\d+).*|: \".*", re.DOTALL)  # where a message begins to tell a value
_AT_ONCE = 50
_PATIENCE_S = 10.0
_MAKE_LOCK = 7_307_261_907


class PostgresConfig(PluginConfig):
    """Settings of a resource of type `postgres`; `dsn` is an address as libpq takes it."""

    dsn: SecretStr
    connections: int = Field(default=8, ge=1, le=1000)
    statement_timeout_s: float = Field(default=25.0, gt=0, le=28.0)
    most_rows: int = Field(default=1000, ge=0)
    most_bytes: int = Field(default=1_000_000, ge=1000)
    keep_days: int = Field(default=30, ge=30)
    behind_pgbouncer: bool = False


class SqlStatement(JobInput):
    """The input of an SQL task: one statement, and its values as arguments `$1`, `$2`."""

    sql: str = Field(min_length=1)
    args: list[JsonValue] = Field(default_factory=list, max_length=1000)


class PostgresManager(ResourceManager):
    """One database, over one pool."""

    Config: ClassVar[type[PluginConfig]] = PostgresConfig
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"SQL": SqlStatement}
    tier: ClassVar[Tier] = "token"
    token_life: ClassVar[float] = 29 * 86_400.0  # a token that was removed would be done again

    config: PostgresConfig
    _pool: Pool | None = None

    async def open(self) -> None:
        """Connect, and make the table of tokens where it is missing.

        Raises:
            ServiceError: the database cannot be reached or does not let us in.
        """
        config = self.config
        async with _answered():
            self._pool = await asyncpg.create_pool(
                config.dsn.get_secret_value(),
                min_size=1,
                max_size=config.connections,
                command_timeout=config.statement_timeout_s,
                statement_cache_size=0 if config.behind_pgbouncer else 100,
            )
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _MAKE_LOCK)
                await connection.execute(_TABLE)
                await connection.execute(_SWEEP, config.keep_days)

    async def close(self) -> None:
        """Close the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    def client(self, instance: str) -> object:
        """The pool, for task functions that name this resource."""
        del instance
        return self._pool

    async def submit(self, job: Job) -> Ended:
        """See `ResourceManager.submit`; the handle is the token, and the statement is done."""
        given = SqlStatement.model_validate(job.input)
        async with self._lent() as connection, _committed(connection):
            if await connection.fetchval(_CLAIM, job.token, job.payload_hash) is not None:
                try:
                    async with asyncio.timeout(self.config.statement_timeout_s):
                        output = await self._output(connection, given)
                except TimeoutError:  # nothing was committed, and nothing will be
                    told = f"it took longer than {self.config.statement_timeout_s:g} s, and is rolled back"
                    raise Rejected(told) from None
                await connection.execute(_KEEP, job.token, to_json(output).decode())
            rows = await connection.fetch(_READ, [job.token])
        if not rows:
            raise Rejected("it ended the transaction that it was in, and nothing is kept", is_final=True)
        return Ended(job.token, _done(rows[0]))

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: one query for all; a token that is there is done."""
        del instance
        async with self._lent() as connection:
            rows = await connection.fetch(_READ, list(handles))
        return {row["token"]: _done(row) for row in rows}

    async def cancel(self, instance: str, handle: str) -> None:
        """Refused: a statement that has a handle is committed."""
        del instance, handle
        raise Rejected("a statement that is committed cannot be cancelled", is_final=True)

    # --- within -------------------------------------------------------------------------------------

    async def _output(self, connection: Connection | PoolConnectionProxy, given: SqlStatement) -> JsonObject:
        """Do the statement whole, and give as many of its rows as are kept; a few at a time are in memory."""
        prepared = await connection.prepare(given.sql)
        if not prepared.get_attributes():
            await prepared.fetch(*given.args)
            return {"rows": [], "status": prepared.get_statusmsg(), "truncated": False}
        rows: list[JsonValue] = []
        left, count = self.config.most_bytes, 0
        async for row in prepared.cursor(*given.args, prefetch=_AT_ONCE):
            count += 1
            if len(rows) == self.config.most_rows or left < 0:
                continue
            shown = to_json(dict(row), inf_nan_mode="strings", bytes_mode="hex", fallback=str)
            left -= len(shown)
            if left >= 0:
                rows.append(from_json(shown))
        return {"rows": rows, "status": f"{count} rows", "truncated": len(rows) < count}

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection | PoolConnectionProxy]:
        """A connection of the pool; one whose user gives up is cut, as its answer may never come."""
        if self._pool is None:
            raise Throttled("the database is not connected")
        async with _answered(), AsyncExitStack() as held:
            try:
                connection = await held.enter_async_context(self._pool.acquire(timeout=_PATIENCE_S))
            except TimeoutError:
                raise Throttled(f"no connection was free for {_PATIENCE_S:g} s") from None
            try:
                yield connection
            except asyncio.CancelledError:
                connection.terminate()
                raise


@asynccontextmanager
async def _committed(connection: Connection | PoolConnectionProxy) -> AsyncIterator[None]:
    """A transaction; unlike asyncpg's own it is not rolled back, which may take long, for who gives up."""
    work = connection.transaction()
    await work.start()
    try:
        yield
    except Exception:
        await work.rollback()
        raise
    await work.commit()


def _done(row: Record) -> JobStatus:
    return JobStatus("succeeded", from_json(row["result"]), ended_ms=row["done_ms"], raw="done")


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    """Around what is asked of the database: its errors as ours, without statements and addresses."""
    try:
        yield
    except ServiceError:
        raise
    except asyncpg.PostgresError as error:
        raise _meaning(error) from None
    except asyncpg.InterfaceError as error:
        if "for this query" in str(error):
            raise Rejected(f"the arguments do not fit: {str(error)[:200]}", is_final=True) from None
        raise OutcomeOpen(f"the connection cannot be used: {type(error).__name__}") from None
    except (OSError, TimeoutError) as error:
        raise OutcomeOpen(f"no answer: {type(error).__name__}") from None


def _meaning(error: asyncpg.PostgresError) -> ServiceError:
    """What an error of the server says: all is rolled back, unless the connection went with it."""
    state, text = str(error.sqlstate or ""), str(error.args[0] if error.args else "")
    told = f"{state}: {_VALUE.sub(lambda found: found[1] or '', text)}"
    if state.startswith(_REFUSED):
        return CredentialsRefused(f"{state} from the database")
    if state.startswith(_BUSY):
        return Throttled(told)
    if state.startswith(("08", "57P", "58", "XX")) or not state:
        return OutcomeOpen(told)
    return Rejected(told, is_final=state.startswith(("22", "42")))

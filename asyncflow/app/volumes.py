"""How much data a task of a workflow took in and gave out, run by run; from the database, so over restarts.

Bytes of inputs and outputs are measured of every task; rows and bytes beyond them are what tasks told by
`ctx.record_io`, workers by REST and services of their jobs. What is unusual is said in `volume_watch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from asyncflow.errors import InvalidInput, NotFound
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.store.journal import Views
from asyncflow.store.log_records import MOST_TOLD, Logs, TaskIo
from asyncflow.store.records import Condition, Page, TaskHit, Where

MOST_RUNS = 1_000
MEASURES = ("inputBytes", "outputBytes", "bytesIn", "bytesOut", "rowsIn", "rowsOut")
"""What is measured: of input and output always, the others where somebody told them."""

_FACTOR = 3.0  # where no rule says another
_WORDS = {"in": "In", "out": "Out"}


class Told(NamedTuple):
    """What somebody says went through a task, in one direction."""

    direction: str
    rows: int
    bytes: int


class Run(NamedTuple):
    """One attempt of a task that ended, and what is known of its data, by `MEASURES`."""

    task_id: str
    facts: JsonObject
    measured: Mapping[str, int]


class Volumes:
    """The data volumes of one engine."""

    def __init__(self, engine: Engine, views: Views, logs: Logs) -> None:
        """Read these views and side tables, which the engine keeps up."""
        self._engine, self._views, self._logs = engine, views, logs

    async def history(self, workflow: str, ref: str, *, count: int = 50) -> JsonObject:
        """The newest runs of a task, newest first, with the median of each measure.

        A run names as `unusual` what is above the median times the factor of the rule, or below it divided by
        that; 3 where no rule holds. With fewer runs than the rule asks for, nothing is.

        Raises:
            NotFound: no task of this reference name has ended in an execution of this workflow.
        """
        runs = await self.runs(workflow, ref, count=count)
        if not runs:
            raise NotFound("ended task of this workflow", ref)
        medians = usual(run.measured for run in runs)
        rule = self._engine.settings.io
        factor = rule.factor or _FACTOR
        is_known = len(runs) > rule.least_runs
        return {
            "workflow": workflow,
            "ref": ref,
            "usual": dict(medians),
            "factor": factor,
            "runs": [
                {
                    **run.facts,
                    **run.measured,
                    "unusual": [*unusual(run.measured, medians, factor)] if is_known else [],
                }
                for run in runs
            ],
        }

    async def runs(self, workflow: str, ref: str, *, count: int) -> list[Run]:
        """Runs of a task that ended, of the executions that began last; within one the newest first."""
        await self._engine.views_caught_up()
        conditions: list[Where] = [
            Condition("workflow_name", "=", (workflow,)),
            Condition("reference", "rounds", (ref,)),
            Condition("ended_at_ms", ">", (0,)),
        ]
        hits = await self._views.newest_tasks(conditions, min(count, MOST_RUNS))
        told = await self.told([hit.task.task_id for hit in hits])
        return [_run(hit, told.get(hit.task.task_id, {})) for hit in hits]

    async def told(self, tasks: Sequence[str]) -> dict[str, dict[str, int]]:
        """By task id, what was told of rows and bytes beyond input and output."""
        await self._engine.logs.flushed()
        rows = (
            await self._logs.find_io([Condition("task_id", "in", tuple(tasks))], Page(2 * len(tasks)))
        ).rows
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            word = _WORDS[row.direction]
            found.setdefault(row.task_id, {}).update(
                {f"rows{word}": row.row_count, f"bytes{word}": row.byte_count}
            )
        return found

    async def record(self, task_id: str, direction: object, *, rows: object = 0, bytes: object = 0) -> None:  # noqa: A002 - its unit
        """Count data that a task elsewhere read (`in`) or wrote (`out`), added to what was told before.

        Durable at return. An unknown task is no error, as for its log.

        Raises:
            InvalidInput: a count is no integer from 0, or the direction unknown.
        """
        await self._engine.logs.add(TaskIo(task_id, *_told(direction, {"rows": rows, "bytes": bytes})))


def usual(runs: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """The median of each measure over the runs that have it."""
    values: dict[str, list[int]] = {}
    for measured in runs:
        for name, value in measured.items():
            values.setdefault(name, []).append(value)
    return {name: round(median(values[name])) for name in MEASURES if name in values}


def unusual(measured: Mapping[str, int], medians: Mapping[str, int], factor: float) -> Iterator[str]:
    """The measures that are outside of the usual range."""
    for name, value in measured.items():
        known = medians.get(name)
        if known is not None and not known / factor <= value <= known * factor:
            yield name


def read_io(given: object, field: str) -> list[Told]:
    """What a document says went through a task: `{"in": {"rows": 7, "bytes": 50}, "out": {…}}`.

    Raises:
        InvalidInput: it is no such document; names the field.
    """
    if given is None:
        return []
    if not isinstance(given, Mapping):
        raise InvalidInput("an object with in, out or both is expected", field=field)
    return [_told(direction, counts, within=f"{field}.") for direction, counts in given.items()]


def _told(direction: object, counts: object, *, within: str = "") -> Told:
    if not isinstance(direction, str) or direction not in _WORDS:
        raise InvalidInput('"in" or "out" is expected', field=f"{within}direction")
    place = f"{within}{direction}." if within else ""
    if not isinstance(counts, Mapping):
        raise InvalidInput("an object with rows, bytes or both is expected", field=place.removesuffix("."))
    return Told(direction, *(_count(f"{place}{key}", counts.get(key, 0)) for key in ("rows", "bytes")))


def _run(hit: TaskHit, told: Mapping[str, int]) -> Run:
    task = hit.task
    facts: JsonObject = {
        "executionId": task.execution_id,
        "taskId": task.task_id,
        "version": hit.workflow_version,
        "status": task.status,
        "iteration": task.iteration,
        "retryCount": task.retry_count,
        "endTime": task.ended_at_ms,
    }
    return Run(
        task.task_id, facts, {"inputBytes": task.input_bytes, "outputBytes": task.output_bytes, **told}
    )


def _count(field: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOLD:
        raise InvalidInput("a count from 0 is expected", field=field)
    return value

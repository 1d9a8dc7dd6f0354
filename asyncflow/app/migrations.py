"""Running executions taken to another registered version: looked at first, or done.

It finds the version and says in JSON what becomes of the execution; what fits is judged by
`decide/migration_plan`, in the dry run and once more when the command is decided.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.app.definitions import find_graph
from asyncflow.decide.migration_plan import MigrationPlan, plan_migration
from asyncflow.errors import InvalidInput
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import MigrateExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine


class Migrations:
    """Migrations of single executions on one engine."""

    def __init__(self, engine: Engine) -> None:
        """Serve this engine, which is open."""
        self._engine = engine

    async def plan(
        self, execution_id: str, *, version: int | None = None, mapping: Mapping[str, str] | None = None
    ) -> JsonObject:
        """What would become of an execution; nothing changes. Raises as `migrate`, but is never refused."""
        state, graph = await self._found(execution_id, version)
        report = _report(state, graph, plan_migration(state, graph, dict(mapping or {})))
        await self._engine.turns.settled(execution_id)
        return report

    async def migrate(
        self, execution_id: str, *, version: int | None = None, mapping: Mapping[str, str] | None = None
    ) -> JsonObject:
        """Go on under a version, the highest if None, and say what became of the records; durable at return.

        Args:
            mapping: reference names that the version calls otherwise, from those of now.

        Raises:
            NotFound: there is no such execution or version.
            Refused: it ended, or something of it has no place in the version; every reason is named.
        """
        state, graph = await self._found(execution_id, version)
        names = dict(mapping or {})
        report = _report(state, graph, plan_migration(state, graph, names))
        await self._engine.submit(execution_id, MigrateExecution(graph.hash, names))
        return {**report, "migrated": True}

    async def _found(self, execution_id: str, version: int | None) -> tuple[ExecutionState, Graph]:
        state = await self._engine.state(execution_id)
        return state, find_graph(self._engine.catalog, None, state.name, version=version)


def checked_mapping(given: object) -> dict[str, str]:
    """A mapping of reference names as it came in.

    Raises:
        InvalidInput: it is something else.
    """
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given.values()):
        raise InvalidInput("an object of reference names is expected, from old to new", field="mapping")
    return given


def checked_version(given: object) -> int | None:
    """A version as it came in, None for the highest.

    Raises:
        InvalidInput: it is something else.
    """
    if given is not None and type(given) is not int:
        raise InvalidInput("an integer is expected", field="version")
    return given


def _report(state: ExecutionState, graph: Graph, plan: MigrationPlan) -> JsonObject:
    return {
        "workflowId": state.execution_id,
        "name": state.name,
        "fromVersion": state.version,
        "toVersion": graph.definition.version,
        "possible": not plan.problems,
        "migrated": False,
        "mapped": dict(plan.mapped),
        "detached": [state.tasks[number].ref for number in plan.detached],
        "underWay": list(plan.under_way),
        "next": list(plan.next),
        "passed": list(plan.passed),
        "problems": [{"task": each.task, "reason": each.reason} for each in plan.problems],
    }

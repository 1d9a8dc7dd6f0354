"""How an execution begins: what a caller asks for, checked whole, and the command that is made of it.

Ids are drawn here. It knows no idempotency keys, see `app/idempotency`; what may be asked of an
execution later is in `app/service`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from asyncflow.app.definitions import Definitions
from asyncflow.app.identities import draw_execution_id
from asyncflow.app.payloads import check_payload, check_texts
from asyncflow.app.routing import VersionRouting
from asyncflow.errors import InvalidInput
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import StartExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine

_HIGHEST_PRIORITY = 99


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What to start, and with what.

    `definition` is run without being registered; otherwise `name` and `version` (None: the
    highest) choose a registered one. `priority` is 0 to 99, the larger first; None leaves it to
    the definition. The key is recorded; only `app/idempotency` heeds it. `is_plain` is said of the input,
    as `check_payload` has it.
    """

    name: str = ""
    version: int | None = None
    definition: WorkflowDefinition | None = None
    input: JsonObject | None = None
    correlation_id: str | None = None
    priority: int | None = None
    task_to_domain: Mapping[str, str] | None = None
    created_by: str = ""
    idempotency_key: str | None = None
    request_hash: str = ""
    is_plain: bool = False


class Prepared(NamedTuple):
    """A start that was checked: the command, the graph that it names, and the bytes of its input."""

    command: StartExecution
    graph: Graph
    size: int


class Starting(Definitions):
    """Starts of executions on one engine.

    Attributes:
        routing: which version a start gets that names none.
    """

    def __init__(self, engine: Engine) -> None:
        """Serve this engine, which is open."""
        super().__init__(engine)
        self.routing = VersionRouting(engine)

    async def start(self, request: StartRequest) -> str:
        """Start an execution and give its id; durable at return.

        Raises:
            NotFound: no such workflow, or a sub-workflow that it names is not there.
            DefinitionError: the definition given with the request is refused.
            InvalidInput: the input is not JSON, or a field is out of its range.
            LimitExceeded: the input is too large.
            PayloadUnavailable: it is to be stored in the payload folder, and that is not possible.
        """
        prepared = await self.prepare(request)
        return (await self.begin(self.draw_id(), prepared)).execution_id

    def draw_id(self) -> str:
        """A new execution id."""
        return draw_execution_id(self._now_ms())

    def begin(self, identity: str, prepared: Prepared) -> asyncio.Future[ExecutionState]:
        """Start what was prepared under this new id; it begins whether or not somebody waits for the answer.

        Raises:
            ShuttingDown, StoreError: nothing is taken now; nothing begins.
        """
        return self.engine.turns.inbox.ask(identity, prepared.command, size=prepared.size)

    async def prepare(self, request: StartRequest) -> Prepared:
        """The command of a start; nothing begins. Raises as `start`."""
        request, routing = await self._routed(request)
        graph = self._graph(request)
        asked = {} if request.input is None else request.input
        given, size = await self.accepted_payload(asked, "input", is_plain=request.is_plain)
        check_texts(
            correlationId=request.correlation_id,
            createdBy=request.created_by,
            taskToDomain=request.task_to_domain,
            idempotencyKey=request.idempotency_key,
        )
        domains: dict[str, str] = {}
        if request.task_to_domain:
            checked = self.checked_payload(dict(request.task_to_domain), "taskToDomain")
            domains = {name: str(domain) for name, domain in checked.items()}
        command = StartExecution(
            graph.hash,
            given,
            request.correlation_id,
            _checked_priority(request.priority),
            domains or None,
            created_by=request.created_by,
            idempotency_key=request.idempotency_key or None,
            request_hash=request.request_hash,
            routing=routing,
        )
        return Prepared(command, graph, size)

    async def _routed(self, request: StartRequest) -> tuple[StartRequest, str]:
        """The request with the version that rules give it, and which did, unless it names what it runs."""
        if request.definition is not None or request.version is not None or not request.name:
            return request, ""
        key = request.correlation_id or request.idempotency_key or self.draw_id()
        choice = await self.routing.choose(request.name, str(key), request.input or {})
        if choice is None:
            return request, ""
        return replace(request, version=choice.version), choice.why

    def _graph(self, request: StartRequest) -> Graph:
        if request.definition is None and not request.name:
            raise InvalidInput("Workflow name cannot be null or empty", field="name")
        if request.version is not None and type(request.version) is not int:
            raise InvalidInput("an integer is expected", field="version")
        return self.graph_of(request.definition, request.name, request.version)

    def checked_payload(self, value: JsonObject, field: str) -> JsonObject:
        """A copy of a payload, if it is JSON and not too large; raises as `check_payload`."""
        return check_payload(value, field, self.engine.settings.limits)[0]

    async def accepted_payload(
        self, value: JsonObject, field: str, *, merged: bool = False, is_plain: bool = False
    ) -> tuple[JsonObject, int]:
        """A copy of a payload and its size, as `check_payload`; what is too much is stored, given a folder.

        Raises:
            InvalidInput: as `check_payload`.
            LimitExceeded, PayloadUnavailable: as `runtime/payloads.Payloads.accept`.
        """
        limits, payloads = self.engine.settings.limits, self.engine.payloads
        checked, size = check_payload(value, field, limits, most_bytes=payloads.most_bytes, is_plain=is_plain)
        if size > limits.payload_bytes:
            checked = await payloads.store_excess(checked, size, what=field, merged=merged)
        return checked, size


def _checked_priority(given: int | None) -> int:
    priority = 0 if given is None else given
    if type(priority) is not int:
        raise InvalidInput("an integer is expected", field="priority")
    if not 0 <= priority <= _HIGHEST_PRIORITY:
        bound = "minimum 0" if priority < 0 else f"maximum {_HIGHEST_PRIORITY}"
        raise InvalidInput(f"{priority} should be {bound}", field="priority")
    return priority

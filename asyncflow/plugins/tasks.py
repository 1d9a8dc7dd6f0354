"""The contract of task types: a `type` that definitions may name, performed in this process.

For work that an outside service does, write a resource manager with `tasks` instead; see
`plugins/resources`. How types are found is in `plugins/registry`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import ClassVar, Protocol

from pydantic import BaseModel

from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import CONTRACT_VERSION


class Context(Protocol):
    """What an attempt may know and tell; `asyncflow.TaskContext` is one."""

    execution_id: str
    ref: str
    attempt: int
    token: str

    def heartbeat(self) -> None:
        """Say that the attempt is alive."""

    def log(self, message: str, **fields: object) -> None:
        """Keep a line for this task."""

    def record_io(self, *, rows: int = 0, bytes: int = 0, direction: str = "out") -> None:  # noqa: A002
        """Add to how much went through the task."""


class TaskType:
    """A type of task. Subclass it, name it, and write `run`.

    Attributes:
        contract: the version of this contract it is written for.
        name: the `type` in definitions: capitals, digits and `_`, not one of Conductor's own.
        Input: the model of its input, checked before it runs; None takes any JSON object.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    name: ClassVar[str] = ""
    Input: ClassVar[type[BaseModel] | None] = None

    def run(self, ctx: Context, given: BaseModel | JsonObject) -> Awaitable[Mapping[str, object] | None]:
        """Perform an attempt on the loop and give its output; any exception fails the attempt.

        Args:
            given: an `Input`, or the input as it is where there is no model.

        Raises:
            TerminalTaskFailed: no retry can help.
        """
        raise NotImplementedError

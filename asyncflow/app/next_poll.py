"""The poll that comes along with an update: opened in the turn that decides it, so both are one commit.

It judges nothing of the update; where that is refused no poll is opened. How polls are held is
`runtime/held_polls`, when `open` is called `runtime/inbox`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from asyncflow.errors import AsyncflowError
from asyncflow.model.state import TaskState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.hand_out import HandOut
from asyncflow.runtime.hand_out_rules import task_name
from asyncflow.runtime.queues import Poll


class NextPoll:
    """A worker's poll for one more task of the type and domain of another; left early, it gives back.

    Leaving the context with an error gives back what was on its way, without using a retry.
    """

    def __init__(self, hand_out: HandOut, task: TaskState, worker: str) -> None:
        """Nothing is open."""
        self._hand_out, self._worker = hand_out, worker
        self._name, self._domain = task_name(task), task.domain or ""
        self._poll: Poll | None = None

    def open(self) -> None:
        """Poll, if the engine hands out tasks at all; if not, `answered` says so."""
        try:
            self._poll = self._open()
        except AsyncflowError:
            self._poll = None

    def _open(self) -> Poll:
        version = self._hand_out.roll.known(self._worker).version
        return self._hand_out.polls.open(
            self._name, self._domain, worker=self._worker, count=1, timeout_ms=0, version=version
        )

    async def answered(self) -> list[JsonObject]:
        """The task, if there was one; polls now if the turn had no occasion to.

        Raises:
            ShuttingDown, StoreError: nothing is handed out.
        """
        poll, self._poll = self._poll or self._open(), None
        return await self._hand_out.polls.answered(poll)

    def __enter__(self) -> Self:
        """Begin with nothing open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what nobody takes any more."""
        if kind is not None and self._poll is not None:
            self._hand_out.polls.give_back(self._poll)

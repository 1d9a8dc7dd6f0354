"""The inbox: inputs in the order in which they arrived, and who waits for what comes of them.

It decides nothing and records nothing; it says who is let in. The loop that empties it is
`runtime/turns`, what is made of one input `runtime/deciding`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import AsyncflowError, NotCommitted, Overloaded, ShuttingDown, StoreError
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import AttemptEnded, Input, RestartExecution, StartExecution
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.commits import Commits
from asyncflow.runtime.open_turn import Answer, refuse

T = TypeVar("T")

MOST_WAITING = 200_000
MOST_BYTES = 256 << 20
"""Of payloads that came with what waits, as far as they are known."""


Then = Callable[[], None]


class Waiting(NamedTuple):
    """An input that has arrived: for whom, who waits for an answer, and how many bytes it brings.

    `is_pinned`: its execution was loaded for it, and is kept here until it is decided. `graph`: the
    definition that it names, which nobody else may hold before it is decided. `then`: see `Inbox.submit`.
    """

    stream: str
    given: Input
    answer: Answer | None
    size: int = 0
    is_pinned: bool = False
    graph: Graph | None = None
    then: Then | None = None


class Inbox:
    """What has arrived, and the hopes of those who wait for a later turn.

    Attributes:
        items: what is not decided yet, oldest first.
        wake: set when somebody should look at the items.
        bytes: those of the payloads among them, as far as they are known.
        is_closed: whether the engine is stopping, so that nobody is let in any more.
    """

    def __init__(self, commits: Commits, catalog: DefinitionCatalog) -> None:
        """Nothing has arrived; `commits` knows of failures and of want of room."""
        self.items: deque[Waiting] = deque()
        self.bytes = 0
        self.wake = asyncio.Event()
        self.is_closed = False
        self._commits, self._catalog = commits, catalog
        self._hopes: dict[asyncio.Future[object], str] = {}

    async def submit(
        self, stream: str, given: Input, *, size: int = 0, then: Then | None = None
    ) -> ExecutionState:
        """Have an input decided, and wait until what it made is durable.

        Args:
            size: bytes of the payload in it, where they are known and many.
            then: called once it was decided, so that what it reports can be of the same turn. It raises
                nothing. Not called if the input is refused, if nobody waits for its answer any more, or
                while the execution has a script or a message under way.

        Returns:
            The state of the execution, at least as new as the input made it.

        Raises:
            Refused, NotFound, InvalidInput: as `decide`; nothing changed.
            ShuttingDown: the engine takes nothing any more; nothing changed.
            Overloaded: too much waits before it; nothing changed.
            StoreError: the commit failed; OutcomeUnknown if it may have happened.
        """
        return await self.ask(stream, given, size=size, then=then)

    def ask(self, stream: str, given: Input, *, size: int = 0, then: Then | None = None) -> Answer:
        """Have an input decided; the answer is that of `submit`, whoever still waits for it.

        Raises:
            ShuttingDown, StoreError, Overloaded: nothing is taken now; the input is not decided.
        """
        self.check_open()
        self._check_room()
        answer: Answer = asyncio.get_running_loop().create_future()
        self.put(Waiting(stream, given, answer, size, graph=self._named(given), then=then))
        return answer

    def report(self, stream: str, given: Input) -> None:
        """Have a report decided; nobody waits for it, and after a failure nobody looks at it."""
        if type(given) is AttemptEnded:  # by far the most
            size, graph = given.output_bytes, None
        else:
            size, graph = getattr(given, "output_bytes", 0), self._named(given)
        if self._commits.failure is None:
            self.put(Waiting(stream, given, None, size, False, graph))

    def put(self, waiting: Waiting) -> None:
        """Add an input behind all others, whoever may be let in."""
        if not self.items:  # else whoever empties it is awake, or is woken by the commit it waits for
            self.wake.set()
        self.items.append(waiting)
        self.bytes += waiting.size

    def _named(self, given: Input) -> Graph | None:
        """The definition that a start or restart names by hash; it is held until the input is decided."""
        if type(given) is StartExecution or type(given) is RestartExecution:
            return None if given.definition is None else self._catalog.graphs.get(given.definition)
        return None

    # --- who is let in ----------------------------------------------------------------------------

    def check_open(self) -> None:
        """Return if something new may be recorded.

        Raises:
            StoreError: the engine stopped, or there is no room.
            ShuttingDown: the engine is stopping.
        """
        self.check_running()
        if self._commits.trouble:
            raise NotCommitted(
                "the database takes no commit now; nothing new is taken until it does",
                code=self._commits.trouble,
            )

    def _check_room(self) -> None:
        """Commands are refused when too much waits; reports are not: what runs has to be heard.

        Raises:
            Overloaded: it does.
        """
        if len(self.items) >= MOST_WAITING or self.bytes >= MOST_BYTES:
            raise Overloaded(f"{len(self.items)} inputs of {self.bytes} bytes wait to be decided; try again")

    def check_running(self) -> None:
        """Return if the engine goes on.

        Raises:
            StoreError: it stopped.
            ShuttingDown: it is stopping.
        """
        failure = self._commits.failure
        if failure is not None:
            raise StoreError(f"the engine stopped: {failure}") from failure
        if self.is_closed:
            raise ShuttingDown("the engine is stopping; nothing new is taken")

    # --- who waits --------------------------------------------------------------------------------

    async def unless_failed(self, wanted: asyncio.Future[T], stream: str = "") -> T:
        """Wait for a future that a later turn fulfils; it fails when the engine does, or closes.

        Args:
            stream: the execution that it is about; it fails when that is set aside.
        """
        self.check_running()
        hope: asyncio.Future[object] = wanted  # type: ignore[assignment]  # only errors are put in
        self._hopes[hope] = stream
        try:
            return await wanted
        finally:
            del self._hopes[hope]

    def refuse(self, error: AsyncflowError) -> None:
        """Nothing of what has arrived is decided any more."""
        for item in self.items:
            refuse(item.answer, error)
        self.items.clear()
        self.bytes = 0

    def disappoint(self, error: AsyncflowError, stream: str = "") -> None:
        """No later turn fulfils anything any more; with `stream`, nothing that is about this execution."""
        for hope, about in self._hopes.items():
            if not hope.done() and stream in {"", about}:
                hope.set_exception(error)

"""Absent executions brought into memory: many in one reading, each for all who wait for it.

Whoever asks is called back on the loop, in the order of asking. How one is folded is
`runtime/recovery`; what is done with it is the asker's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from asyncflow.errors import AsyncflowError, NotFound, ShuttingDown, StoreError
from asyncflow.model.state import ExecutionState

log = logging.getLogger("asyncflow.loading")

Loaded = ExecutionState | AsyncflowError
Then = Callable[[Loaded], None]
LoadMany = Callable[[Sequence[str]], Awaitable[dict[str, Loaded]]]
"""Folds executions; one that is not there, or cannot be read, comes as the error that says so."""

_AT_ONCE = 100  # a reading of more streams than a few decodes the whole turn log, however many they are


class Loading:
    """The executions that are being loaded, and who waits for them.

    What is asked while a reading is under way is read together afterwards.
    """

    def __init__(self, load: LoadMany, settle: Callable[[str], Awaitable[None]]) -> None:
        """Load nothing yet; `settle` waits until what is decided of a stream is durable."""
        self._load, self._settle = load, settle
        self._asked: dict[str, list[Then]] = {}
        self._reading: dict[str, list[Then]] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """How many executions somebody waits for."""
        return len(self._asked) + len(self._reading)

    def ask(self, stream: str, then: Then) -> None:
        """Have an execution loaded; `then` gets it, or the error that says why not."""
        waiting = self._reading.get(stream)
        if waiting is None:
            waiting = self._asked.setdefault(stream, [])
            self._wake.set()
        waiting.append(then)

    async def run(self) -> None:
        """Load for ever; cancelled by the engine's end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asked:
                names = [*self._asked][:_AT_ONCE]
                self._reading = {name: self._asked.pop(name) for name in names}
                found = await self._read(names)
                reading, self._reading = self._reading, {}
                for name, waiting in reading.items():
                    for then in waiting:
                        then(found.get(name) or NotFound("execution", name))

    async def _read(self, names: Sequence[str]) -> dict[str, Loaded]:
        try:
            for name in names:
                await self._settle(name)
            return await self._load(names)
        except (StoreError, ShuttingDown) as error:  # of the engine or its database: it concerns them all
            return dict.fromkeys(names, error)
        except Exception as fault:  # of one of them: whoever waits for it must learn of it, and only they
            if len(names) > 1:
                return {name: (await self._read([name]))[name] for name in names}
            if isinstance(fault, AsyncflowError):
                return {names[0]: fault}
            log.exception("execution not loaded", extra={"execution": names[0]})
            text = f"execution {names[0]} cannot be loaded: {type(fault).__name__}: {fault}"
            return {names[0]: StoreError(text)}

    def refuse(self, error: AsyncflowError) -> None:
        """Nothing is loaded any more; what is being read is told to nobody."""
        asked = [*self._reading.values(), *self._asked.values()]
        self._reading, self._asked = {}, {}
        for waiting in asked:
            for then in waiting:
                then(error)

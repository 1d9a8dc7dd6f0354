"""Answers for tasks that a worker or a person would have to give, read from a file: a rehearsal.

The answers come in as updates, as a worker's would, and every task so answered names the file as
its worker, in the journal too. Nothing is answered that this process can perform itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

import anyio

from asyncflow.app.following import Following, TaskSeen
from asyncflow.app.service import Service
from asyncflow.errors import DefinitionError, NotFound, Refused, Violation
from asyncflow.model.inputs import UpdateTask
from asyncflow.model.statuses import COMPLETED, IN_PROGRESS, TASK_ENDED
from asyncflow.model.values import JsonObject

ANY = "*"
_BATCH = 1_000
_ITERATIONS = re.compile(r"(__\d+)+\Z")
_KEYS = frozenset({"status", "output", "reason"})
_STATUSES = TASK_ENDED - {"SKIPPED", "CANCELED", "TIMED_OUT"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ends."""

    status: str = COMPLETED
    output: JsonObject | None = None
    reason: str | None = None


class Outcomes:
    """The outcomes of a file, by reference name (with its iteration or without), task name, or `*`."""

    def __init__(self, by_name: Mapping[str, list[Outcome]]) -> None:
        """Take lists that are not empty."""
        self._by_name = by_name

    def of(self, seen: TaskSeen) -> Outcome | None:
        """The outcome of this attempt: the list's entry of its number, the last one for all after it."""
        names = (seen.ref, _ITERATIONS.sub("", seen.ref), seen.name, ANY)
        listed = next((self._by_name[name] for name in names if name in self._by_name), None)
        return None if listed is None else listed[min(seen.retry_count, len(listed) - 1)]


def parse_outcomes(document: object) -> Outcomes:
    """Outcomes from parsed JSON: an object of lists, or of single outcomes.

    Raises:
        DefinitionError: with every fault and its path.
    """
    faults: list[Violation] = []
    if not isinstance(document, Mapping):
        raise DefinitionError([Violation("", "outcomes are an object: a reference or task name, and a list")])
    found: dict[str, list[Outcome]] = {}
    for name, value in document.items():
        listed = value if isinstance(value, list) else [value]
        if not listed:
            faults.append(Violation(str(name), "has no outcome"))
        found[str(name)] = [
            _outcome(entry, f"{name}[{index}]" if isinstance(value, list) else str(name), faults)
            for index, entry in enumerate(listed)
        ]
    if faults:
        raise DefinitionError(faults)
    return Outcomes(found)


def _outcome(entry: object, path: str, faults: list[Violation]) -> Outcome:
    if not isinstance(entry, Mapping):
        faults.append(Violation(path, "must be an object of status, output and reason"))
        return Outcome()
    faults += [
        Violation(f"{path}.{key}", "unknown: status, output and reason are known")
        for key in entry.keys() - _KEYS
    ]
    status, output, reason = entry.get("status", COMPLETED), entry.get("output"), entry.get("reason")
    if not isinstance(status, str) or status not in _STATUSES:
        faults.append(Violation(f"{path}.status", f"one of {', '.join(sorted(_STATUSES))}"))
    if output is not None and not isinstance(output, dict):
        faults.append(Violation(f"{path}.output", "must be an object"))
    if reason is not None and not isinstance(reason, str):
        faults.append(Violation(f"{path}.reason", "must be text"))
    return Outcome(str(status), cast("JsonObject | None", output), cast("str | None", reason))


class Rehearsal:
    """Answers what needs someone, as the outcomes say; `seen` is to be a listener of the following.

    Attributes:
        answered: how many attempts of each task name were answered.
    """

    def __init__(self, service: Service, outcomes: Outcomes, *, worker: str) -> None:
        """Answer nothing yet; `worker` is the name under which it is recorded."""
        self._service, self._outcomes, self._worker = service, outcomes, worker
        self._todo: dict[tuple[str, int], TaskSeen] = {}
        self._wake = anyio.Event()
        self.answered: Counter[str] = Counter()

    def seen(self, seen: TaskSeen, _: TaskSeen | None) -> None:
        """Take note of a record that may have to be answered."""
        if not seen.is_over:
            self._todo[seen.execution_id, seen.number] = seen
            self._wake.set()

    async def run(self, following: Following) -> None:
        """Answer for ever; to be cancelled. Retry delays of what is answered are not waited for."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._todo:
                batch = [self._todo.pop(key) for key in list(islice(self._todo, _BATCH))]
                async with anyio.create_task_group() as group:  # so that a commit takes many answers along
                    for seen in batch:
                        outcome = self._outcomes.of(seen)
                        if outcome is not None and following.needs_someone(seen):
                            group.start_soon(self._answer, seen, outcome)

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be looked at."""
        return bool(self._todo)

    async def _answer(self, seen: TaskSeen, outcome: Outcome) -> None:
        engine = self._service.engine
        begun = UpdateTask(seen.number, IN_PROGRESS, {}, worker_id=self._worker)
        ended = UpdateTask(seen.number, outcome.status, outcome.output or {}, reason=outcome.reason)
        self.answered[seen.name] += 1
        try:
            if seen.status != IN_PROGRESS:
                await engine.submit(seen.execution_id, begun)
            await engine.submit(seen.execution_id, ended)
        except (NotFound, Refused):
            return  # it ended, or its execution did, while it was being answered

"""The runner of scripts: which language runs where, under which limits, and what comes back.

It evaluates and forgets; it must not know an execution or record anything. The languages are
in `javascript` and `jq`, the places in `threads` and `processes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Literal, NamedTuple, Self, cast

from pydantic_core import from_json, to_json

from asyncflow.errors import LimitExceeded, ScriptError
from asyncflow.model.payload_reference import STORED_MARK
from asyncflow.model.values import JsonValue
from asyncflow.runtime.scripts import child
from asyncflow.runtime.scripts.javascript import evaluate_javascript, lambda_source
from asyncflow.runtime.scripts.outcome import ERROR, MEMORY, OUTPUT, VALUE, WALL, Limits, Outcome
from asyncflow.runtime.scripts.processes import ScriptProcesses
from asyncflow.runtime.scripts.threads import ScriptThreads

Language = Literal["javascript", "lambda", "jq"]
Mode = Literal["thread", "process", "off"]

_ABANDONED_THREADS = 2


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """Where scripts run and what bounds them.

    Attributes:
        mode: `thread` runs JavaScript in threads of the engine and jq in child processes,
            `process` puts both there, `off` refuses every script.
        wall_seconds: real time a script may take, waiting for its turn not counted.
        memory_bytes: what an interpreter may allocate for one script.
        output_bytes: length of a result as JSON.
        threads: scripts that may run in threads at once.
        processes: child processes, each about 15 MB once started.
    """

    mode: Mode = "thread"
    wall_seconds: float = 4.0
    memory_bytes: int = 64 * 1024 * 1024
    output_bytes: int = 1024 * 1024
    threads: int = 4
    processes: int = 2


class ScriptRequest(NamedTuple):
    """One script with its input.

    Attributes:
        language: `javascript` (also Conductor's `graaljs`): the value of the last statement is
            the result; `lambda`: the body of a function; `jq`.
        source: the text.
        input: bound to `$`, or the input of the jq program; never changed.
    """

    language: Language
    source: str
    input: JsonValue


class ScriptStatistics(NamedTuple):
    """What the runner holds now, for operators and tests.

    Attributes:
        threads: of the pool, at work or idle.
        busy_threads: at work.
        abandoned_threads: given up since the start, because their script did not end.
        process_ids: the child processes.
        replaced_processes: children that a script ended or that were killed over one.
    """

    threads: int
    busy_threads: int
    abandoned_threads: int
    process_ids: tuple[int, ...]
    replaced_processes: int


class ScriptRunner:
    """Runs scripts under limits; an async context manager that owns its threads and processes.

    Each run has an interpreter of its own: nothing a script does is seen by another. After two
    threads had to be given up, JavaScript goes to child processes, which can be killed.
    """

    def __init__(
        self, settings: ScriptSettings, *, hydrate: Callable[[bytes], Awaitable[bytes]] | None = None
    ) -> None:
        """A runner that has started nothing yet; `hydrate` puts stored values in place of references."""
        self.settings, self._hydrate = settings, hydrate
        self._limits = Limits(settings.wall_seconds, settings.memory_bytes, settings.output_bytes)
        self._threads = ScriptThreads(settings.threads, patience_seconds=settings.wall_seconds * 1.5 + 0.5)
        self._processes = ScriptProcesses(settings.processes, self._limits)

    async def __aenter__(self) -> Self:
        """Nothing starts before the first script."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill and reap the children; threads end with the script they are at."""
        self._threads.close()
        await self._processes.aclose()

    async def run(self, request: ScriptRequest) -> JsonValue:
        """The script's result; for jq the list of all its outputs, in order.

        Raises:
            ScriptError: the script failed, in the interpreter's words, or scripts are off.
            LimitExceeded: it went over `script_wall_ms`, `script_memory_bytes` or
                `script_output_bytes`.
            PayloadUnavailable: a stored value of the input cannot be had.

        Cancellation: the script, if it has begun, ends within its limits; nothing is leaked.
        Cost: about 0.2 ms for a small JavaScript, 0.1 ms more in a child process.
        """
        if self.settings.mode == "off":
            raise ScriptError(f'{request.language} is switched off (setting scripts = "off")')
        try:
            input_text = to_json(request.input)
        except ValueError as error:
            raise ScriptError(f"the input of the script is not JSON: {error}") from error
        if self._hydrate is not None and STORED_MARK in input_text:
            input_text = await self._hydrate(input_text)
        outcome = await self._evaluate(request, input_text)
        results = self._results(outcome)
        return results if request.language == "jq" else results[0]

    def statistics(self) -> ScriptStatistics:
        """Threads and processes as they are now."""
        threads, processes = self._threads, self._processes
        return ScriptStatistics(
            threads.size, threads.busy, threads.abandoned, processes.process_ids, processes.replaced
        )

    async def _evaluate(self, request: ScriptRequest, input_text: bytes) -> Outcome:
        source = request.source
        if request.language == "jq":
            return await self._processes.run(child.JQ, source, input_text)
        if request.language == "lambda":
            source = lambda_source(source)
        if self.settings.mode == "process" or self._threads.abandoned >= _ABANDONED_THREADS:
            return await self._processes.run(child.JAVASCRIPT, source, input_text)
        return await self._threads.run(
            partial(evaluate_javascript, source, input_text.decode(), self._limits)
        )

    def _results(self, outcome: Outcome) -> list[JsonValue]:
        if outcome.kind != VALUE:
            raise self._error(outcome)
        try:
            results = from_json(outcome.text)
        except ValueError as error:  # lone surrogates, too deep, or text a script forged
            raise ScriptError(f"the result of the script is not JSON: {error}") from error
        return cast("list[JsonValue]", results)

    def _error(self, outcome: Outcome) -> ScriptError | LimitExceeded:
        kind, text = outcome
        if kind == WALL:
            return LimitExceeded("script_wall_ms", allowed=round(self._limits.wall_seconds * 1000))
        if kind == MEMORY:
            return LimitExceeded("script_memory_bytes", allowed=self._limits.memory_bytes)
        if kind == OUTPUT:
            actual = int(text) if text.isdigit() else None
            return LimitExceeded("script_output_bytes", allowed=self._limits.output_bytes, actual=actual)
        assert kind == ERROR
        return ScriptError(text)

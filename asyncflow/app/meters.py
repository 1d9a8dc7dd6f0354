"""Everything that is measured of one engine, gathered when somebody asks.

The engine keeps plain counters where it works; here they are read, added up from committed events, and
given names (`metric_families`). Nothing is scanned: a scrape costs the same with a million executions.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncflow.app.author_metrics import AuthorMetrics
from asyncflow.app.engine_metrics import EngineMetrics
from asyncflow.app.exposition import OTHER, Page
from asyncflow.app.listeners import Listeners
from asyncflow.app.metric_families import FAMILIES
from asyncflow.app.process_usage import process_usage
from asyncflow.app.tallies import Tallies
from asyncflow.app.volume_watch import VolumeWatch
from asyncflow.model.turn import Turn
from asyncflow.runtime.attempt_records import AttemptRecord, IoRecorded, MetricObserved
from asyncflow.runtime.distribution import BYTES, COUNTS, Distribution
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.store.records import StoreFacts

_LOOK_EVERY_S = 0.5
_MOST_ROUTES = 1_000


@dataclass(slots=True)
class Requests:
    """What the REST surface counts.

    Attributes:
        answered: by method, route and status.
        seconds: by method and route, of those that do not wait for news.
        at_work, held: told by the surface.
    """

    answered: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    seconds: dict[tuple[str, str], Distribution] = field(default_factory=dict)
    at_work: int = 0
    held: int = 0
    connections: int = 0
    refused: int = 0
    cut: int = 0
    streams: int = 0
    streams_cut: int = 0
    look: Callable[[Requests], None] = lambda _: None

    def add(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """A request was answered; `seconds` is None where it may have waited for news."""
        self.answered[method, route, status] += 1
        if seconds is None:
            return
        known = self.seconds.get((method, route))
        if known is None:
            if len(self.seconds) >= _MOST_ROUTES:
                return
            known = self.seconds[method, route] = Distribution()
        known.observe(seconds)


class Meters:
    """The measurements of one engine; a context manager within which they are taken.

    Attributes:
        requests: what the REST surface counts.
        tallies: what committed events add up to.
        listeners, watch: whose counts are shown, where there are any.
    """

    def __init__(self, engine: Engine, facts: StoreFacts) -> None:
        """Measure nothing yet; the engine is open."""
        self.requests = Requests()
        self.tallies = Tallies(engine.turns.states)
        self.author = AuthorMetrics()
        self.listeners: Listeners | None = None
        self.watch: VolumeWatch | None = None
        self.loop_lag = Distribution()
        self.turn_inputs, self.turn_events = Distribution(COUNTS), Distribution(COUNTS)
        self.turn_bytes, self.turn_seconds = Distribution(BYTES), Distribution()
        self._engine, self._facts = engine, facts
        self._engine_metrics = EngineMetrics(engine)
        self._loop = asyncio.get_running_loop()
        self._began_s = engine.clock.now().wall_ms / 1000
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        """Measure from here on."""
        self._engine.turns.listeners.append(self._turn)
        self._keep, self._engine.attempts.keep_record = self._engine.attempts.keep_record, self._record
        self._look_again()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._turn in self._engine.turns.listeners:
            self._engine.turns.listeners.remove(self._turn)

    # --- while it goes on ---------------------------------------------------------------------------

    def _turn(self, turn: OpenTurn, record: Turn) -> None:
        """A turn is durable."""
        self.turn_inputs.observe(turn.inputs)
        self.turn_events.observe(turn.count)
        self.turn_bytes.observe(turn.bytes)
        moment = record.moment
        self.turn_seconds.observe(max(0, self._engine.clock.now().elapsed_ms - moment.elapsed_ms) / 1000)
        add = self.tallies.add
        for entry in record.entries:
            add(entry, moment)

    def _record(self, execution_id: str, number: int, record: AttemptRecord) -> None:
        """An attempt told of data or a metric."""
        self._keep(execution_id, number, record)
        if isinstance(record, MetricObserved):
            self.author.add(record)
        elif isinstance(record, IoRecorded):
            tally = self.tallies.of_record(execution_id, number)
            if tally is not None:
                tally.io_bytes[record.direction] += record.bytes
                tally.io_rows[record.direction] += record.rows

    def _look_again(self) -> None:
        expected_s = self._loop.time() + _LOOK_EVERY_S
        self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look, expected_s)

    def _look(self, expected_s: float) -> None:
        self.loop_lag.observe(max(0.0, self._loop.time() - expected_s))
        self._look_again()

    # --- when somebody asks -------------------------------------------------------------------------

    def text(self) -> str:
        """All series in Prometheus' text format."""
        page = Page(FAMILIES)
        self._write_process(page)
        page.write_distribution("asyncflow_loop_lag_seconds", self.loop_lag)
        page.write_distribution("asyncflow_turn_seconds", self.turn_seconds)
        page.write_distribution("asyncflow_turn_inputs", self.turn_inputs)
        page.write_distribution("asyncflow_turn_events", self.turn_events)
        page.write_distribution("asyncflow_turn_bytes", self.turn_bytes)
        page.write("asyncflow_turns_total", self.turn_events.count)
        self._write_store(page)
        self._engine_metrics.write(page)
        self._write_executions(page)
        self._write_tasks(page)
        self._write_requests(page)
        if self.listeners is not None:
            self.listeners.write(page)
        if self.watch is not None:
            for workflow, count in self.watch.unusual.items():
                page.write("asyncflow_task_io_unusual_total", count, workflow)
        page.write("asyncflow_author_metrics_dropped_total", self.author.dropped)
        return page.text() + "".join(f"{line}\n" for line in self.author.lines())

    def _write_process(self, page: Page) -> None:
        page.write(
            "asyncflow_build_info", 1, _version(), platform.python_version(), self._facts.sqlite_version
        )
        used = process_usage()
        page.write("process_cpu_seconds_total", used.cpu_s)
        page.write("process_start_time_seconds", self._began_s)
        if used.resident_bytes is not None:
            page.write("process_resident_memory_bytes", used.resident_bytes)
        if used.open_files is not None:
            page.write("process_open_fds", used.open_files)

    def _write_store(self, page: Page) -> None:
        for file, suffix in (("database", ""), ("wal", "-wal")):
            try:
                size = Path(self._facts.path + suffix).stat().st_size
            except OSError:
                continue  # in memory, or there is no log yet
            page.write("asyncflow_store_bytes", size, file)

    def _write_executions(self, page: Page) -> None:
        tallies = self.tallies
        page.write("asyncflow_executions_in_flight", tallies.in_flight)
        for started, count in tallies.started.items():
            page.write("asyncflow_executions_started_total", count, *started)
        for ended, count in tallies.ended.items():
            page.write("asyncflow_executions_ended_total", count, *ended)

    def _write_tasks(self, page: Page) -> None:
        for name, tally in self.tallies.types.items():
            for status, count in tally.ended.items():
                page.write("asyncflow_tasks_ended_total", count, name, status)
            if not tally.started:
                continue  # an operator: it has no attempts
            page.write("asyncflow_attempts_started_total", tally.started, name)
            page.write("asyncflow_attempts_retried_total", tally.retried, name)
            page.write_distribution("asyncflow_attempt_seconds", tally.seconds, name)
            page.write_distribution("asyncflow_queue_wait_seconds", tally.waits, name)
            for direction, total in tally.bytes.items():
                page.write("asyncflow_task_bytes_total", total, name, direction)
            for direction, total in tally.io_bytes.items():
                page.write("asyncflow_task_io_bytes_total", total, name, direction)
            for direction, total in tally.io_rows.items():
                page.write("asyncflow_task_io_rows_total", total, name, direction)

    def _write_requests(self, page: Page) -> None:
        requests = self.requests
        requests.look(requests)
        for (method, route, status), count in requests.answered.items():
            page.write("asyncflow_http_requests_total", count, method, route, str(status))
        for (method, route), seconds in requests.seconds.items():
            page.write_distribution("asyncflow_http_request_seconds", seconds, method, route)
        page.write("asyncflow_http_at_work", requests.at_work)
        page.write("asyncflow_http_held", requests.held)
        page.write("asyncflow_http_connections", requests.connections)
        page.write("asyncflow_http_connections_refused_total", requests.refused)
        page.write("asyncflow_http_connections_cut_total", requests.cut)
        page.write("asyncflow_event_streams", requests.streams)
        page.write("asyncflow_event_streams_cut_total", requests.streams_cut)


def _version() -> str:
    try:
        return version("asyncflow")
    except PackageNotFoundError:
        return OTHER

"""Values that the parts of an engine hold anyway, read at a scrape: queues, slots, workers, lags.

Each costs what there is of resources, queues and pollers, never of executions; nothing is kept here. The
names are in `metric_families`.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import get_args

from asyncflow.app.exposition import Page
from asyncflow.model.resource_state import InstancePhase
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.hand_out_rules import queue_name

MOST_RESOURCES = 500
MOST_QUEUES = 500

_USAGE = {
    "asyncflow_resource_in_use": "in_use",
    "asyncflow_resource_limit": "limit",
    "asyncflow_resource_holders": "holders",
    "asyncflow_resource_waiting": "waiting",
}
_KEPT = {
    "call": "asyncflow_resource_calls_total",
    "failed": "asyncflow_resource_call_failures_total",
}  # by the first word of what a keeper counts; its other words are kinds of events
_CALLS = {"submit": "submits", "find": "finds", "poll": "poll_calls", "cancel": "cancels"}
_FINDINGS = ("outcome_open", "duplicates", "lost", "stuck")


class EngineMetrics:
    """Reads one engine."""

    def __init__(self, engine: Engine) -> None:
        """Read this engine, which is open."""
        self._engine = engine

    def write(self, page: Page) -> None:
        """Write everything there is."""
        self._of_turns(page)
        self._of_work(page)
        self._of_resources(page)
        self._of_jobs(page)
        self._of_queues(page)
        self._of_workers(page)
        for kind, documents in sorted(self._engine.catalog.documents.items()):
            page.write("asyncflow_documents", len(documents), kind)

    def _of_turns(self, page: Page) -> None:
        engine, turns = self._engine, self._engine.turns
        page.write("asyncflow_loop_stalls_total", engine.watchdog.stalls)
        for part, times in engine.supervisor.faults.items():
            page.write("asyncflow_faults_total", times, part)
        page.write("asyncflow_inbox_inputs", len(turns.inbox.items))
        page.write_distribution("asyncflow_commit_seconds", turns.commits.seconds)
        page.write("asyncflow_store_trouble", int(bool(turns.commits.trouble or turns.failure)))
        page.write("asyncflow_journal_turns", turns.number)
        behind = turns.number - engine.projection.turn if engine.projection.is_behind else 0
        page.write("asyncflow_views_lag_turns", behind)
        page.write("asyncflow_executions_in_memory", len(turns.states))
        page.write("asyncflow_executions_quarantined", len(turns.quarantined))

    def _of_work(self, page: Page) -> None:
        engine = self._engine
        page.write("asyncflow_attempts_under_way", engine.attempts.count)
        threads = engine.threads.statistics()
        page.write("asyncflow_thread_calls", threads.busy, "busy")
        page.write("asyncflow_thread_calls", threads.waiting, "waiting")
        page.write("asyncflow_thread_calls", threads.abandoned, "hung")
        page.write("asyncflow_thread_calls_given_up_total", threads.abandoned_total)
        page.write("asyncflow_attempts_admitted", engine.carry.waiting)
        page.write("asyncflow_tasks_without_function", len(engine.carry.admitting.unloaded))
        page.write_distribution("asyncflow_script_seconds", engine.attempts.script_seconds)

    def _of_resources(self, page: Page) -> None:
        for name, usage in islice(self._engine.admission.usage().items(), MOST_RESOURCES):
            for family, key in _USAGE.items():
                value = usage[key]
                if isinstance(value, int):
                    page.write(family, value, name)

        kept = self._engine.kept_resources
        for name, keeper in () if kept is None else islice(kept.keepers.items(), MOST_RESOURCES):
            page.write("asyncflow_resource_is_open", int(keeper.limit().is_open), name)
            phases = Counter(each.phase for each in keeper.state.instances.values())
            for phase in get_args(InstancePhase):
                if keeper.has_instances:
                    page.write("asyncflow_resource_instances", phases[phase], name, phase)
            for what, count in keeper.counts.items():
                kind, _, word = what.partition(" ")
                page.write(_KEPT.get(kind, "asyncflow_resource_events_total"), count, name, word or kind)

    def _of_jobs(self, page: Page) -> None:
        for name, phases in islice(self._engine.jobs.counts().items(), MOST_RESOURCES):
            for phase, count in phases.items():
                page.write("asyncflow_jobs", count, name, phase)
        for name, desk in islice(self._engine.jobs.desks.items(), MOST_RESOURCES):
            tally, connection = desk.tally, desk.connection
            for call in ("submit", "find", "poll", "cancel"):
                page.write("asyncflow_job_calls_total", getattr(tally, _CALLS[call]), name, call)
            for finding in _FINDINGS:
                page.write("asyncflow_job_findings_total", getattr(tally, finding), name, finding)
            page.write("asyncflow_job_polls_total", tally.polls, name)
            for by in ("throttled", "credentials", "circuit"):
                page.write("asyncflow_job_calls_held", int(connection.held_by == by), name, by)
            page.write_distribution("asyncflow_job_poll_lag_seconds", tally.poll_lag, name)

    def _of_queues(self, page: Page) -> None:
        hand_out = self._engine.carry.hand_out
        now_ms = self._engine.clock.now().elapsed_ms
        for key, queue in islice(hand_out.demand.queues.items(), MOST_QUEUES):
            name = queue_name(*key)
            page.write("asyncflow_queue_tasks", len(queue.offers), name)
            page.write("asyncflow_queue_polls", len(queue.polls), name)
            newest = max((at[0] for at in hand_out.roll.polled.get(key, {}).values()), default=None)
            if newest is not None:
                age_ms = 0 if queue.polls else max(0, now_ms - newest)
                page.write("asyncflow_queue_poll_age_seconds", age_ms / 1000, name)

    def _of_workers(self, page: Page) -> None:
        roll = self._engine.carry.hand_out.roll
        lost = sum(worker.is_lost for worker in roll.workers.values())
        page.write("asyncflow_leases", len(roll.leases))
        page.write("asyncflow_workers", len(roll.workers) - lost, "seen")
        page.write("asyncflow_workers", lost, "lost")
        page.write("asyncflow_workers_lost_total", roll.lost_count)

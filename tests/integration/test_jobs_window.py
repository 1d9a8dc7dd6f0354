"""What jobs keep of the limits of their resource over a restart: starts in the rate window, and fences."""

from __future__ import annotations

from pathlib import Path

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench

WINDOW_MS = 600_000
RATE = 2


def _workflow(**extension: object) -> JsonObject:
    body = job(asyncflow=extension) if extension else job()
    return {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [body]}


async def test_starts_of_jobs_count_in_the_rate_window_after_a_restart(tmp_path: Path) -> None:
    """Jobs that began before are over, and still nobody begins before the window has passed over them."""
    limit = ResourceLimit(0, RATE, WINDOW_MS)
    bench = ClusterBench(tmp_path / "a.db", ResourceSettings("cluster", limit))
    bench.service.duration_s = 10
    async with bench.engine() as service:
        started = [await bench.start(service, _workflow()) for _ in range(2 * RATE)]
        states = [await bench.end(service, each) for each in started[:RATE]]
    early_ms = [each.created_ms for each in bench.service.made.values()]
    async with bench.engine() as service:
        now_ms = bench.clock.now().elapsed_ms
        await bench.clock.advance((early_ms[0] + WINDOW_MS - now_ms) / 1_000 - 30)
        assert len(bench.service.made) == RATE
        (why,) = await service.why(started[-1])
        states += [await bench.end(service, each) for each in started[RATE:]]
    made_ms = sorted(each.created_ms for each in bench.service.made.values())
    assert (why["kind"], why["reason"]) == ("admission", "rate_reached")
    assert [each.status for each in states] == [COMPLETED] * 2 * RATE
    assert len(made_ms) == 2 * RATE
    granted = sorted(task.started_ms for each in states for task in each.tasks.values())
    assert all(later - first >= WINDOW_MS for first, later in zip(granted, granted[RATE:], strict=False))

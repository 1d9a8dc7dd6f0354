"""Downtimes: how far they put off a timer that counts only while an engine runs, and which do."""

from __future__ import annotations

import pytest

from asyncflow.decide.catalog import DefinitionCatalog, evolve_catalog
from asyncflow.decide.downtimes import Downtimes
from asyncflow.decide.waiting import waits_for
from asyncflow.model.effects import Timer
from asyncflow.model.events import EngineStarted
from tests.decide.definitions import Json, task, workflow, world


def put_off(due_ms: int, since_ms: int, *down: tuple[int, int]) -> int:
    downtimes = Downtimes()
    for from_ms, to_ms in down:
        downtimes.add(from_ms, to_ms)
    return downtimes.due_ms(Timer(1, "timeout", due_ms, since_ms=since_ms))


@pytest.mark.parametrize(
    ("down", "expected"),
    [
        ((), 160),
        (((10, 50),), 160),  # before it began
        (((10, 100),), 160),
        (((80, 110),), 170),  # only what lies behind its beginning
        (((130, 1130),), 1160),
        (((160, 1160),), 160),  # it was due before
        (((170, 1170),), 160),
        (((120, 220), (250, 300)), 310),
        (((120, 220), (220, 320)), 360),
        (((150, 250), (259, 359), (361, 461)), 461 - 101),  # the first two, and due before the third
        (((150, 250), (255, 355), (359, 459)), 460),  # the third is reached only because of the others
    ],
)
def test_downtime_within_a_timeout_puts_it_off(down: tuple[tuple[int, int], ...], expected: int) -> None:
    assert put_off(160, 100, *down) == expected


def test_downtime_puts_off_nothing_that_does_not_say_since_when() -> None:
    assert put_off(160, 0, (100, 150)) == 160


def test_downtimes_are_kept_for_the_last_thousand_restarts() -> None:
    downtimes = Downtimes()
    for start in range(1, 1_502):
        downtimes.add(start * 10, start * 10 + 1)

    assert len(downtimes) == 1_000
    assert downtimes.due_ms(Timer(1, "poll", 100_000, since_ms=1)) == 101_000


def test_catalog_knows_the_downtimes_recorded() -> None:
    catalog = DefinitionCatalog()
    evolve_catalog(catalog, EngineStarted(120, 220), {})

    assert (catalog.seq, len(catalog.downtimes)) == (1, 1)
    assert catalog.downtimes.due_ms(Timer(1, "response", 160, since_ms=100)) == 260


EVERY: Json = {
    "timeoutSeconds": 50,
    "responseTimeoutSeconds": 20,
    "pollTimeoutSeconds": 30,
    "totalTimeoutSeconds": 90,
}


def test_timers_say_since_when_where_downtime_does_not_count() -> None:
    made = world()
    made.register_task(name="a", **EVERY)
    state = made.start(workflow(task("a"), timeoutSeconds=100))
    at_start = [effect for effects in state.wanted.values() for effect in effects]
    made.begin(state, "a")
    begun = [effect for effects in state.wanted.values() for effect in effects]

    since = {effect.kind: effect.since_ms for effect in at_start + begun if isinstance(effect, Timer)}
    now = made.now_ms
    assert since == {"workflow": 0, "total": 0, "poll": now, "timeout": now, "response": now}


def test_why_shows_a_timeout_where_downtime_has_put_it() -> None:
    made = world()
    made.register_task(name="a", **EVERY)
    state = made.start(workflow(task("a")))
    made.begin(state, "a")
    now = made.now_ms
    downtimes = Downtimes()
    downtimes.add(now + 5_000, now + 1_005_000)

    (entry,) = waits_for(state, downtimes)
    assert entry["timeouts"] == [
        {"kind": "timeout", "atMs": now + 1_050_000},
        {"kind": "total", "atMs": now + 90_000},
        {"kind": "response", "atMs": now + 1_020_000},
    ]

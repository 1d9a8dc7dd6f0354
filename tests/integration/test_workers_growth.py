"""What a hostile or misconfigured worker can make grow is bounded; what tasks wait for is never forgotten."""

from __future__ import annotations

from pathlib import Path

from asyncflow.app.worker_queues import MOST_POLL_DATA
from asyncflow.app.workers import TaskResult
from asyncflow.model.values import JsonObject
from asyncflow.runtime.demand import MOST_QUEUES
from asyncflow.runtime.recent import Recent
from asyncflow.runtime.worker_roll import MOST_POLLERS, MOST_WORKERS, Roll
from tests.integration.worker_support import Shop, shop

MANY = MOST_QUEUES + 500


async def poll_for_many(made: Shop, *, worker: str = "hostile") -> None:
    """More names than are kept, each asked for once."""
    for number in range(MANY):
        assert await made.poll(worker, name=f"t{number}", timeout_ms=0) == []


async def test_queues_that_are_only_polled_are_bounded(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        hand_out = made.engine.carry.hand_out
        await poll_for_many(made)

        assert len(hand_out.demand.queues) == len(hand_out.demand.places) == MOST_QUEUES
        assert len(hand_out.roll.polled) == MOST_QUEUES
        assert ("t0", "") not in hand_out.demand.queues
        assert (f"t{MANY - 1}", "") in hand_out.demand.queues
        assert not made.workers.poll_data("t0")
        assert made.engine.admission.demand("worker:t0:") == 0
        assert len(made.engine.admission._ledger.resources) < MANY / 10


async def test_queues_with_tasks_outlive_those_that_are_only_polled(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        queues = made.engine.carry.hand_out.demand.queues
        (waits,) = await made.start_many(1, "waits")
        (taken,) = await made.start_many(1, "taken")
        (task,) = await made.poll("w1", name="taken")
        await made.start_many(1, "later")
        (back,) = await made.poll("w1", name="later")
        await made.complete(back, "IN_PROGRESS", callback_after_s=3_600)
        await poll_for_many(made)

        assert ("waits", "") in queues
        assert len(queues["later", ""].offers) == 1  # it is held back: admission has nothing of it
        assert queues["taken", ""].seats["w1"].load == 1
        await made.complete(task)
        (other,) = await made.poll("w1", name="waits")
        await made.complete(other)
        assert {await made.status(each) for each in (waits, taken)} == {"COMPLETED"}


async def test_queue_that_was_forgotten_serves_again(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.poll("w1", 2, timeout_ms=0)
        await poll_for_many(made)
        assert ("far", "") not in made.engine.carry.hand_out.demand.queues

        (execution,) = await made.start_many(1)
        (task,) = await made.poll("w1")
        await made.complete(task)
        assert await made.status(execution) == "COMPLETED"


async def test_workers_that_only_update_are_bounded(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        roll = made.engine.carry.hand_out.roll
        await made.start_many(1)
        (task,) = await made.poll("w1")
        for number in range(MOST_WORKERS + 500):
            await made.workers.update(extension_of(task, f"u{number}"))

        assert len(roll.workers) == MOST_WORKERS
        assert roll.workers["w1"].leases
        assert "u0" not in roll.workers


def extension_of(task: JsonObject, worker: str) -> TaskResult:
    """A sign of life for a task, from whoever says so."""
    return TaskResult(
        str(task["workflowInstanceId"]), str(task["taskId"]), worker_id=worker, extend_lease=True
    )


async def test_seats_of_workers_that_polled_once_are_given_up_in_a_queue_that_is_held(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        queue = made.engine.carry.hand_out.demand.queue("far", "")
        for number in range(3_000):
            poll = made.engine.carry.hand_out.polls._enter(queue, f"w{number}", count=1, version="")
            poll.at_ms = number
            queue.enter(poll)
            queue.leave(poll, number)

        assert len(queue.seats) == len(queue.away) < 1_500


def test_polls_that_are_remembered_are_bounded_over_all_queues() -> None:
    roll = Roll()
    for number in range(MOST_POLLERS + 500):
        worker = f"w{number % 1_000}"
        roll.see(worker, number, number)
        roll.note_poll((f"t{number // 1_000}", ""), worker)

    assert sum(len(each) for each in roll.polled.values()) == MOST_POLLERS
    assert "w0" not in roll.polled["t0", ""]
    newest = roll.newest_polls(most=2)
    assert newest == [(("t100", ""), "w499"), (("t100", ""), "w498")]
    assert roll.newest_polls("t0", most=1) == [(("t0", ""), "w999")]


def test_poll_data_keeps_nobody_that_is_only_asked_about() -> None:
    roll = Roll()
    assert not roll.known("nobody").in_flight
    assert not roll.workers


async def test_poll_data_shows_only_the_newest_of_too_many(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        roll = made.engine.carry.hand_out.roll
        for number in range(MOST_POLL_DATA + 500):
            roll.see(f"w{number % 900}", number, number)
            roll.note_poll((f"t{number // 900}", ""), f"w{number % 900}")
        shown = made.workers.poll_data()

    assert len(shown) == MOST_POLL_DATA
    assert min(int(str(each["lastPollTime"])) for each in shown) == 500


def test_names_that_are_needed_stay_however_many_and_go_when_they_are_not() -> None:
    names: Recent[int] = Recent(10)
    dropped: list[int] = []
    for name in range(30):
        names.touch(name)
        dropped += names.outdated(lambda name: name < 20)
    assert sorted(names.newest()) == [*range(20), *sorted(set(range(20, 30)) - set(dropped))]
    assert set(dropped) <= set(range(20, 30))

    for name in range(30, 40):
        names.touch(name)
        dropped += names.outdated()
    assert sorted(names.newest()) == [*range(30, 40)]

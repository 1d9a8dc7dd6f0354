"""A chain of engine processes on one file, each killed, until one may end; run as a program.

It imports everything once and forks for each process, so that a kill costs tens of milliseconds.
Arguments: database, log, how many kills, how many executions, seed. Ends with 0 once every
execution that was acknowledged has ended and its output is logged.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvloop
from pydantic_core import to_json

import asyncflow as af
from asyncflow.model.events import TaskEnded
from asyncflow.runtime import points
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.open_turn import OpenTurn
from tests.crash import mixed_workflows as mixed

PATIENCE_S = 60
SETTINGS = EngineSettings(keep_ended=4, turn_log_bytes=24_000)


def die_at(point: str, count: int) -> None:
    """Kill this process the so-manieth time it comes to the point."""
    left = [count]

    def hook(reached: str) -> None:
        if reached == point:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    points.install(hook)


def log_ends(engine: af.Engine) -> None:
    """Log every task that ended successfully once that is durable, before anybody learns of it."""
    turns = engine.service.engine.turns
    told = turns.committed

    def committed(turn: OpenTurn) -> None:
        for entry in turn.entries.values():
            for event in entry.events:
                if isinstance(event, TaskEnded) and event.status == "COMPLETED":
                    mixed.write("end", entry.stream, event.number)
        told(turn)

    turns.committed = committed


def read_acknowledged(log: Path) -> dict[str, str]:
    """The executions whose start was acknowledged in an earlier life, by index."""
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    return {words[1]: words[2] for words in lines if words[0] == "ack"}


async def live(database: str, log: Path, wanted: int) -> None:
    """Start what is not acknowledged yet, and wait for the ends of all that is."""
    mixed.log_to(log)
    async with af.Engine(database, tasks=mixed.FUNCTIONS, durability="normal", settings=SETTINGS) as engine:
        log_ends(engine)
        acknowledged = read_acknowledged(log)
        for definition in mixed.WORKFLOWS:
            await engine.register(definition)

        async def one(index: int) -> None:
            kind = mixed.KINDS[index % len(mixed.KINDS)]
            identity = acknowledged.get(str(index))
            if identity is None:
                execution = await engine.start(kind, {"n": index})
                mixed.write("ack", index, execution.id)
            else:
                execution = engine.execution(identity)
            output = await execution.result()
            mixed.write("output", index, to_json(output).decode().replace(" ", ""))

        async with asyncio.TaskGroup() as group:
            for index in range(wanted):
                group.create_task(one(index))


def in_child(work: Callable[[], None]) -> int:
    """Run this in a process of its own and give its id."""
    process = os.fork()
    if process:
        return process
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        raise
    finally:
        os._exit(0 if sys.exc_info()[0] is None else 1)


def one_life(database: str, log: Path, wanted: int, *, at: tuple[str, int] | None, loop: str) -> None:
    """An engine from its start to its end, or to the point at which it dies."""
    signal.alarm(PATIENCE_S)
    if at is not None:
        die_at(*at)
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(live(database, log, wanted))


def plan(dice: random.Random, kills: int, seed: int) -> Iterator[tuple[str, int] | None]:
    """Where each process dies: seed 0 goes through all points, others draw; None is at random."""
    if seed == 0:
        yield from ((point, count) for count in (1, 2, 3) for point in points.POINTS)
    while True:
        yield (dice.choice(points.POINTS), dice.randint(1, 4)) if dice.random() < 0.5 else None


def chain(database: str, log: Path, *, kills: int, wanted: int, seed: int) -> int:
    """Kill so many processes, at random moments or at named points; then let one end."""
    dice = random.Random(seed)
    log.touch()
    killed = started = 0
    for at in plan(dice, kills, seed):
        if killed >= kills:
            break
        started = min(wanted, started + 1 + wanted // kills)
        loop = dice.choice(("uvloop", "asyncio"))
        process = in_child(partial(one_life, database, log, started, at=at, loop=loop))
        if at is None:
            signal.sigtimedwait([], dice.uniform(0.02, 0.1))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            killed += 1
            note(log, "killed", "at_random" if at is None else at[0])
        elif status:
            return 1
    last = in_child(partial(one_life, database, log, wanted, at=None, loop="uvloop"))
    return 1 if os.waitpid(last, 0)[1] else 0


def note(log: Path, *words: object) -> None:
    with log.open("a") as file:
        file.write(" ".join(str(word) for word in words) + "\n")


if __name__ == "__main__":
    base, log_name, kills_text, wanted_text, seed_text = sys.argv[1:]
    sys.exit(chain(base, Path(log_name), kills=int(kills_text), wanted=int(wanted_text), seed=int(seed_text)))

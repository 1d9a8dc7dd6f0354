"""Engines killed between all steps of handing in, finding, watching and cancelling a job; run as a program.

    python -m tests.crash.kill_jobs --kills 600

Each chain is one service process and engine processes one after the other on one file, each killed, the
last one not. A process is forked from this one, so that a kill costs tens of milliseconds. What is
promised of what is left is in `job_audit`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvloop

from asyncflow.runtime.points import (
    AFTER_CANCEL,
    AFTER_COMMIT,
    AFTER_DECIDE,
    AFTER_POLL,
    AFTER_RELEASE,
    AFTER_SEND,
    BEFORE_CANCEL,
    BEFORE_COMMIT,
    BEFORE_SEND,
)
from tests.crash.engine_chain import die_at, in_child, note
from tests.crash.job_audit import Audited, audit
from tests.crash.job_life import KINDS, Chain, live
from tests.crash.job_managers import (
    CANCEL_MOMENTS,
    FIND_MOMENTS,
    POLL_MOMENTS,
    SUBMIT_MOMENTS,
    TIERS,
)
from tests.crash.quick_clock import real_ms

TURN_POINTS = (AFTER_DECIDE, BEFORE_COMMIT, AFTER_COMMIT, AFTER_RELEASE)
MOMENTS = (
    *(AFTER_DECIDE, BEFORE_COMMIT, AFTER_COMMIT, BEFORE_SEND, *SUBMIT_MOMENTS, AFTER_SEND, AFTER_RELEASE),
    *(*POLL_MOMENTS, AFTER_POLL),
    *(BEFORE_CANCEL, *CANCEL_MOMENTS, AFTER_CANCEL),
)
"""The steps of the protocol, in order; where a service can be searched, there are `FIND_MOMENTS`, too."""

PATIENCE_S = 60
TRIES = 3
CHILD_GRACE_S = 30.0  # a process that does not come to its point by then is killed where it is

Death = tuple[str, int] | float
"""Where a process dies: the so-manieth time it comes to a moment, or after so many seconds."""


def moments_of(tier: str) -> tuple[str, ...]:
    """Every step between which a process can be killed, with a service of this tier."""
    return (*MOMENTS, *FIND_MOMENTS) if tier == "tag" else MOMENTS


def deaths(tier: str, dice: random.Random, rounds: int) -> Iterator[Death]:
    """All moments so many times over, each time later; from then on at random."""
    for count in range(1, rounds + 1):
        for moment in moments_of(tier):
            yield moment, count * count if moment in TURN_POINTS else count
    while True:
        if dice.random() < 0.5:
            yield dice.choice(moments_of(tier)), dice.randint(1, 5)
        else:
            yield dice.uniform(0.02, 0.9 if dice.random() < 0.3 else 0.2)


def one_life(chain: Chain, upto: int, death: Death | None, loop: str) -> None:
    """An engine from its start to its end, or to the moment at which it dies."""
    signal.alarm(PATIENCE_S)
    if isinstance(death, tuple):
        die_at(*death)
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(live(chain, upto))


def kill_one(chain: Chain, upto: int, death: Death, loop: str) -> str:
    """One process and its end; the moment it was killed at, "" if it ended by itself.

    Raises:
        RuntimeError: it broke.
    """
    process = in_child(partial(one_life, chain, upto, death, loop))
    waits_s = death if isinstance(death, float) else CHILD_GRACE_S
    watch = os.pidfd_open(process)
    try:
        is_late = not _ends_within(watch, waits_s)
    finally:
        os.close(watch)
    if is_late:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "at_random" if is_late or isinstance(death, float) else death[0]
    if status:
        raise RuntimeError(f"a process of {chain.folder} broke with {status}")
    return ""


def _ends_within(watch: int, seconds: float) -> bool:
    return bool(select.select([watch], [], [], seconds)[0])


@contextmanager
def service(folder: Path) -> Iterator[tuple[int, int]]:
    """A service process: its port, and when its clock began."""
    began_ms = real_ms()
    command = [sys.executable, "-m", "tests.crash.job_service", str(folder / "truth"), str(began_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), began_ms
        finally:
            process.terminate()


def run_chain(folder: Path, tier: str, *, kills: int, executions: int, seed: int, rounds: int) -> Audited:
    """Kill so many processes, let one end, and look at what is left."""
    dice = random.Random(seed)
    with service(folder) as (port, began_ms):
        chain = Chain(folder, tier, port, began_ms, executions)
        chain.log.touch()
        killed: Counter[str] = Counter()
        upto = 0
        for death in deaths(tier, dice, rounds):
            if killed.total() >= kills:
                break
            upto = min(executions, max(upto + 1, executions * killed.total() // kills))
            for _ in range(TRIES):
                where = kill_one(chain, upto, death, dice.choice(("uvloop", "asyncio")))
                if where:
                    killed[where] += 1
                    note(chain.log, "killed", where)
                    break
                executions, upto = executions + 1, upto + len(KINDS)  # it had nothing left to do there
        chain = Chain(folder, tier, port, began_ms, max(executions, upto))
        last = in_child(partial(one_life, chain, chain.executions, None, "uvloop"))
        if os.waitpid(last, 0)[1]:
            raise RuntimeError(f"the last process of {folder} broke")
    return asyncio.run(audit(chain, killed))


def read_arguments() -> argparse.Namespace:
    """What the command was told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-chain", type=int, default=50)
    parser.add_argument("--tier", choices=[*TIERS], action="append", help="all, where none is named")
    parser.add_argument("--rounds", type=int, default=2, help="how often a tier goes through all its steps")
    parser.add_argument("--json", type=Path, help="a file for what was found, a line per chain")
    return parser.parse_args()


def main() -> int:
    """Run chains of all tiers until so many processes were killed; 1 if any promise was broken."""
    given = read_arguments()
    tiers = given.tier or [*TIERS]
    audited: list[Audited] = []
    for number in range(-(-given.kills // given.per_chain)):
        size, rounds = given.per_chain, given.rounds if number < len(tiers) else 0
        seed, tier = given.seed + number, tiers[number % len(tiers)]
        with tempfile.TemporaryDirectory() as folder:
            found = run_chain(Path(folder), tier, kills=size, executions=size, seed=seed, rounds=rounds)
        sys.stdout.write(f"chain {number} seed {seed} {found.line()}\n")
        sys.stdout.flush()
        audited.append(found)
    if given.json:
        given.json.write_text("".join(json.dumps(vars(found)) + "\n" for found in audited))
    summarise(audited)
    return 1 if any(found.broken for found in audited) else 0


def summarise(audited: list[Audited]) -> None:
    """Where processes were killed, and what was broken."""
    hit: Counter[tuple[str, str]] = Counter()
    for found in audited:
        for where, count in found.killed.items():
            hit[found.tier, where] += count
    lines = [f"  {tier:6} {where:18} {count}" for (tier, where), count in sorted(hit.items())]
    broken = [wrong for found in audited for wrong in found.broken]
    lines += [f"{hit.total()} kills, {len(broken)} broken promises", *broken]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""Engines killed over and over while they work, and an audit of what is left; run as a program.

    python -m tests.crash.kill_loop --kills 2000 --load all

A chain is engine processes one after the other on one file, each killed with SIGKILL, the last one not; its
jobs go to a service in a process of its own that writes down what it truly did. Where each process dies
follows from the seed; what else happens at that moment does not. What is promised of what is left is asked
by `auditor`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import uvloop

from asyncflow.runtime.clock import stopwatch_s
from asyncflow.runtime.points import AFTER_COMMIT, START_POINTS
from tests.crash.auditor import FAULTS, Audited, Outcome, audit, outcomes_of
from tests.crash.job_managers import FIND_MOMENTS, SENT
from tests.crash.killing import AT_RANDOM, Death, die_at, ended_well, in_child, kill
from tests.crash.life import Chain, live
from tests.crash.loads import LOADS, TURN_POINTS, Load
from tests.crash.quick_clock import real_ms
from tests.crash.shared_log import lines_of
from tests.crash.warming import warm_up

PATIENCE_S = 60
TRIES = 4
MOST_ROUNDS = 3
TIMES = (1, 2, 5)
"""The so-manieth times at which a process dies at each moment, before it is left to chance."""

GROUPS = {
    "all": [*LOADS],
    "jobs": [name for name in LOADS if name.startswith("jobs-")],
    **{name: [name] for name in LOADS},
}


class Plan(NamedTuple):
    """A chain to be run.

    Attributes:
        times: at which times a process dies at each moment, first of all.
    """

    load: str
    seed: int
    kills: int
    times: Sequence[int] = TIMES

    def arguments(self) -> list[str]:
        """What this command is to be told to run this chain alone."""
        told = {"load": self.load, "seed": self.seed, "kills": self.kills, "per-chain": self.kills}
        named = [word for name, value in told.items() for word in (f"--{name}", str(value))]
        return [*named, "--times", *(str(each) for each in self.times)]


def deaths(load: Load, plan: Plan, dice: random.Random) -> Iterator[Death]:
    """Every moment so often; from then on by chance, often at a commit or shortly behind it."""
    for nth in plan.times:
        for moment in load.moments:
            if moment in FIND_MOMENTS:
                yield Death(SENT)  # leaves a job that has to be looked for
            yield Death(moment, _times(moment, nth))
    while True:
        drawn = dice.random()
        if drawn < 0.4:
            yield Death(dice.choice(load.moments), dice.randint(1, 5))
        elif drawn < 0.7:
            yield Death(AFTER_COMMIT, dice.randint(1, 25), dice.choice((0.0, dice.uniform(0.0, 0.004))))
        else:
            yield Death(delay_s=dice.uniform(0.02, 0.9 if dice.random() < 0.3 else 0.2))


def _times(moment: str, nth: int) -> int:
    """How often a life is to come there first: some moments come often, some once, some seldom."""
    if moment in TURN_POINTS:
        return nth * nth
    return min(nth, 1 if moment in START_POINTS else 2 if moment in FIND_MOMENTS else nth)


def one_life(chain: Chain, upto: int, death: Death | None, loop: str) -> None:
    """An engine from its start to its end, or to the moment at which it dies."""
    if death is not None:
        signal.alarm(PATIENCE_S)
        die_at(death)
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(live(chain, upto, None if death else PATIENCE_S))


@contextmanager
def service(folder: Path, load: Load) -> Iterator[tuple[int, int]]:
    """A service process, if the load needs one: its port, and when its clock began."""
    began_ms = real_ms()
    if not load.tiers:
        yield 0, began_ms
        return
    command = [sys.executable, "-m", "tests.crash.job_service", str(folder / "truth"), str(began_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), began_ms
        finally:
            process.terminate()


def run_chain(folder: Path, plan: Plan) -> Audited:
    """Kill so many processes, let one end, and compare what is left with a chain of which none was killed."""
    load, found = LOADS[plan.load], Audited(plan.load, plan.seed)
    began_s = stopwatch_s()
    with service(folder, load) as (port, began_ms):
        chain = Chain(folder, plan.load, port, began_ms, plan.kills * load.at_a_kill)
        chain.log.touch()
        chain = _kill_all(chain, plan, found.killed)
        _let_end(chain)
    found.seconds = stopwatch_s() - began_s
    expected = undisturbed(folder / "undisturbed", chain)
    return asyncio.run(audit(chain, expected, found))


def _kill_all(chain: Chain, plan: Plan, killed: Counter[str]) -> Chain:
    """The chain as it is then: whoever had nothing left to do at its moment was given more."""
    dice, load = random.Random(plan.seed), chain.of
    upto = 0
    for death in deaths(load, plan, dice):
        if killed.total() >= plan.kills:
            break
        upto = max(upto + 1, chain.executions * killed.total() // plan.kills)
        for _ in range(TRIES):
            loop = dice.choice(("uvloop", "asyncio"))
            process = in_child(partial(one_life, chain, upto, death, loop), chain.errors)
            if kill(process, death):
                killed[death.name] += 1
                break
            upto += len(load.kinds) * min(death.count, MOST_ROUNDS)
        chain = replace(chain, executions=max(chain.executions, upto))
    return chain


def _let_end(chain: Chain) -> None:
    process = in_child(partial(one_life, chain, chain.executions, None, "uvloop"), chain.errors)
    if not ended_well(process):
        raise RuntimeError(f"the last process broke: {chain.errors.read_text()[-4_000:]}")


def undisturbed(folder: Path, killed: Chain) -> dict[int, Outcome]:
    """What the same executions come to when nobody is killed."""
    folder.mkdir()
    with service(folder, killed.of) as (port, began_ms):
        chain = Chain(folder, killed.load, port, began_ms, killed.executions)
        chain.log.touch()
        _let_end(chain)
        if lines_of(chain.log, "stuck"):
            raise RuntimeError(f"stuck without a kill: {lines_of(chain.log, 'stuck')}")
    return asyncio.run(outcomes_of(chain))


def plans(loads: Sequence[str], *, kills: int, per_chain: int, seed: int, times: Sequence[int]) -> list[Plan]:
    """So many kills in chains of the loads in turn; the first chain of each goes through its moments."""
    found = []
    for number in range(-(-kills // per_chain)):
        size = min(per_chain, kills - number * per_chain)
        load = loads[number % len(loads)]
        found.append(Plan(load, seed + number, size, times if number < len(loads) else ()))
    return found


def read_arguments() -> argparse.Namespace:
    """What the command was told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--load", choices=[*GROUPS], default="all")
    parser.add_argument("--per-chain", type=int, default=50)
    parser.add_argument(
        "--times", type=int, nargs="*", default=[*TIMES], help="at which times each moment is died at"
    )
    parser.add_argument("--json", type=Path, help="a file for what was found, a line per chain")
    return parser.parse_args()


def main() -> int:
    """Run chains until so many processes were killed; 1 if any promise was broken."""
    given = read_arguments()
    warm_up()
    audited: list[Audited] = []
    chosen = plans(
        GROUPS[given.load], kills=given.kills, per_chain=given.per_chain, seed=given.seed, times=given.times
    )
    for plan in chosen:
        with tempfile.TemporaryDirectory() as folder:
            found = run_chain(Path(folder), plan)
        sys.stdout.write(f"{found.line()}\n")
        if found.broken:
            again = " ".join(plan.arguments())
            sys.stdout.write(f"again: python -m tests.crash.kill_loop {again}\n")
            sys.stdout.write("".join(f"  {each}\n" for each in found.broken))
        sys.stdout.flush()
        audited.append(found)
    if given.json:
        given.json.write_text("".join(json.dumps(vars(found)) + "\n" for found in audited))
    summarise(audited)
    return 1 if any(found.broken for found in audited) else 0


def summarise(audited: Sequence[Audited]) -> None:
    """Per load: kills, where, how many a minute, and what was broken."""
    lines = [f"{'load':12} kills /min  executions  jobs  {' / '.join(FAULTS)}"]
    for load in dict.fromkeys(found.load for found in audited):
        those = [found for found in audited if found.load == load]
        killed = sum((found.killed for found in those), Counter[str]())
        faults = sum((found.faults() for found in those), Counter[str]())
        seconds = sum(found.seconds for found in those)
        counts = [sum(found.counts[name] for found in those) for name in ("executions", "jobs")]
        verdict = " / ".join(str(faults[kind]) for kind in FAULTS)
        rate = killed.total() / seconds * 60
        lines.append(f"{load:12} {killed.total():5} {rate:4.0f} {counts[0]:11} {counts[1]:5}  {verdict}")
        lines.append("  " + ", ".join(f"{where} {count}" for where, count in sorted(killed.items())))
    by_chance = sum(found.killed[AT_RANDOM] for found in audited)
    total = sum(found.killed.total() for found in audited)
    broken = sum(len(found.broken) for found in audited)
    lines.append(f"{total} kills, {by_chance} of them at random, {broken} broken promises")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

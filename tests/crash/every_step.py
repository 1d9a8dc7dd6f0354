"""A small scenario killed at every step there is, each time on a file of its own; run as a program.

    python -m tests.crash.every_step [NAME …]

Time is virtual, so a scenario takes the same steps each time: it is run again and again, killed one step
later, until it comes to its end alive; after each kill another process takes up what is left. Prints as JSON,
a line a scenario, how often it was killed and every different outcome. The scenarios are in `scenarios`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

from asyncflow.model.values import JsonObject
from tests.crash.killing import Death, die_at, in_child
from tests.crash.scenarios import SCENARIOS, Place, Scenario
from tests.crash.warming import warm_up

PATIENCE_S = 60


def first_life(scenario: Scenario, place: Place, death: Death) -> None:
    """The scenario from its begin, to the step at which it dies or to its end."""
    signal.alarm(PATIENCE_S)
    asyncio.run(scenario.begin(place, partial(die_at, death)))


def second_life(scenario: Scenario, place: Place) -> None:
    """What is left, to its end; and what came of it all."""
    signal.alarm(PATIENCE_S)
    outcome = asyncio.run(scenario.finish(place))
    place.outcome.write_text(json.dumps(outcome, sort_keys=True), encoding="utf-8")


def run_once(scenario: Scenario, folder: Path, death: Death) -> tuple[bool, JsonObject]:
    """Whether it was killed, and what came of it."""
    place = Place(folder)
    _, status = os.waitpid(in_child(partial(first_life, scenario, place, death)), 0)
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not was_killed and status:
        raise RuntimeError(f"the first process broke at {death}: {status}")
    if os.waitpid(in_child(partial(second_life, scenario, place)), 0)[1]:
        raise RuntimeError(f"the second process broke after {death}")
    outcome: JsonObject = json.loads(place.outcome.read_text(encoding="utf-8"))
    return was_killed, outcome


def run_all(scenario: Scenario, folder: Path) -> JsonObject:
    """Kill it at every step."""
    kills = 0
    prepared = folder / "prepared"
    prepared.mkdir()
    os.waitpid(in_child(lambda: asyncio.run(scenario.prepare(Place(prepared)))), 0)
    outcomes: dict[str, JsonObject] = {}
    for step in scenario.steps:
        nth, was_killed = 0, True
        while was_killed and not 0 < scenario.most <= nth:
            nth += 1
            one = Path(shutil.copytree(prepared, folder / f"{step}-{nth}"))
            was_killed, outcome = run_once(scenario, one, Death(step, nth))
            kills += was_killed
            outcomes.setdefault(json.dumps(outcome, sort_keys=True), {"first": f"{step} {nth}", **outcome})
    return {"kills": kills, "outcomes": [*outcomes.values()]}


def main() -> None:
    """Kill the scenarios named, or all; 1 if one has more than one outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(SCENARIOS)}; all, where none is named")
    names = parser.parse_args().name or [*SCENARIOS]
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    warm_up()
    several = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found = {"scenario": name, **run_all(SCENARIOS[name], Path(folder))}
        several += len(found["outcomes"]) > 1
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()
    sys.exit(1 if several else 0)


if __name__ == "__main__":
    main()

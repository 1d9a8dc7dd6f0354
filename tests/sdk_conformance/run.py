"""Install the SDKs, run every scenario with each of them, and print what came of it.

python -m tests.sdk_conformance.run [--out table|json] [--only TEXT]

Ends with 1 if a scenario failed or an answer was a fault of the server. It installs from the package
index into `$ASYNCFLOW_SDKS`, by default a folder for temporary files; the tests use what is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.sdk_conformance.environments import Environment, is_made, make, present, wanted
from tests.sdk_conformance.running import FAILED, SCENARIOS, Result, Scenario, run, scenarios

_AT_ONCE = 3


async def results(environments: Sequence[Environment], only: str) -> dict[tuple[str, str], Result]:
    """By SDK and scenario; a few at once, each on a server of its own."""
    free = asyncio.Semaphore(_AT_ONCE)
    found: dict[tuple[str, str], Result] = {}

    async def one(environment: Environment, scenario: Scenario) -> None:
        async with free:
            with tempfile.TemporaryDirectory(prefix="asyncflow-sdk-") as folder:
                result = await run(environment, scenario, Path(folder))
        found[environment.name, scenario.name] = result
        print(f"{environment.name:16} {scenario.name:24} {told(result)}", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for environment in environments:
            for scenario in scenarios(environment):
                if only in f"{environment.name} {scenario.name}":
                    group.create_task(one(environment, scenario))
    return found


def told(result: Result) -> str:
    """A cell of the table: the outcome, and faults if there were any."""
    return f"{result.outcome}, {len(result.faults)} × 5xx" if result.faults else result.outcome


def table(found: dict[tuple[str, str], Result]) -> str:
    """Scenarios down, SDKs across."""
    names = list(dict.fromkeys(name for name, _ in sorted(found)))
    rows = [["", *names]]
    for scenario in SCENARIOS:
        cells = [found.get((name, scenario.name)) for name in names]
        rows.append([scenario.name, *(told(cell) if cell else "-" for cell in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def records(found: dict[tuple[str, str], Result]) -> list[dict[str, object]]:
    """The same as data, with the requests of each run counted."""
    return [
        {
            "sdk": name,
            "scenario": scenario,
            "outcome": result.outcome,
            "requests": len(result.exchanges),
            "faults": [each[:3] for each in result.faults],
        }
        for (name, scenario), result in sorted(found.items())
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", choices=("table", "json"), default="table")
    parser.add_argument("--only", default="", metavar="TEXT", help="what has this in SDK and scenario")
    given = parser.parse_args(arguments)
    for environment in wanted():
        if not is_made(environment):
            print(f"installing {environment.name}", file=sys.stderr, flush=True)
            make(environment)
    found = asyncio.run(results(present(), given.only))
    print(table(found) if given.out == "table" else json.dumps(records(found), indent=1))
    wrong = [key for key, result in sorted(found.items()) if result.outcome == FAILED or result.faults]
    for key in wrong:
        print("\n==", *key, "\n", found[key].said[-4000:], *found[key].faults[:5], sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

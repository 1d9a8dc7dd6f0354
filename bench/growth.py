"""Cost against size: how what the engine does grows with what there is, from a thousand to a million.

`python -m bench.growth [DIMENSION …] [--most N]` takes each size in fresh processes, one for CPU time and
memory and one for counts, and prints the cost of a unit at each size with the exponents of the curves.
Work that is the same at each size ("beside", or of one object) should have the exponent 0, work on all
there is 1. The dimensions are functions in `growth_executions.py` and `growth_catalogue.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from asyncflow.app.process import tune_process
from bench import growth_catalogue as catalogue
from bench import growth_executions as executions
from bench.floors import on_uvloop
from bench.growth_meter import Cost, Meter

HERE = Path(__file__).resolve().parent
Shape = Callable[[Meter, Path, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something there can be much of.

    Attributes:
        shape: the work at one size.
        most: the largest size that makes sense: a limit of the product, or nobody has more.
        most_counted: the largest size at which lines are counted, which takes ten times as long.
    """

    shape: Shape
    most: int = 1_000_000
    most_counted: int = 10_000


DIMENSIONS: Mapping[str, Dimension] = {
    "fork": Dimension(executions.fork),
    "loop": Dimension(executions.loop),
    "asking-loop": Dimension(executions.asking_loop, most=100_000, most_counted=3_000),
    "written-fork": Dimension(executions.written_fork, most=100_000),
    "written-chain": Dimension(executions.written_chain, most=100_000),
    "executions": Dimension(executions.executions),
    "jobs": Dimension(executions.jobs),
    "finished": Dimension(catalogue.finished, most_counted=100_000),
    "definitions": Dimension(catalogue.definitions),
    "schedules": Dimension(catalogue.schedules),
    "listeners": Dimension(catalogue.listeners, most=10_000),  # each is a plugin with a coroutine of its own
    "handlers": Dimension(catalogue.handlers, most=100_000),
}

Costs = Mapping[int, Cost]
"""What a phase cost, by size."""


def sizes(least: int, most: int) -> list[int]:
    """Powers of ten between the two, and the larger one."""
    found = [10**power for power in range(1, 10) if least <= 10**power <= most]
    return found if found and found[-1] == most else [*found, most]


def exponent(points: Mapping[int, float]) -> float:
    """The slope of the logarithms, by least squares: the power of the size that the values follow.

    Values of 0 are left out; NaN where fewer than two sizes are left.
    """
    logs = [(math.log(size), math.log(value)) for size, value in points.items() if value > 0]
    if len(logs) < 2:
        return math.nan
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread


def measure(name: str, size: int, *, counts: bool) -> dict[str, Cost]:
    """The phases of a dimension at one size, in this process."""
    meter = Meter(counts=counts)
    tune_process()

    async def main() -> None:
        with tempfile.TemporaryDirectory(dir=_folder()) as folder:
            await DIMENSIONS[name].shape(meter, Path(folder), size)

    on_uvloop(main)
    return meter.phases


def _folder() -> Path:
    folder = HERE / "tmp"
    folder.mkdir(exist_ok=True)
    return folder


def in_child(name: str, size: int, *, counts: bool, timeout_s: float) -> dict[str, Cost]:
    """The same in a fresh process; nothing where it failed or took too long, which is told."""
    command = [sys.executable, "-m", "bench.growth", name, "--point", str(size)]
    try:
        done = subprocess.run(
            [*command, "--counts"] if counts else command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{name} {size}: more than {timeout_s:g} s", file=sys.stderr)
        return {}
    if done.returncode:
        print(f"{name} {size}: {done.stderr[-2_000:]}", file=sys.stderr)
        return {}
    return {phase: Cost(**cost) for phase, cost in json.loads(done.stdout.splitlines()[-1]).items()}


def by_phase(points: Mapping[int, Mapping[str, Cost]]) -> dict[str, dict[int, Cost]]:
    """The costs of each phase by size."""
    found: dict[str, dict[int, Cost]] = {}
    for size, phases in points.items():
        for phase, cost in phases.items():
            found.setdefault(phase, {})[size] = cost
    return found


def _cells(costs: Costs, value: Callable[[Cost], float], digits: str = ".4g") -> str:
    """A unit's cost at each size, and the exponents of the whole: of all sizes, and of the last two."""
    units = " ".join(f"{format(value(cost) / cost.units, digits):>9}" for cost in costs.values())
    whole = {size: value(cost) for size, cost in costs.items()}
    last = dict(list(whole.items())[-2:])
    return f"{units}  {exponent(whole):5.2f} {exponent(last):5.2f}"


def table(name: str, timed: Costs, counted: Costs, phase: str) -> list[str]:
    """The rows of one phase."""
    rows = [("CPU µs", _cells(timed, lambda cost: cost.cpu_s * 1e6))]
    if counted:
        rows.append(("lines", _cells(counted, lambda cost: cost.lines)))
        rows.append(("SQL steps", _cells(counted, lambda cost: cost.steps)))
    return [f"{name:14} {phase:24} {kind:9} {cells}" for kind, cells in rows]


def report(name: str, options: argparse.Namespace) -> None:
    """Measure and print one dimension."""
    dimension = DIMENSIONS[name]
    most = min(options.most, dimension.most)
    points = sizes(options.least, most)
    counted = sizes(max(10, options.least // 10), min(most, dimension.most_counted))
    taken = {size: in_child(name, size, counts=False, timeout_s=options.timeout) for size in points}
    counts = {size: in_child(name, size, counts=True, timeout_s=options.timeout) for size in counted}
    print(f"{name}: CPU at {points}, counts at {counted}; exponents of all, and of the last two")
    found = by_phase(counts)
    for phase, costs in by_phase(taken).items():
        print("\n".join(table(name, costs, found.get(phase, {}), phase)))
    peaks = {size: max(cost.peak_mb for cost in phases.values()) for size, phases in taken.items() if phases}
    print(f"{name:14} peak memory, MB: " + ", ".join(f"{size}: {mb:.0f}" for size, mb in peaks.items()))
    if options.json:
        lines = [
            {"dimension": name, "size": size, "counts": is_count, "phase": phase, **asdict(cost)}
            for is_count, rows in ((False, taken), (True, counts))
            for size, phases in rows.items()
            for phase, cost in phases.items()
        ]
        with options.json.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__.partition("\n")[0])
    parser.add_argument("dimensions", nargs="*", metavar="DIMENSION", help=", ".join(DIMENSIONS))
    parser.add_argument("--least", type=int, default=1_000)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one size")
    parser.add_argument("--json", type=Path, help="also add the points to this file, a JSON object a line")
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)  # one size, in this process
    parser.add_argument("--counts", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.dimensions if name not in DIMENSIONS]
    if unknown:
        parser.error(f"no such dimension: {', '.join(unknown)}; there are: {', '.join(DIMENSIONS)}")
    return options


def main() -> int:
    """Measure what is asked for, all dimensions by default."""
    options = _options()
    if options.point:
        phases = measure(options.dimensions[0], options.point, counts=options.counts)
        print(json.dumps({phase: asdict(cost) for phase, cost in phases.items()}))
        return 0
    for name in options.dimensions or DIMENSIONS:
        report(name, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The order of a benchmark run: calibrate, then rounds of floors and workloads side by side, then the table.

It measures nothing itself. Workloads are the modules `w*.py` beside it, each with a tuple `CASES`;
how a sample is taken is in `bench/harness.py`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.calibrate import calibrate
from bench.harness import Case, Measured, measure_here, measure_in_child, print_table, rows

HERE = Path(__file__).resolve().parent


def all_cases() -> dict[str, Case]:
    """Every case by its full name, such as `w1/steps-100`: floors first, then the workloads in order."""
    names = ["floors", *sorted(file.stem for file in HERE.glob("w[0-9]*.py"))]
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {f"{name}/{case.name}": case for name, module in modules.items() for case in module.CASES}


def chosen(cases: dict[str, Case], prefixes: Sequence[str]) -> dict[str, Case]:
    """The cases whose names begin with one of the prefixes, and the floors they are divided by."""
    wanted = {n for n in cases if not prefixes or any(n.startswith(prefix) for prefix in prefixes)}
    floors = {floor for name in wanted if (floor := cases[name].floor)}
    return {name: case for name, case in cases.items() if name in wanted | floors}


def take_rounds(
    cases: dict[str, Case], folder: Path, *, rounds: int, timeout_s: float
) -> dict[str, list[Measured]]:
    """All samples; within a round every case once, so that a noisy minute touches floor and workload."""
    samples: dict[str, list[Measured]] = {name: [] for name in cases}
    for number in range(1, rounds + 1):
        for name in cases:
            print(f"round {number}/{rounds}: {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as empty:
                samples[name].append(measure_in_child(name, Path(empty), timeout_s=timeout_s))
    return samples


def main() -> int:
    """Parse the command line, run, print; 1 if a target was missed, so that a script can tell."""
    options = _options()
    cases = all_cases()
    if options.sample:
        measured = measure_here(cases[options.sample], options.folder)
        print(json.dumps({"value": measured.value, "detail": dict(measured.detail)}))
        return 0
    picked = chosen(cases, options.cases)
    if not picked:
        print(f"no such case; there are: {' '.join(cases)}", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    machine = calibrate(options.folder)
    samples = take_rounds(picked, options.folder, rounds=options.rounds, timeout_s=options.timeout)
    table = rows(picked, samples)
    print("  ".join(f"{key}={value}" for key, value in machine.items()))
    print_table(f"{options.rounds} rounds, each sample in a fresh process", table)
    if options.json:
        lines = [{"machine": machine}, *(row.as_json() for row in table)]
        options.json.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return 1 if any(row.reached is False for row in table) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", help="names or beginnings of names, such as w1; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=HERE / "tmp", help="on the disk to be measured")
    parser.add_argument("--json", type=Path, help="also write the rows to this file, a JSON object a line")
    parser.add_argument("--timeout", type=float, default=600, help="seconds one sample may take")
    parser.add_argument("--sample", help=argparse.SUPPRESS)  # one sample, in this process
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""The order of a benchmark run: rounds of calibration, floors and workloads side by side, then the table.

It measures nothing itself. Workloads are the modules `w*.py` beside it and `latency.py`, each with a tuple
`CASES`; how a sample is taken is in `bench/harness.py`. The exit code is 0 once everything was measured,
whatever the figures; 1 with `--strict` where a target was missed; 3 where a case could not be measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.calibrate import calibrate
from bench.harness import Case, Measured, Row, measure_here, measure_in_child, print_table, rows

HERE = Path(__file__).resolve().parent
MEASURED, MISSED, NO_SUCH_CASE, NOT_MEASURED = 0, 1, 2, 3
Machine = dict[str, object]


def all_cases() -> dict[str, Case]:
    """Every case by its full name, such as `w1/steps-100`: floors first, then the workloads in order."""
    workloads = sorted((file.stem for file in HERE.glob("w[0-9]*.py")), key=lambda name: (len(name), name))
    names = ["floors", *workloads, "latency"]
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {f"{name}/{case.name}": case for name, module in modules.items() for case in module.CASES}


def chosen(cases: Mapping[str, Case], prefixes: Sequence[str], *, with_long: bool = False) -> dict[str, Case]:
    """The cases whose names begin with one of the prefixes, and the floors they are divided by.

    Without a prefix those that are not long; all of them `with_long`.
    """
    if prefixes:
        wanted = {name for name in cases if any(name.startswith(prefix) for prefix in prefixes)}
    else:
        wanted = {name for name, case in cases.items() if with_long or not case.is_long}
    floors = {floor for name in wanted if (floor := cases[name].floor)}
    floors |= {floor for name in floors if (floor := cases[name].floor)}
    return {name: case for name, case in cases.items() if name in wanted | floors}


def take_rounds(
    cases: Mapping[str, Case], folder: Path, *, rounds: int, timeout_s: float
) -> tuple[dict[str, list[Measured | None]], list[Machine]]:
    """All samples; within a round every case once, so that a noisy minute touches floor and workload.

    Returns:
        Samples by case, None for one that failed or took too long (said on stderr); and what the machine
        was in each round.
    """
    samples: dict[str, list[Measured | None]] = {name: [] for name in cases}
    machines: list[Machine] = []
    for number in range(1, rounds + 1):
        machines.append(calibrate(folder))
        for name, case in cases.items():
            print(f"round {number}/{rounds}: {name} (about {case.seconds:g} s)", file=sys.stderr)
            samples[name].append(_sample(name, folder, timeout_s))
    return samples, machines


def _sample(name: str, folder: Path, timeout_s: float) -> Measured | None:
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        try:
            return measure_in_child(name, Path(empty), timeout_s=timeout_s)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{name} could not be measured: {error}", file=sys.stderr)
            return None


def middle_of(machines: Sequence[Machine]) -> Machine:
    """The machine over all rounds: medians of what was measured, and what it is."""
    measured = {key for key, value in machines[0].items() if isinstance(value, float)}
    middle: Machine = dict(machines[0])
    for key in measured:
        middle[key] = statistics.median(value for each in machines if isinstance(value := each[key], float))
    return middle


def print_list(cases: Mapping[str, Case]) -> None:
    """Every case, about what it takes, and whether it has to be asked for."""
    for name, case in cases.items():
        floor = f"  of {case.floor}" if case.floor else ""
        when = "when asked" if case.is_long else ""
        print(f"{name:34} {case.seconds:5g} s  {when:10}  {case.unit}{floor}")
    usual = sum(case.seconds for case in cases.values() if not case.is_long)
    every = sum(case.seconds for case in cases.values())
    print(f"a round: about {usual:g} s, with --long {every:g} s")


def verdict(table: Sequence[Row], samples: Mapping[str, Sequence[object]], *, strict: bool) -> int:
    """The exit code; what was missed is said on stdout, in one line."""
    missed = [row.case for row in table if row.reached is False]
    if missed:
        print(f"targets missed: {', '.join(missed)}")
    failed = [name for name, taken in samples.items() if None in taken]
    if failed:
        print(f"not measured in every round: {', '.join(failed)}", file=sys.stderr)
        return NOT_MEASURED
    return MISSED if missed and strict else MEASURED


def main() -> int:
    """Parse the command line, run, print; the exit code is told in the module's own words."""
    options = _options()
    cases = all_cases()
    if options.sample:
        measured = measure_here(cases[options.sample], options.folder)
        print(json.dumps({"value": measured.value, "detail": dict(measured.detail)}))
        return MEASURED
    picked = chosen(cases, options.cases, with_long=options.long)
    if not picked:
        print(f"no such case; there are: {' '.join(cases)}", file=sys.stderr)
        return NO_SUCH_CASE
    if options.list:
        print_list(picked if options.cases else cases)
        return MEASURED
    return measure_and_tell(picked, options)


def measure_and_tell(
    picked: Mapping[str, Case],
    options: argparse.Namespace,
    *,
    show: Callable[[str, Sequence[Row]], None] = print_table,
) -> int:
    """All rounds of these cases, their table, and JSON lines where they are wanted; gives the exit code."""
    options.folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    samples, machines = take_rounds(picked, options.folder, rounds=options.rounds, timeout_s=options.timeout)
    table = rows(picked, samples)
    machine = middle_of(machines)
    print("  ".join(f"{key}={value}" for key, value in machine.items()))
    took_s = time.perf_counter() - began
    show(f"{options.rounds} rounds in {took_s:.0f} s, each sample in a fresh process", table)
    if options.json:
        first = {"machine": machine, "rounds": machines, "seconds": took_s}
        lines = [first, *(row.as_json() for row in table)]
        options.json.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return verdict(table, samples, strict=options.strict)


def with_usual_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What every command takes that measures in rounds."""
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=HERE / "tmp", help="on the disk to be measured")
    parser.add_argument("--json", type=Path, help="also write the rows to this file, a JSON object a line")
    parser.add_argument("--timeout", type=float, default=600, help="seconds one sample may take")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target was missed")
    return parser


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "cases", nargs="*", help="names or beginnings of names, such as w1; default: W1 to W7"
    )
    parser.add_argument("--long", action="store_true", help="all cases, those too that must be asked for")
    parser.add_argument("--list", action="store_true", help="say what there is and what it takes, and stop")
    with_usual_options(parser)
    parser.add_argument("--sample", help=argparse.SUPPRESS)  # one sample, in this process
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

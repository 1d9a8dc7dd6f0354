"""What a measurement is, and how several become a row: samples in fresh processes, medians, ratios.

It knows no workload and no floor: those are `Case`s in modules of their own. The order of a run is
in `bench/run.py`, the floors in `bench/floors.py`.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of a case gave: its figure, and whatever else is worth keeping beside it."""

    value: float
    detail: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One claim that can be measured.

    Attributes:
        name: short and unique in its module, such as `steps-100`.
        unit: of the figure, such as `steps/s`.
        run: does the work once in an empty folder and returns the figure.
        floor: full name of the case (`floors/F2-100`) that the figure is divided by; None compares
            the figure itself with the target.
        target: what the ratio (or the figure) must reach; None only reports.
        higher_is_better: direction of the target.
        seconds: about what a sample takes on a quiet machine of four cores; for `--list`.
        is_long: measured only where it is named, or with `--long`.
    """

    name: str
    unit: str
    run: Callable[[Path], Measured]
    floor: str | None = None
    target: float | None = None
    higher_is_better: bool = True
    seconds: float = 2.0
    is_long: bool = False


def when_asked(seconds: float, *cases: Case) -> tuple[Case, ...]:
    """The same as long cases, measured only where they are named; each takes about so many seconds."""
    return tuple(replace(case, seconds=seconds, is_long=True) for case in cases)


Samples = Mapping[str, Sequence[Measured | None]]
"""By full name of the case, a sample a round; None where it could not be taken."""


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of one case: figures in the order measured, and their ratios to the floor.

    Without a single figure it stands for a case that could not be measured.
    """

    case: str
    unit: str
    values: Sequence[float]
    ratios: Sequence[float]
    floor: str | None
    target: float | None
    reached: bool | None
    detail: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        """The row as one JSON object, medians included, so that files of several days can be compared."""
        return {
            "case": self.case,
            "unit": self.unit,
            "median": statistics.median(self.values) if self.values else None,
            "values": list(self.values),
            "floor": self.floor,
            "ratio": statistics.median(self.ratios) if self.ratios else None,
            "ratios": list(self.ratios),
            "target": self.target,
            "reached": self.reached,
            "detail": dict(self.detail),
        }


def measure_here(case: Case, folder: Path) -> Measured:
    """One sample in this process, with its CPU time, wall time and peak memory added to the detail."""
    wall, cpu = time.perf_counter(), time.process_time()
    measured = case.run(folder)
    usage = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_rss_mb": _peak_rss_mb(),
    }
    return Measured(measured.value, {**usage, **measured.detail})


def measure_in_child(full_name: str, folder: Path, *, timeout_s: float) -> Measured:
    """One sample in a fresh interpreter: no warm cache and no garbage of the sample before.

    Raises:
        RuntimeError: the child ended with an error; the message carries what it said.
        subprocess.TimeoutExpired: it did not end within `timeout_s`.
    """
    command = [sys.executable, "-m", "bench.run", "--sample", full_name, "--folder", str(folder.resolve())]
    child = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if child.returncode != 0:
        message = f"{full_name} ended with {child.returncode}:\n{child.stderr[-4000:]}"
        raise RuntimeError(message)
    answer = json.loads(child.stdout.splitlines()[-1])
    return Measured(answer["value"], answer["detail"])


def rows(cases: Mapping[str, Case], samples: Samples) -> list[Row]:
    """One row per case; a ratio divides two samples of the same round, so that slow minutes cancel out."""
    return [_row(name, case, samples) for name, case in cases.items()]


def _row(name: str, case: Case, samples: Samples) -> Row:
    own = samples[name]
    taken = [sample for sample in own if sample is not None]
    values = [sample.value for sample in taken]
    floors = samples[case.floor] if case.floor else []
    ratios = [s.value / floor.value for s, floor in zip(own, floors, strict=bool(floors)) if s and floor]
    reached = None
    if case.target is not None and (judged := ratios if case.floor else values):
        middle = statistics.median(judged)
        reached = middle >= case.target if case.higher_is_better else middle <= case.target
    keys = dict.fromkeys(key for sample in taken for key in sample.detail)
    detail = {key: statistics.median(s.detail[key] for s in taken if key in s.detail) for key in keys}
    return Row(name, case.unit, values, ratios, case.floor, case.target, reached, detail)


def print_table(title: str, table_rows: Iterable[Row]) -> None:
    """The rows as a table on stdout: median and range, ratio and target, the detail's medians."""
    table = Table(title=title, title_justify="left")
    for heading in ("case", "median", "range", "unit", "ratio", "of", "target", "reached", "also (medians)"):
        table.add_column(heading, justify="right" if heading in {"median", "range", "ratio"} else "left")
    for row in table_rows:
        table.add_row(
            row.case,
            number(statistics.median(row.values)) if row.values else "none",
            f"{number(min(row.values))} to {number(max(row.values))}" if row.values else "",
            row.unit,
            number(statistics.median(row.ratios)) if row.ratios else "",
            row.floor or "",
            "" if row.target is None else number(row.target),
            {None: "", True: "yes", False: "NO"}[row.reached],
            "  ".join(f"{key}={number(value)}" for key, value in row.detail.items()),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def number(value: float) -> str:
    """Three significant digits below a thousand, whole with separators above."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3

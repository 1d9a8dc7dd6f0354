"""Whole engines in simulated worlds, one per seed: `python -m tests.simulation --seeds 2000`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.simulation.seeds import run_seed_of_pool


def main() -> int:
    """So many seeds on all cores; 1 if anything happened that must not, with the seeds that show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare what happened")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    began, counts, broken = time.monotonic(), Counter[str](), 0
    os.environ["PYTHONHASHSEED"] = "0"  # for the processes to come: sets are walked in one order
    seeds = range(given.first, given.first + given.seeds)
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        work = ((seed, given.twice) for seed in seeds)
        for done, seen in enumerate(pool.imap_unordered(run_seed_of_pool, work, chunksize=4), 1):
            counts.update(seen.counts)
            broken += bool(seen.wrong)
            if seen.wrong:
                sys.stdout.write(f"seed {seen.seed}: {seen.wrong[:5]}\n")
            if not done % 500:
                sys.stdout.write(f"{done} seeds, {broken} broken\n")
            sys.stdout.flush()
    rate = given.seeds / (time.monotonic() - began)
    sys.stdout.write(
        f"{given.seeds} seeds, {broken} broken, {rate:.1f} seeds/s, {dict(sorted(counts.items()))}\n"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

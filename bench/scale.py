"""How far one execution reaches: wide forks, long loops, deep nesting, and an output that is too large.

Not ratios but limits shown: each shape runs in a process of its own and tells how long it took and
what memory it had at most. `python -m bench.scale` prints the table.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import asyncflow as af
from bench.floors import on_uvloop
from bench.w2 import FAN_OUT, branch

Shape = Callable[[af.Engine], Coroutine[object, object, str]]
LOOP_ITERATIONS = 10_000
CONDITION = f"if ($.loop['iteration'] < {LOOP_ITERATIONS}) {{ true; }} else {{ false; }}"
NESTING = 20


@af.task(retries=0)
async def oversized() -> dict[str, str]:
    """Give more than a task may."""
    return {"text": "x" * 5_000_000}


async def wide_fork(engine: af.Engine) -> str:
    """A fork of 100,000 branches and its join."""
    execution = await engine.start(FAN_OUT, {"items": [{}] * 100_000})
    state = await execution.ended()
    return f"{state.status}, {len(state.tasks)} tasks"


async def static_fork(engine: af.Engine) -> str:
    """A fork of 9,990 branches that are written down, and its join."""
    names = [f"branch_{number}" for number in range(9_990)]
    body: dict[str, object] = {
        "name": "static_fork",
        "tasks": [
            {
                "name": "fork",
                "taskReferenceName": "fork",
                "type": "FORK_JOIN",
                "forkTasks": [[{"name": "branch", "taskReferenceName": name}] for name in names],
            },
            {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": names},
        ],
        "outputParameters": {"first": "${join.output.branch_0.text}"},
    }
    state = await (await engine.start(body)).ended()
    return f"{state.status}, {len(state.tasks)} tasks"


async def long_loop(engine: af.Engine) -> str:
    """A loop of 10,000 iterations whose condition is JavaScript."""
    body: dict[str, object] = {
        "name": "long_loop",
        "tasks": [
            {
                "name": "loop",
                "taskReferenceName": "loop",
                "type": "DO_WHILE",
                "loopCondition": CONDITION,
                "loopOver": [{"name": "body", "taskReferenceName": "body", "type": "NOOP"}],
            }
        ],
        "outputParameters": {"iterations": "${loop.output.iteration}"},
    }
    state = await (await engine.start(body)).ended()
    return f"{state.status}, output {json.dumps(state.output)}"


async def deep_nesting(engine: af.Engine) -> str:
    """Switches within forks within switches, twenty levels of tasks."""
    inner: dict[str, object] = {"name": "branch", "taskReferenceName": "innermost"}
    for level in range(NESTING - 1, 0, -1):
        inner = {
            "name": "switch",
            "taskReferenceName": f"switch_{level}",
            "type": "SWITCH",
            "evaluatorType": "value-param",
            "expression": "way",
            "inputParameters": {"way": "in"},
            "decisionCases": {"in": [inner]},
        }
    state = await (await engine.start({"name": "deep", "tasks": [inner]})).ended()
    return f"{state.status}, {len(state.tasks)} tasks"


async def too_large(engine: af.Engine) -> str:
    """A task that gives 5 MB, which is refused by name."""
    body: dict[str, object] = {
        "name": "too_large",
        "tasks": [{"name": "oversized", "taskReferenceName": "oversized"}],
    }
    state = await (await engine.start(body)).ended()
    return f"{state.status}: {state.reason}"


SHAPES: dict[str, Shape] = {
    "fork of 100,000": wide_fork,
    "static fork of 9,990": static_fork,
    "loop of 10,000": long_loop,
    "nesting of 20": deep_nesting,
    "output of 5 MB": too_large,
}


def measure(name: str) -> dict[str, object]:
    """Run one shape in this process."""

    async def main() -> dict[str, object]:
        with tempfile.TemporaryDirectory() as folder:
            async with af.Engine(Path(folder) / "scale.db", tasks=[branch, oversized]) as engine:
                began = time.perf_counter()
                result = await asyncio.wait_for(SHAPES[name](engine), timeout=600)
                took_s = time.perf_counter() - began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"shape": name, "seconds": round(took_s, 2), "peak_mb": round(peak_mb), "result": result}

    return on_uvloop(main)


def main() -> None:
    """Every shape in a fresh process, a row each."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    for name in SHAPES:
        command = [sys.executable, "-m", "bench.scale", name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        row = json.loads(output)
        print(f"{row['shape']:22} {row['seconds']:>8} s {row['peak_mb']:>6} MB  {row['result']}", flush=True)


if __name__ == "__main__":
    main()

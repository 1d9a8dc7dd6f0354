"""Whether a plugin will do: its class, its settings, how long it takes to import, what holds up the loop.

A plugin is named as it is installed, or by the folder of its package; only then its own tests are run, too.
What is asked of the class itself is in `plugins/inspection`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from asyncflow.app.plugin_source import blocking_calls, module_file, unhidden_secrets
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.plugins.inspection import faults_of
from asyncflow.plugins.registry import GROUPS, Kind

MOST_IMPORT_S = 0.5
_PATIENCE_S = 300.0
_SUITES: Mapping[Kind, tuple[str, str]] = {
    "resource": ("resource_contract", "ResourceManagerContract"),
    "task": ("task_contract", "TaskTypeContract"),
    "listener": ("listener_contract", "ListenerContract"),
}
_TIMED = (
    "import sys, time, pydantic, asyncflow.plugins.registry, asyncflow.plugins.errors\n"
    "before = time.perf_counter()\n"
    "__import__(sys.argv[1])\n"
    "print(time.perf_counter() - before)\n"
)


class Remark(NamedTuple):
    """One thing to say of a plugin; errors keep it from being used or from keeping its promises."""

    level: Literal["error", "warning", "ok"]
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Target:
    """One plugin to be looked at.

    Attributes:
        source: the folder to import from, None where it is installed.
        tests: the package's own tests, None where there are none to be run.
    """

    kind: Kind
    name: str
    value: str
    source: Path | None = None
    tests: Path | None = None

    @property
    def module(self) -> str:
        """The module that the entry point names."""
        return self.value.partition(":")[0]


def targets_of(wanted: str) -> list[Target]:
    """The plugins of this name, or those of the package in this folder.

    Raises:
        NotFound: there is none.
        InvalidInput: the folder holds no package with entry points of ours.
    """
    folder = Path(wanted)
    if folder.is_dir():
        return _of_folder(folder.absolute())
    found = [
        Target(kind, point.name, point.value)
        for group, kind in GROUPS.items()
        for point in metadata.entry_points(group=group)
        if point.name == wanted
    ]
    if not found:
        raise NotFound("installed plugin, or folder of one,", wanted)
    return found


def _of_folder(folder: Path) -> list[Target]:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        groups = project["entry-points"]
        points = [
            (GROUPS[group], name, value) for group in GROUPS for name, value in groups.get(group, {}).items()
        ]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        said = f"no pyproject.toml with entry points of asyncflow: {type(error).__name__}: {error}"
        raise InvalidInput(said, field=str(folder)) from error
    if not points:
        raise InvalidInput(f"no entry points of {', '.join(GROUPS)}", field=str(folder))
    source = folder / "src" if (folder / "src").is_dir() else folder
    tests = folder / "tests" if (folder / "tests").is_dir() else None
    return [Target(kind, name, str(value), source, tests) for kind, name, value in points]


def review(target: Target) -> Iterator[Remark]:
    """Everything there is to say of a plugin; runs its module, and the tests of its package, elsewhere.

    Cost: the import in a process of its own; the tests take as long as they take, at most five minutes.
    """
    took = _import_time(target)
    if isinstance(took, str):
        yield Remark("error", "import", took)
        return
    level: Literal["error", "ok"] = "error" if took > MOST_IMPORT_S else "ok"
    yield Remark(level, "import", f"{took:.2f} s, at most {MOST_IMPORT_S} s are expected")
    found = _class(target)
    faults = [found] if isinstance(found, str) else faults_of(target.kind, target.name, found)
    yield from (Remark("error", "class", fault) for fault in faults)
    if isinstance(found, str):
        return
    if not faults:
        yield Remark("ok", "class", "fits the contract, and its models have JSON schemas")
        yield from (Remark("error", "secrets", said) for said in unhidden_secrets(found))
    file = module_file(found)
    for said in () if file is None else blocking_calls(file):
        yield Remark("error", "loop", said)
    has_suite = _has_suite(target)
    if target.tests is not None and not has_suite:
        yield Remark("warning", "tests", f"none inherits asyncflow.testing.{_SUITES[target.kind][0]}")
    if not has_suite:
        yield _guarded(target)
    yield from _tests(target)


def _has_suite(target: Target) -> bool:
    """Whether the package's tests run the suite of its contract, which guards the loop."""
    if target.tests is None:
        return False
    texts = [path.read_text(encoding="utf-8") for path in target.tests.rglob("*.py")]
    return any(_SUITES[target.kind][1] in text for text in texts)


def _guarded(target: Target) -> Remark:
    """Whether it holds up the loop, as far as that shows without a test of its own."""
    command = [sys.executable, "-m", "asyncflow.testing.guarded_run", target.kind, target.name, target.value]
    try:
        done = subprocess.run(
            command,
            env=_environment(target),
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Remark("error", "loop", f"is held up for more than {_PATIENCE_S:.0f} s")
    except (ValueError, IndexError):
        return Remark("error", "loop", (done.stderr.strip().splitlines() or ["it ended the process"])[-1])
    if "not_run" in told:
        return Remark(
            "warning", "loop", f"not measured: {told['not_run']}; inherit the suite of its contract"
        )
    if told["short"]:
        return Remark("ok", "loop", f"was held up for {told['held_s']} s at most")
    return Remark("error", "loop", f"was held up for {told['held_s']} s, {told['most_s']} s are allowed")


def _environment(target: Target) -> dict[str, str]:
    """Where a process of its own finds what this one does, and the package."""
    paths = [str(target.source)] if target.source is not None else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *(path for path in sys.path if path)])}


def _import_time(target: Target) -> float | str:
    """Seconds that the import takes by itself, or why it cannot be imported."""
    command = [sys.executable, "-c", _TIMED, target.module]
    environment = _environment(target)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return f"does not come to an end within {_PATIENCE_S:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    try:
        return float(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return "ends the process while it is imported"


def _class(target: Target) -> object:
    """The class, or why there is none."""
    if target.source is not None and str(target.source) not in sys.path:
        sys.path.insert(0, str(target.source))
    try:
        return metadata.EntryPoint(target.name, target.value, "").load()
    except Exception as error:  # noqa: BLE001 - code of strangers
        return f"{type(error).__name__}: {error}"


def _tests(target: Target) -> Iterator[Remark]:
    """What the package's tests say."""
    if target.tests is None:
        if target.source is not None:
            yield Remark("warning", "tests", "there are none")
        return
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(target.tests)]
    folder, environment = target.tests.parent, _environment(target)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        yield Remark("error", "tests", f"do not come to an end within {_PATIENCE_S:.0f} s")
        return
    lines = done.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    yield from (Remark("error", "tests", line) for line in failed)
    if done.returncode and not failed:
        said = (done.stderr.strip().splitlines() or lines or ["no word"])[-1]
        yield Remark("error", "tests", f"exit code {done.returncode}: {said}")
    elif not done.returncode:
        yield Remark("ok", "tests", lines[-1] if lines else "passed")

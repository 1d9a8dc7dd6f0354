"""The two kinds of task an imported file may become: a timed wait, or a real command.

Shapes only: nothing is run or looked up here. `docs/importing.md` tells users about both; the
`COMMAND` task type itself is a built-in of the runtime.
"""

from __future__ import annotations

import math
import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asyncflow.convert.references import escape_reference, literal
from asyncflow.errors import InvalidInput
from asyncflow.model.durations import MAX_DURATION_SECONDS

ANY_EXECUTABLE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program call as a foreign file states it, with the files it is said to read and write."""

    executable: str
    args: Sequence[str] = ()
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """How commands of a foreign file are turned into `COMMAND` tasks.

    Attributes:
        executables: replacement of an executable by name, `"*"` for all others. The list is the
            new argument vector: `{program}` in it is the old name, and an element `{args}`,
            `{inputs}` or `{outputs}` expands to the old arguments, the files read, the files
            written. Without any of these three the old arguments are appended.
        workdir: where commands run; text or an expression such as `${workflow.input.workdir}`.
            None leaves it to the engine.
    """

    executables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    workdir: str | None = None


def command_task(reference: str, program: Program, options: CommandOptions) -> dict[str, object]:
    """A `COMMAND` task that calls the program, replaced as the options say."""
    argv = _replaced(program, options.executables)
    parameters: dict[str, object] = {"executable": literal(argv[0]), "args": literal(argv[1:])}
    if options.workdir is not None:
        parameters["workdir"] = options.workdir
    parameters.update((key, literal(value)) for key, value in program.settings.items())
    return {
        "name": escape_reference(posixpath.basename(program.executable)),
        "taskReferenceName": reference,
        "type": "COMMAND",
        "inputParameters": parameters,
    }


def _replaced(program: Program, executables: Mapping[str, Sequence[str]]) -> list[str]:
    template = executables.get(program.executable)
    if template is None:
        template = executables.get(posixpath.basename(program.executable), executables.get(ANY_EXECUTABLE))
    if not template:
        return [program.executable, *program.args]
    lists = {"{args}": program.args, "{inputs}": program.inputs, "{outputs}": program.outputs}
    argv: list[str] = []
    for element in template:
        argv.extend(lists.get(element, [element.replace("{program}", program.executable)]))
    if not lists.keys() & set(template):
        argv.extend(program.args)
    return argv


def parse_executable_map(entries: Iterable[str]) -> dict[str, list[str]]:
    """The replacements of entries such as `mAdd=python3 tool.py {args}`, split as a shell would.

    Raises:
        InvalidInput: an entry lacks the equals sign, the name or the command, or a quote is open.
    """
    mapping: dict[str, list[str]] = {}
    for entry in entries:
        name, sign, command = entry.partition("=")
        try:
            argv = shlex.split(command)
        except ValueError as error:
            raise InvalidInput(f"{entry!r}: {error}", field="map") from error
        if not (sign and name.strip() and argv):
            raise InvalidInput(f"{entry!r} is not NAME=COMMAND", field="map")
        mapping[name.strip()] = argv
    return mapping


def wait_task(name: str, reference: str, *, seconds: float) -> dict[str, object]:
    """A `WAIT` task of that length, to the millisecond.

    Conductor's grammar has whole seconds only: `duration` is rounded up for it, and the exact
    length, where it differs, stands under `asyncflow.durationMs`.

    Raises:
        InvalidInput: it is longer than a WAIT can be.
    """
    if not seconds <= MAX_DURATION_SECONDS:
        fault = f"makes {name[:80]!r} wait {seconds:g} s: at most {MAX_DURATION_SECONDS} s"
        raise InvalidInput(fault, field="time_scale")
    milliseconds = round(seconds * 1000)
    task: dict[str, object] = {
        "name": escape_reference(name),
        "taskReferenceName": reference,
        "type": "WAIT",
        "inputParameters": {"duration": f"{math.ceil(milliseconds / 1000)}s"},
    }
    if milliseconds % 1000:
        extension(task)["durationMs"] = milliseconds
    return task


def extension(task: dict[str, object]) -> dict[str, object]:
    """The task's `asyncflow` object, made if it is not there yet; changes go into the task."""
    present = task.setdefault("asyncflow", {})
    if not isinstance(present, dict):
        raise InvalidInput("must be an object", field="asyncflow")
    return present


def check_times(**options: float | None) -> None:
    """Refuse options that are times, or factors on times, and negative or not finite.

    Raises:
        InvalidInput: names the option.
    """
    for name, value in options.items():
        if value is not None and (not math.isfinite(value) or value < 0):
            raise InvalidInput(f"must be a finite number of at least 0, is {value}", field=name)

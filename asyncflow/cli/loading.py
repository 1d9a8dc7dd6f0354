"""Files given on the command line: definitions in JSON or YAML, and Python with task functions.

It reads and sorts; what is wrong with a definition is said by the model. Python is only imported
where the user named the module or file.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeGuard, runtime_checkable

from asyncflow.cli.exits import CommandFailed
from asyncflow.errors import AsyncflowError, DefinitionError, InvalidInput, Violation
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    parse_task_definition,
    parse_workflow,
)
from asyncflow.model.documents import Purpose, parse_document
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.values import JsonObject

_MOST_BYTES = DEFAULT_LIMITS.request_bytes


@runtime_checkable
class Function(Protocol):
    """A function that `@task` made a task."""

    name: str
    function: Callable[..., object]
    executor: str
    binding: object

    def definition(self) -> dict[str, object]:
        """Its task definition as Conductor's JSON, with nothing but the name where nothing was said."""


@runtime_checkable
class Built(Protocol):
    """A workflow written in Python."""

    name: str

    def to_definition(self) -> dict[str, object]:
        """Conductor's JSON."""

    def functions(self) -> Mapping[str, Function]:
        """The functions it names."""


@dataclass(slots=True)
class Bundle:
    """What files hold: workflows in the order in which they stand, task definitions, functions, an input.

    `sources` names the file of each workflow. `input` is that of a start request, if a file is one.
    """

    workflows: list[WorkflowDefinition] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    tasks: list[TaskDefinition] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    input: JsonObject | None = None

    def choose(self, name: str | None) -> WorkflowDefinition:
        """The first workflow, or the first of this name.

        Raises:
            CommandFailed: there is none.
        """
        named = [each for each in self.workflows if name is None or each.name == name]
        if named:
            return named[0]
        if name is None:
            raise CommandFailed("there is no workflow in what was given, only task definitions or functions")
        known = ", ".join(sorted({each.name for each in self.workflows})) or "none"
        raise CommandFailed(f"there is no workflow {name!r} in what was given; there is: {known}")


def read_text(path: str) -> bytes:
    """The content of a file, or of stdin for `-`, no larger than a request may be.

    Raises:
        CommandFailed: it cannot be read, or is too large.
    """
    if not path:
        raise CommandFailed("the name of a file is empty")
    try:
        if path == "-":
            content = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise CommandFailed(f"{path}: larger than {_MOST_BYTES} bytes (request_bytes)")
    return content


def read_document(path: str, *, purpose: Purpose = "request") -> object:
    """The parsed content of a JSON or YAML file.

    Raises:
        InvalidInput, LimitExceeded: as `parse_document`, the message beginning with the file.
    """
    try:
        return parse_document(read_text(path), purpose=purpose)
    except AsyncflowError as error:
        raise InvalidInput(str(error), field=path) from error


def read_object(given: str, option: str) -> JsonObject:
    """A JSON or YAML object given in place, as `@FILE`, or as `@-` for stdin.

    Raises:
        InvalidInput: it is not well formed, or no object.
    """
    value = read_document(given[1:]) if given.startswith("@") else _parsed(given, option)
    if not isinstance(value, dict):
        raise InvalidInput("must be a JSON object, such as '{\"name\": 1}', or @FILE", field=option)
    return value


def _parsed(given: str, option: str) -> object:
    try:
        return parse_document(given, purpose="request")
    except AsyncflowError as error:
        raise InvalidInput(str(error), field=option) from error


# --- definitions ------------------------------------------------------------------------------


def read_bundle(paths: Sequence[str], modules: Sequence[str] = ()) -> Bundle:
    """Everything that the files and modules hold; a `.py` file counts as a module.

    Raises:
        CommandFailed: a file or module cannot be read.
        InvalidInput, DefinitionError: a file is not well formed; every path begins with the file.
    """
    bundle = Bundle()
    for path in paths:
        if path.endswith(".py"):
            _collect(load_module(path), path, bundle)
        else:
            _add(read_document(path), path, bundle)
    for module in modules:
        _collect(load_module(module), module, bundle)
    return bundle


def _add(document: object, path: str, bundle: Bundle) -> None:
    faults: list[Violation] = []
    for place, entry in _entries(document, path):
        try:
            _add_entry(place, entry, path, bundle)
        except DefinitionError as error:
            faults += [Violation(_joined(place, v.path), v.message) for v in error.violations]
    if faults:
        raise DefinitionError(faults)


def _joined(place: str, path: str) -> str:
    return f"{place}: {path}" if path else place


def _entries(document: object, path: str) -> Iterable[tuple[str, object]]:
    """Single definitions with the place each has: of a list, a bundle, a start request, or by itself."""
    if isinstance(document, list):
        return [(f"{path}[{index}]", entry) for index, entry in enumerate(document)]
    if isinstance(document, dict) and isinstance(document.get("workflows"), list):
        listed = {"workflows": document["workflows"], "tasks": document.get("tasks") or []}
        if not isinstance(listed["tasks"], list):
            raise InvalidInput("must be a list of task definitions", field=f"{path}: tasks")
        return [
            (f"{path} {key}[{i}]", entry) for key, value in listed.items() for i, entry in enumerate(value)
        ]
    return [(path, document)]


def _add_entry(place: str, entry: object, path: str, bundle: Bundle) -> None:
    if not isinstance(entry, dict):
        raise InvalidInput("a definition is an object", field=place)
    if "workflowDef" in entry and "tasks" not in entry:
        _add_request(entry, path, bundle)
    elif is_workflow(entry):
        bundle.workflows.append(parse_workflow(entry))
        bundle.sources.append(path)
    else:
        bundle.tasks.append(parse_task_definition(entry))


def _add_request(entry: JsonObject, path: str, bundle: Bundle) -> None:
    bundle.workflows.append(parse_workflow(entry["workflowDef"]))
    bundle.sources.append(path)
    given = entry.get("input")
    if bundle.input is None and len(bundle.workflows) == 1 and isinstance(given, dict):
        bundle.input = given


def is_workflow(entry: Mapping[str, object]) -> bool:
    """Whether an object is a workflow definition rather than a task definition."""
    return "tasks" in entry or "schemaVersion" in entry


# --- Python -----------------------------------------------------------------------------------


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name, or a file by its path; the current folder can be imported from.

    Raises:
        CommandFailed: there is no such module or file, or it fails while it is imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if name.endswith(".py") or "/" in name:
            return _load_file(Path(name))
        return importlib.import_module(name)
    except (AsyncflowError, CommandFailed):
        raise
    except (Exception, SystemExit) as error:  # a module may end the process while it is imported
        raise CommandFailed(f"cannot load {name}: {type(error).__name__}: {error}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """The line of the author's code that an error comes from, if any was run."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    last = frames[-1]
    return "" if last.filename == __file__ else f" ({last.filename}, line {last.lineno})"


def _load_file(path: Path) -> ModuleType:
    """A file as a module of its own name, so that a process pool can import it again."""
    if not path.is_file():
        raise CommandFailed(f"cannot load {path}: there is no such file")
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path.absolute()):
        return known
    if known is not None or not name.isidentifier():
        name = f"asyncflow_loaded_{abs(hash(path.absolute()))}"
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    if spec is None or spec.loader is None:
        raise CommandFailed(f"cannot load {path}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _collect(module: ModuleType, name: str, bundle: Bundle) -> None:
    """Take over task functions and workflows among the members of a module."""
    found = False
    for member in list(vars(module).values()):
        if isinstance(member, type):
            continue
        if is_function(member):
            _take_functions({member.name: member}, bundle)
            found = True
        elif isinstance(member, Built) and isinstance(member.name, str):
            bundle.workflows.append(parse_workflow(member.to_definition()))
            bundle.sources.append(name)
            _take_functions(member.functions(), bundle)
            found = True
    if not found:
        raise CommandFailed(f"{name} has neither a function with @task nor a Workflow")


def is_function(member: object) -> TypeGuard[Function]:
    """Whether this is what `@task` makes; objects that answer to every name, as references do, are not."""
    if not isinstance(member, Function):
        return False
    said: tuple[object, ...] = (member.name, member.executor)
    return all(isinstance(each, str) for each in said) and inspect.isroutine(member.function)


def _take_functions(functions: Mapping[str, Function], bundle: Bundle) -> None:
    """Functions with what their authors said of retries and limits, unless a file says it otherwise."""
    defined = {task.name for task in bundle.tasks}
    for name, function in functions.items():
        if bundle.functions.setdefault(name, function) is not function:
            raise CommandFailed(f"two functions have the task name {name!r}; give one of them name=…")
        definition = function.definition()
        if len(definition) > 1 and name not in defined:
            bundle.tasks.append(parse_task_definition(definition))
            defined.add(name)

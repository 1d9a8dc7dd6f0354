"""WfFormat documents (WfCommons) to one definition: a flat task list with `dependsOn` edges.

Takes parsed JSON and gives parsed JSON; reads no file and runs nothing. `docs/importing.md` has
the table of what becomes of each field, `tasks` the two shapes a task can take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asyncflow.convert.graph import order_or_cycle
from asyncflow.convert.reading import Faults, refuse
from asyncflow.convert.references import ReferenceNames, definition_name
from asyncflow.convert.tasks import CommandOptions, Program, check_times, command_task, extension, wait_task

# Names of the same fact in schema 1.5 first, then 1.4 and 1.3.
_FACTS = {
    "runtimeInSeconds": ("runtimeInSeconds", "runtime"),
    "coreCount": ("coreCount", "cores"),
    "memoryInBytes": ("memoryInBytes", "memory"),
}
_KEPT = ("avgCPU", "readBytes", "writtenBytes", "energyInKWh", "energy", "avgPowerInW", "avgPower")
_KEPT_AS_IS = ("priority", "executedAt", "machines", "machine", "category")
_Located = tuple[str, Mapping[str, object]]  # an object of the document, and the path to it


@dataclass(frozen=True, slots=True, kw_only=True)
class WfFormatOptions(CommandOptions):
    """What to make of a WfFormat document.

    Attributes:
        execute: make real commands of the recorded ones; otherwise timed waits.
        time_scale: factor on the recorded runtimes of timed waits; 0.01 replays at a hundredth.
        missing_runtime_seconds: length of a timed wait whose task has no recorded runtime; with
            None such a task is refused.
        name: the definition's name, if not the document's own.
        version: the definition's version.
    """

    execute: bool = False
    time_scale: float = 1.0
    missing_runtime_seconds: float | None = None
    name: str | None = None
    version: int = 1


@dataclass(slots=True)
class _Recorded:
    """One task as the document states it, from whichever sections hold its facts."""

    path: str
    key: str
    name: str
    parents: list[str]
    children: list[str]
    inputs: dict[str, object]
    outputs: dict[str, object]
    program: str
    arguments: list[str]
    facts: dict[str, object]
    runtime: float | None


def import_wfformat(document: object, options: WfFormatOptions) -> dict[str, object]:
    """The definition of the document, its tasks in an order in which parents come first.

    Raises:
        DefinitionError: the document is not well formed, an edge leads nowhere, edges form a
            cycle, an id is given twice, or a needed runtime or command is missing.
        InvalidInput: an option is out of range, or makes a wait longer than a WAIT can be.
    """
    check_times(time_scale=options.time_scale, missing_runtime_seconds=options.missing_runtime_seconds)
    if not isinstance(document, Mapping):
        raise refuse("", "a WfFormat document is a JSON object")
    faults = Faults()
    workflow = faults.object_at(document, "workflow", "$")
    recorded = _read_tasks(workflow, faults)
    name, description = (faults.text_at(document, key, "$") for key in ("name", "description"))
    if not recorded:
        faults.add("$.workflow", "has no tasks, neither under specification.tasks nor under tasks")
    faults.raise_any()
    parents = _edges(recorded, faults)
    faults.raise_any()
    tasks = _definition_tasks(recorded, parents, options)
    return {
        "name": definition_name(options.name or name or "wfformat"),
        "description": description,
        "version": options.version,
        "schemaVersion": 2,
        "tasks": tasks,
        "inputParameters": [],
        "outputParameters": {},
        "timeoutPolicy": "ALERT_ONLY",
        "timeoutSeconds": 0,
        "metadata": {"source": _source(document, workflow)},
    }


def _source(document: Mapping[str, object], workflow: Mapping[str, object]) -> dict[str, object]:
    execution = workflow.get("execution")
    measured = execution if isinstance(execution, Mapping) else workflow
    source: dict[str, object] = {"format": "wfformat"}
    source.update((key, document[key]) for key in ("schemaVersion", "createdAt") if key in document)
    for key in ("makespanInSeconds", "makespan", "executedAt"):
        if key in measured:
            source[key] = measured[key]
    return source


def _read_tasks(workflow: Mapping[str, object], faults: Faults) -> list[_Recorded]:
    specification = faults.object_at(workflow, "specification", "$.workflow")
    if not specification:
        key = "tasks" if "tasks" in workflow else "jobs"
        entries = faults.objects_at(workflow, key, "$.workflow")
        return [_read_task((path, entry), (path, entry), faults) for path, entry in entries]
    sizes = {
        str(entry.get("id")): entry.get("sizeInBytes")
        for _, entry in faults.objects_at(specification, "files", "$.workflow.specification")
    }
    execution = faults.object_at(workflow, "execution", "$.workflow")
    measured = _measurements(execution, faults)
    recorded = []
    for path, entry in faults.objects_at(specification, "tasks", "$.workflow.specification"):
        task = _read_task((path, entry), measured.pop(str(entry.get("id")), (path, {})), faults)
        task.inputs.update((name, sizes.get(name)) for name in faults.texts_at(entry, "inputFiles", path))
        task.outputs.update((name, sizes.get(name)) for name in faults.texts_at(entry, "outputFiles", path))
        recorded.append(task)
    for key, (path, _) in measured.items():
        faults.add(f"{path}.id", f"{key!r} is not a task of the specification")
    return recorded


def _measurements(execution: Mapping[str, object], faults: Faults) -> dict[str, _Located]:
    measured: dict[str, _Located] = {}
    for path, entry in faults.objects_at(execution, "tasks", "$.workflow.execution"):
        key = faults.text_at(entry, "id", path)
        if key in measured:
            faults.add(f"{path}.id", f"{key!r} is given twice")
        measured[key] = path, entry
    return measured


def _read_task(specified: _Located, executed: _Located, faults: Faults) -> _Recorded:
    (path, entry), (measured_path, measured) = specified, executed
    name = faults.text_at(entry, "name", path)
    key = faults.text_at(entry, "id", path) or name
    if not key:
        faults.add(path, "has neither an id nor a name")
    facts = {"id": key, **_facts(measured_path, measured, faults)}
    command = faults.object_at(measured, "command", measured_path)
    runtime = facts.get("runtimeInSeconds")
    task = _Recorded(
        path=path,
        key=key,
        name=name or key,
        parents=faults.texts_at(entry, "parents", path),
        children=faults.texts_at(entry, "children", path),
        inputs={},
        outputs={},
        program=faults.text_at(command, "program", f"{measured_path}.command"),
        arguments=faults.texts_at(command, "arguments", f"{measured_path}.command"),
        facts=facts,
        runtime=runtime if isinstance(runtime, int | float) else None,
    )
    _read_linked_files(entry, task, faults)
    return task


def _facts(path: str, measured: Mapping[str, object], faults: Faults) -> dict[str, object]:
    facts: dict[str, object] = {}
    for fact, spellings in _FACTS.items():
        spelling = next((each for each in spellings if each in measured), None)
        if spelling is not None:
            facts[fact] = faults.number_at(measured, spelling, path)
    facts.update((fact, faults.number_at(measured, fact, path)) for fact in _KEPT if fact in measured)
    facts.update((fact, measured[fact]) for fact in _KEPT_AS_IS if fact in measured)
    return facts


def _read_linked_files(entry: Mapping[str, object], task: _Recorded, faults: Faults) -> None:
    # Up to schema 1.4 a task lists its files itself and says of each which way it goes.
    for path, file in faults.objects_at(entry, "files", task.path):
        link = file.get("link")
        if link not in ("input", "output"):
            faults.add(f"{path}.link", "must be 'input' or 'output'")
            continue
        side = task.inputs if link == "input" else task.outputs
        name = faults.text_at(file, "name", path) or faults.text_at(file, "id", path)
        side[name] = file.get("sizeInBytes", file.get("size"))


def _edges(recorded: list[_Recorded], faults: Faults) -> list[set[int]]:
    """For each task the positions of its parents, whichever end of an edge declares it."""
    positions: dict[str, int] = {}
    for index, task in enumerate(recorded):
        if task.key in positions:
            faults.add(f"{task.path}.id", f"{task.key!r} is given twice")
        positions[task.key] = index
    for name, index in _unique_names(recorded):
        positions.setdefault(name, index)  # older schemas refer to parents by name
    parents: list[set[int]] = [set() for _ in recorded]
    for index, task in enumerate(recorded):
        for word, others in (("parents", task.parents), ("children", task.children)):
            for other in others:
                found = positions.get(other)
                if found is None:
                    faults.add(f"{task.path}.{word}", f"{other!r} is not a task of the document")
                elif word == "parents":
                    parents[index].add(found)
                else:
                    parents[found].add(index)
    return parents


def _unique_names(recorded: list[_Recorded]) -> Iterable[tuple[str, int]]:
    bearers: dict[str, list[int]] = {}
    for index, task in enumerate(recorded):
        bearers.setdefault(task.name, []).append(index)
    return ((name, found[0]) for name, found in bearers.items() if len(found) == 1)


def _definition_tasks(
    recorded: list[_Recorded], parents: list[set[int]], options: WfFormatOptions
) -> list[dict[str, object]]:
    order, cycle = order_or_cycle(parents)
    if cycle:
        names = " -> ".join(recorded[index].key for index in [*cycle, cycle[0]])
        raise refuse(f"{recorded[cycle[0]].path}.parents", f"the tasks wait for each other: {names}")
    faults, names_given = Faults(), ReferenceNames()
    references = [names_given.claim(task.key) for task in recorded]
    tasks = []
    for index in order:
        task = _definition_task(recorded[index], references[index], options, faults)
        extension(task)["dependsOn"] = [references[parent] for parent in sorted(parents[index])]
        tasks.append(task)
    faults.raise_any()
    return tasks


def _definition_task(
    recorded: _Recorded, reference: str, options: WfFormatOptions, faults: Faults
) -> dict[str, object]:
    if options.execute:
        if not recorded.program:
            faults.add(f"{recorded.path}.command.program", "is missing, so there is nothing to execute")
        program = Program(
            executable=recorded.program,
            args=recorded.arguments,
            inputs=list(recorded.inputs),
            outputs=list(recorded.outputs),
        )
        task = command_task(reference, program, options)
    else:
        runtime = recorded.runtime
        if runtime is None:
            runtime = options.missing_runtime_seconds
        if runtime is None:
            faults.add(recorded.path, f"task {recorded.key!r} has no recorded runtime")
        label = recorded.program or recorded.name
        task = wait_task(label, reference, seconds=(runtime or 0) * options.time_scale)
    files = {"inputFiles": recorded.inputs, "outputFiles": recorded.outputs}
    task["metadata"] = recorded.facts | {side: found for side, found in files.items() if found}
    return task

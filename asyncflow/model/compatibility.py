"""What another version of a workflow definition changes for those who use it: safe or breaking.

Who uses it are callers (input and output), workers (task names and their inputs), and executions under way
(reference names, types, places). It compares and changes nothing; running executions are judged one by
one by `decide/migration_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from asyncflow.model.task_definition import SchemaDefinition
from asyncflow.model.values import JsonObject
from asyncflow.model.walk import Place, placed_tasks
from asyncflow.model.workflow_definition import WorkflowDefinition, WorkflowTask

Subject = Literal["task", "input", "output", "schema"]
Change = Literal["added", "removed", "renamed", "changed"]


class Difference(NamedTuple):
    """One thing that is otherwise; `name` is that of now where it was renamed, with `renamed_to`."""

    subject: Subject
    change: Change
    name: str
    breaking: bool
    message: str
    renamed_to: str = ""

    def shown(self) -> JsonObject:
        """As JSON."""
        body: JsonObject = {
            "subject": self.subject,
            "change": self.change,
            "name": self.name,
            "verdict": "breaking" if self.breaking else "safe",
            "message": self.message,
        }
        return {**body, "renamedTo": self.renamed_to} if self.renamed_to else body

    def __str__(self) -> str:
        """As one line."""
        return f"{self.subject} {self.name} {self.change}: {self.message}"


class _Found(NamedTuple):
    """A task with the task around it and where in that."""

    task: WorkflowTask
    place: str


def differences(before: WorkflowDefinition, after: WorkflowDefinition) -> list[Difference]:
    """Everything that `after` changes for the users of `before`, in the order of the definitions.

    What a task does with its input and how often it is tried is nobody's business but its own.
    """
    return [
        *_inputs(before, after),
        *_outputs(before, after),
        *_schemas(before.input_schema, after.input_schema, "input"),
        *_schemas(before.output_schema, after.output_schema, "output"),
        *_tasks(before, after),
    ]


def renames(found: list[Difference]) -> dict[str, str]:
    """The tasks that were renamed, as a migration of running executions takes them."""
    return {each.name: each.renamed_to for each in found if each.renamed_to}


# --- input and output -----------------------------------------------------------------------------


def _inputs(before: WorkflowDefinition, after: WorkflowDefinition) -> Iterator[Difference]:
    for name in _new(before.input_parameters, after.input_parameters):
        if name in after.input_template:
            yield Difference("input", "added", name, False, "callers need not give it: it has a default")
        else:
            yield Difference("input", "added", name, True, "callers do not give it, and it has no default")
    for name in _new(after.input_parameters, before.input_parameters):
        yield Difference("input", "removed", name, False, "callers may go on giving it")
    for name in _new(after.input_template, before.input_template):
        if name in after.input_parameters:
            yield Difference("input", "changed", name, True, "it has no default any more")


def _outputs(before: WorkflowDefinition, after: WorkflowDefinition) -> Iterator[Difference]:
    one, other = before.output_parameters, after.output_parameters
    if bool(one) != bool(other):
        last = "the output of the last task"
        message = f"it was {last}" if other else f"it becomes {last}"
        yield Difference("output", "changed", "outputParameters", True, message)
        return
    for name in _new(one, other):
        yield Difference("output", "added", name, False, "callers may take it")
    for name in _new(other, one):
        yield Difference("output", "removed", name, True, "callers may read it")
    for name in one:
        if name in other and one[name] != other[name]:
            yield Difference("output", "changed", name, False, "it comes from somewhere else")


def _schemas(
    before: SchemaDefinition | None, after: SchemaDefinition | None, of: Literal["input", "output"]
) -> Iterator[Difference]:
    if before == after:
        return
    one, other = _properties(before), _properties(after)
    for name in _new(one, other):
        breaking = of == "input" and name in _required(after)
        yield Difference(
            "schema", "added", f"{of}.{name}", breaking, "required" if breaking else "not required"
        )
    for name in _new(other, one):
        breaking = of == "output"
        yield Difference("schema", "removed", f"{of}.{name}", breaking, "no longer described")
    for name in one:
        if name in other and _type(one[name]) != _type(other[name]):
            message = f"{_type(one[name])} became {_type(other[name])}"
            yield Difference("schema", "changed", f"{of}.{name}", True, message)
        elif name in other and of == "input" and name in _required(after) and name not in _required(before):
            yield Difference("schema", "changed", f"{of}.{name}", True, "it is required now")
        elif name in other and of == "output" and name in _required(before) and name not in _required(after):
            yield Difference("schema", "changed", f"{of}.{name}", True, "it is not always there any more")


def _properties(schema: SchemaDefinition | None) -> Mapping[str, object]:
    found = None if schema is None or schema.data is None else schema.data.get("properties")
    return found if isinstance(found, dict) else {}


def _required(schema: SchemaDefinition | None) -> list[object]:
    found = None if schema is None or schema.data is None else schema.data.get("required")
    return found if isinstance(found, list) else []


def _type(described: object) -> object:
    return described.get("type", "anything") if isinstance(described, dict) else "anything"


# --- tasks ----------------------------------------------------------------------------------------


def _tasks(before: WorkflowDefinition, after: WorkflowDefinition) -> Iterator[Difference]:
    one, other = _by_reference(before), _by_reference(after)
    renamed = _renamed(one, other)
    for ref, found in one.items():
        if ref in renamed:
            message = "who names it has to name the other; a migration maps it"
            yield Difference("task", "renamed", ref, True, message, renamed[ref])
            yield from _task(ref, found, other[renamed[ref]])
        elif ref in other:
            yield from _task(ref, found, other[ref])
        else:
            message = "who signals it or reads it finds nothing, and executions that are at it cannot migrate"
            yield Difference("task", "removed", ref, True, message)
    for ref in _new(one, other):
        if ref not in renamed.values():
            yield Difference("task", "added", ref, False, f"{other[ref].task.type} {other[ref].task.name}")


def _task(ref: str, before: _Found, after: _Found) -> Iterator[Difference]:
    one, other = before.task, after.task
    if one.type != other.type:
        yield Difference("task", "changed", ref, True, f"{one.type} became {other.type}")
        return
    if one.type == "SIMPLE" and one.name != other.name:
        yield Difference(
            "task", "changed", ref, True, f"workers of {other.name} do it, not those of {one.name}"
        )
    if _child(one) != _child(other):
        yield Difference("task", "changed", ref, True, f"it starts {_child(other)}, not {_child(one)}")
    if before.place != after.place:
        yield Difference("task", "changed", ref, True, f"it stood {before.place} and stands {after.place}")
    for key in _new(other.input_parameters, one.input_parameters):
        yield Difference("task", "changed", ref, True, f"its input has no {key} any more")
    for key in _new(one.input_parameters, other.input_parameters):
        yield Difference("task", "changed", ref, False, f"its input has {key}")


def _child(task: WorkflowTask) -> str:
    param = task.sub_workflow_param
    return "" if param is None or task.type != "SUB_WORKFLOW" else param.name or "an inline workflow"


def _renamed(one: Mapping[str, _Found], other: Mapping[str, _Found]) -> dict[str, str]:
    """Tasks that are gone, with the only new one that is alike: in name, type, place, keys of input."""
    gone, new = _grouped(one, _new(other, one)), _grouped(other, _new(one, other))
    return {
        refs[0]: new[likeness][0]
        for likeness, refs in gone.items()
        if len(refs) == 1 and len(new.get(likeness, ())) == 1
    }


def _grouped(found: Mapping[str, _Found], refs: list[str]) -> dict[tuple[object, ...], list[str]]:
    groups: dict[tuple[object, ...], list[str]] = {}
    for ref in refs:
        groups.setdefault(_likeness(found[ref]), []).append(ref)
    return groups


def _likeness(found: _Found) -> tuple[object, ...]:
    task = found.task
    return task.name, task.type, found.place, tuple(sorted(task.input_parameters))


def _by_reference(definition: WorkflowDefinition) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    around: dict[Place, str] = {}
    for each in placed_tasks(definition):
        around[each.place] = each.task.task_reference_name
        outer = (each.place[:length] for length in range(len(each.place) - 1, 0, -1))
        owner = next((around[place] for place in outer if place in around), "")
        found[each.task.task_reference_name] = _Found(each.task, f"in {owner}" if owner else "at the top")
    return found


def _new(one: Iterable[str], other: Iterable[str]) -> list[str]:
    """What the second has and the first has not, in order."""
    known = set(one)
    return [name for name in other if name not in known]

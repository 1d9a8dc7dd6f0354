"""Advice on a definition: what is accepted but most likely not meant.

Nothing here refuses anything, and a definition that is refused may be linted as well. The refusals are
in `model/validation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from asyncflow.errors import Violation
from asyncflow.model.extension import TaskDefinitionExtension, WorkflowExtension
from asyncflow.model.shape import EXTENSION_KEY, path_of
from asyncflow.model.task_definition import TaskDefinition
from asyncflow.model.validation_references import expressions, is_known, reference_violations, source_of
from asyncflow.model.validation_tasks import OPERATORS, Finding, task_definition_violations
from asyncflow.model.walk import Inline, Place, Placed, placed_tasks, with_inline
from asyncflow.model.workflow_definition import WorkflowDefinition, WorkflowTask, depends_on

_QUEUES = frozenset({"SIMPLE", "USER_DEFINED"})
_PERFORMED = frozenset({"DYNAMIC", "HTTP"})
_EVALUATORS = frozenset({"value-param", "javascript", "graaljs", "python"})
_SUCCESSORS = {"DECISION": "SWITCH", "LAMBDA": "INLINE"}

_Rule = Callable[[Placed, frozenset[str]], Iterable[Finding]]


def lint_workflow(
    definition: WorkflowDefinition, *, types: Iterable[str] = (), names: Iterable[str] = ()
) -> list[Violation]:
    """Warnings in order of definition, inline sub-workflows included; empty when there is nothing to say.

    Args:
        types: task types that installed plugins carry out, besides ours.
        names: environment variables that `${NAME}` may name.
    """
    known_types = _QUEUES | OPERATORS | frozenset(types)
    return [
        Violation(inline.path_to(each.path), each.message)
        for inline in with_inline(definition)
        for each in _warnings(inline, known_types, frozenset(names))
    ]


def lint_task_definition(definition: TaskDefinition) -> list[Violation]:
    """Warnings of a task definition that stands by itself."""
    return [Violation(f"{EXTENSION_KEY}.{part}", text) for part, text in _unknown_keys(definition.extension)]


def _warnings(inline: Inline, types: frozenset[str], names: frozenset[str]) -> Iterator[Violation]:
    definition = inline.definition
    placed = list(placed_tasks(definition))
    references = frozenset(each.task.task_reference_name for each in placed)
    yield from _head(definition, [each.task for each in placed])
    for each in placed:
        if each.task.type not in types:
            message = "is not built in: without a plugin it waits for a worker that polls that name"
            yield Violation(f"{each.path}.type", f"{each.task.type} {message}")
        for rule in _RULES:
            yield from (Violation(f"{each.path}.{part}", text) for part, text in rule(each, references))
    known = references | names
    if inline.prefix:
        yield from reference_violations(definition, known)
    yield from _unknown_references(definition, placed, known)


# --- the workflow ----------------------------------------------------------------------------


def _head(definition: WorkflowDefinition, tasks: list[WorkflowTask]) -> Iterator[Violation]:
    for part, message in _unknown_keys(definition.extension):
        yield Violation(f"{EXTENSION_KEY}.{part}", message)
    if definition.version < 1:
        yield Violation("version", "a version below 1 cannot be asked for: 0 stands for the latest")
    if definition.timeout_seconds < 0:
        yield Violation("timeoutSeconds", "a negative timeout is none")
    used = set(_inputs_used(definition, tasks))
    for index, name in enumerate(definition.input_parameters):
        if used and "" not in used and name not in used:
            yield Violation(f"inputParameters[{index}]", f"no expression uses the input {name!r}")


def _inputs_used(definition: WorkflowDefinition, tasks: list[WorkflowTask]) -> Iterator[str]:
    """Keys of the workflow's input that expressions name; "" when one takes it whole."""
    texts: list[object] = [definition.output_parameters, definition.failure_workflow]
    for task in tasks:
        params = task.sub_workflow_param
        texts += [task.input_parameters, task.sink, task.items]
        texts += [params.name, params.task_to_domain, params.priority] if params is not None else []
        texts += [params.workflow_definition] if params is not None else []
    for _, path in expressions(texts, ()):
        if source_of(path) == "workflow":
            _, _, rest = path.strip().removeprefix("$.").partition(".")
            if rest.startswith("input"):
                yield source_of(rest.removeprefix("input").removeprefix("."))


def _unknown_references(
    definition: WorkflowDefinition, placed: list[Placed], names: frozenset[str]
) -> Iterator[Violation]:
    """Expressions that registration does not look at: outputs, and the inputs of inner tasks."""
    values: list[tuple[object, Place]] = [(definition.output_parameters, ("outputParameters",))]
    values += [(p.task.input_parameters, (*p.place, "inputParameters")) for p in placed if len(p.place) > 2]
    is_dynamic = any(each.task.type == "FORK_JOIN_DYNAMIC" for each in placed)
    doubt = ", unless a dynamic fork makes it" if is_dynamic else ""
    for value, place in values:
        for where, path in expressions(value, place):
            if not is_known(path, names):
                message = f"{source_of(path)!r} is neither 'workflow' nor a task of this definition{doubt}"
                yield Violation(path_of(where), message)


# --- one task --------------------------------------------------------------------------------


def _naming(placed: Placed, references: frozenset[str]) -> Iterator[Finding]:
    looped, mark, iteration = placed.task.task_reference_name.rpartition("__")
    if mark and looped in references and iteration.isascii() and iteration.isdigit():
        said = f"is the name of iteration {iteration} of {looped!r} in a loop too"
        yield "taskReferenceName", f"{said}: each may find the other's record"
    elif "__" in placed.task.task_reference_name:
        yield "taskReferenceName", "avoid '__': loops split reference names there"
    successor = _SUCCESSORS.get(placed.task.type)
    if successor is not None:
        yield "type", f"{placed.task.type} is deprecated, use {successor}"


def _joining(placed: Placed, references: frozenset[str]) -> Iterator[Finding]:
    task, follower = placed.task, placed.follower
    if task.type in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"} and (follower is None or follower.type != "JOIN"):
        yield "type", f"a {task.type} must be followed by a JOIN: without it the execution fails"
    is_dynamic = placed.index > 0 and placed.siblings[placed.index - 1].type == "FORK_JOIN_DYNAMIC"
    for part, listed in (
        ("joinOn", task.join_on),
        ("defaultExclusiveJoinTask", task.default_exclusive_join_task),
    ):
        for index, reference in enumerate(listed):
            if reference not in references and "${" not in reference and not is_dynamic:
                yield f"{part}[{index}]", f"names {reference!r}, which is no task of this definition"


def _looping(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    task = placed.task
    if task.type != "DO_WHILE":
        return
    if "items" in task.input_parameters and not task.items and "_items" not in task.input_parameters:
        yield "inputParameters.items", "is not iterated over: use the field 'items' or the input '_items'"
    for index, inner in enumerate(task.loop_over):
        if inner.type == "DO_WHILE":
            message = "a loop directly within a loop is not supported by Conductor, use SUB_WORKFLOW"
            yield f"loopOver[{index}].type", message


def _waiting(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    inputs = placed.task.input_parameters
    if placed.task.type == "WAIT" and "wait_until" in inputs and not {"until", "duration"} & set(inputs):
        yield "inputParameters.wait_until", "is ignored and the task waits for ever: use 'until'"


def _choosing(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    task = placed.task
    given = task.evaluator_type if task.type == "SWITCH" else task.input_parameters.get("evaluatorType")
    if task.type in {"SWITCH", "INLINE"} and given is not None and given not in _EVALUATORS:
        yield "evaluatorType", f"no such evaluator: {str(given)[:80]!r}"


def _unreachable(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    follower = placed.follower
    if placed.task.type != "TERMINATE" or follower is None:
        return
    if depends_on(follower) is None:
        yield "type", f"{follower.task_reference_name!r} after it is never started"


def _extension(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    task = placed.task
    yield from ((f"{EXTENSION_KEY}.{part}", text) for part, text in _unknown_keys(task.extension))
    if (
        task.extension is not None
        and task.extension.executor is not None
        and task.type in OPERATORS - {"DYNAMIC"}
    ):
        yield f"{EXTENSION_KEY}.executor", f"has no effect on a {task.type}"
    if task.retry_count is not None and task.retry_count < 0:
        yield "retryCount", "a negative number of retries is none"
    definition = task.task_definition
    if definition is not None:
        place = f"taskDefinition.{EXTENSION_KEY}"
        yield from ((f"{place}.{part}", text) for part, text in _unknown_keys(definition.extension))
        named = definition.model_copy(update={"name": definition.name or task.name})
        yield from ((f"taskDefinition.{part}", text) for part, text in task_definition_violations(named))


def _unheeded(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    own, kind = placed.task.extension, placed.task.type
    if own is not None and own.duration_ms is not None and kind != "WAIT":
        yield f"{EXTENSION_KEY}.durationMs", f"has no effect on a {kind}"
    if own is not None and own.execute_when_recovering and kind in OPERATORS - _PERFORMED:
        yield f"{EXTENSION_KEY}.executeWhenRecovering", f"has no effect on a {kind}"


def _unclosed(placed: Placed, _: frozenset[str]) -> Iterator[Finding]:
    for key, value in placed.task.input_parameters.items():
        if isinstance(value, str) and value.count("${") > value.count("}"):
            yield path_of(("inputParameters", key)), "holds '${' without its '}': it stays as it is"


_RULES: tuple[_Rule, ...] = (
    _naming,
    _joining,
    _looping,
    _waiting,
    _choosing,
    _unreachable,
    _extension,
    _unheeded,
    _unclosed,
)


def _unknown_keys(extension: TaskDefinitionExtension | WorkflowExtension | None) -> Iterator[Finding]:
    if extension is None:
        return
    for key in extension.model_extra or ():
        yield path_of((key,)), "is not known; it is kept, and has no effect"
    for index, use in enumerate(extension.resources):
        for key in use.model_extra or ():
            yield path_of(("resources", index, key)), "is not known; it is kept, and has no effect"

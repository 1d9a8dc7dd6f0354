"""Whether a definition could run: its rules, what is doubtful in it, and the syntax of its scripts.

Nothing is executed, registered or looked up. Rules and advice are the model's; this module brings
them together with the interpreters, which the model must not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from asyncflow.app.plugin_inputs import input_models, lint_inputs
from asyncflow.model.definition import TaskDefinition, WorkflowDefinition, WorkflowTask
from asyncflow.model.validation import validate_task_definition, validate_workflow
from asyncflow.model.validation_lint import lint_task_definition, lint_workflow
from asyncflow.model.walk import placed_tasks, with_inline
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.scripts.javascript import check_javascript, lambda_source

_JAVASCRIPT = frozenset({"javascript", "graaljs"})
_BUILT_IN = ("COMMAND",)

Kind = Literal["error", "warning"]


class Finding(NamedTuple):
    """One thing to say of a definition; errors refuse it, warnings do not."""

    kind: Kind
    path: str
    message: str


def check_workflow(definition: WorkflowDefinition, registry: Registry | None = None) -> list[Finding]:
    """Everything there is to say of a workflow definition, errors first.

    Args:
        registry: the plugins whose types of task are known; None for those that are built in.

    Cost: about 100 µs a script, besides the walk over the definition.
    """
    errors = [Finding("error", each.path, each.message) for each in validate_workflow(definition)]
    scripts = [] if errors else list(script_faults(definition))
    plugins = registry or Registry.built_in()
    advice = lint_workflow(definition, types=(*_BUILT_IN, *plugins.task_types))
    advice += lint_inputs(definition, input_models(plugins))
    return [*errors, *scripts, *(Finding("warning", each.path, each.message) for each in advice)]


def check_task_definition(definition: TaskDefinition) -> list[Finding]:
    """Everything there is to say of a task definition, errors first."""
    errors = [Finding("error", each.path, each.message) for each in validate_task_definition(definition)]
    advice = lint_task_definition(definition)
    return [*errors, *(Finding("warning", each.path, each.message) for each in advice)]


def script_faults(definition: WorkflowDefinition) -> Iterator[Finding]:
    """Syntax errors of the JavaScript in it; a script with an expression in it is known only when it runs."""
    for inline in with_inline(definition):
        for placed in placed_tasks(inline.definition):
            for part, source in _scripts(placed.task):
                fault = None if "${" in source else check_javascript(source)
                if fault is not None:
                    yield Finding("error", inline.path_to(f"{placed.path}.{part}"), fault)


def _scripts(task: WorkflowTask) -> Iterator[tuple[str, str]]:
    parameters = task.input_parameters
    evaluator = task.evaluator_type or parameters.get("evaluatorType") or ""
    if task.type == "SWITCH" and evaluator in _JAVASCRIPT:
        yield "expression", task.expression or ""
    elif task.type == "DECISION" and task.case_expression:
        yield "caseExpression", task.case_expression
    elif task.type == "DO_WHILE" and task.loop_condition:
        yield "loopCondition", task.loop_condition
    elif task.type == "LAMBDA" and isinstance(parameters.get("scriptExpression"), str):
        yield "inputParameters.scriptExpression", lambda_source(str(parameters["scriptExpression"]))
    elif task.type == "INLINE" and evaluator in _JAVASCRIPT and isinstance(parameters.get("expression"), str):
        yield "inputParameters.expression", str(parameters["expression"])


def javascript_works() -> bool:
    """Whether the interpreter of this installation tells right from wrong."""
    return check_javascript("1 + 1") is None and check_javascript("1 +") is not None

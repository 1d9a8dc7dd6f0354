"""What a script effect evaluates: language, source and input, read from the state when it starts."""

from __future__ import annotations

from asyncflow.decide.operators import script_of
from asyncflow.decide.operators_loop import condition_input
from asyncflow.decide.scope import StateScope
from asyncflow.decide.step import Context
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonMapping


def script_request(state: ExecutionState, number: int, context: Context) -> tuple[str, str, JsonMapping]:
    """The script that the record with this number asks for: "javascript", "lambda" or "jq", text, input.

    The inputs of a loop are resolved anew for each condition, as Conductor does.
    """
    task = state.tasks[number]
    if task.node.type != "DO_WHILE":
        return script_of(task)
    scope = StateScope(state, creating=number, environment=context.environment)
    given = task.input if task.node.input.is_constant else task.node.input.resolve(scope)
    return script_of(task, condition_input(state, task, dict(given) if isinstance(given, dict) else {}))

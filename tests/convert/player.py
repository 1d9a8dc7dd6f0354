"""Runs an imported definition on the deciding core, with Python functions for its workers.

Order, expressions, forks and loops are the engine's own, and scripts are really run; only the
functions are called here, one at a time, whichever can go on first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import quickjs

from asyncflow.decide.render import render_execution
from asyncflow.model.state import TaskState
from asyncflow.testing.pure import World
from tests.convert.emitted import tasks_of

Json = dict[str, object]
Function = Callable[[Json], Json]


class Player:
    """A world for one definition; `calls` are the functions called, in order, with their inputs."""

    def __init__(self, functions: Mapping[str, Function], given: Json | None = None) -> None:
        self._functions = functions
        self._given = given
        self.world = World(scripts=run_script)
        self.calls: list[tuple[str, Json]] = []

    def play(self, definition: Json) -> Json:
        """Run an execution to its end, which must be a good one, and give its output."""
        assert tasks_of(definition)
        state = self.world.start(definition, self._given)
        self.world.run(self._call)
        rendered = render_execution(state)
        assert rendered["status"] == "COMPLETED", rendered["reasonForIncompletion"]
        output = rendered["output"]
        assert isinstance(output, dict)
        return output

    def _call(self, task: TaskState) -> Json:
        given = dict(task.input)
        self.calls.append((task.node.name, given))
        return self._functions[task.node.name](given)


def run_script(language: str, source: str, given: Mapping[str, object]) -> object:
    """The value of a JavaScript text with the input bound to `$`."""
    assert language == "javascript"
    context = quickjs.Context()
    context.set("given", json.dumps(given))
    context.set("source", source)
    return json.loads(context.eval("globalThis.$ = JSON.parse(given); JSON.stringify(eval(source))"))

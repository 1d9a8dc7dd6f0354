"""Plays an imported definition in its order, with Python functions for its workers.

Expressions are resolved by the engine's own code and scripts are really run; only the order of a
task list, dynamic forks and list loops are played here, so that what an importer means can be
checked without an engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import quickjs

from asyncflow.decide.expressions import compile_template
from asyncflow.decide.lookups import DocumentScope
from tests.convert.emitted import Task, inputs_of, needs_of, tasks_of

Json = dict[str, object]
Function = Callable[[Json], Json]


class Player:
    """The outputs of every task played so far; `calls` are the functions called, in order."""

    def __init__(self, functions: Mapping[str, Function], given: Json | None = None) -> None:
        self._functions = functions
        self._roots: Json = {"workflow": {"input": given or {}}}
        self.calls: list[tuple[str, Json]] = []

    def play(self, definition: Json) -> Json:
        """Play every task, each after what it needs, and give the workflow's output."""
        for reference, task in tasks_of(definition).items():
            assert all(need in self._roots for need in needs_of(task)), "needs are played before"
            self._ended(reference, self._run(reference, task))
        outputs = self._resolve(definition["outputParameters"])
        assert isinstance(outputs, dict)
        return outputs

    def _ended(self, reference: str, output: object) -> None:
        self._roots[reference] = {"output": output}

    def _resolve(self, template: object) -> object:
        return compile_template(template).resolve(DocumentScope(self._roots))

    def _inputs(self, task: Task) -> Json:
        resolved = self._resolve(inputs_of(task))
        assert isinstance(resolved, dict)
        return resolved

    def _run(self, reference: str, task: Task) -> object:
        match task["type"]:
            case "SIMPLE":
                return self._call(task)
            case "INLINE":
                return {"result": self._script(self._inputs(task))}
            case "FORK_JOIN_DYNAMIC":
                return self._fork(self._inputs(task))
            case "JOIN":
                (fork,) = needs_of(task)
                return self._resolve("${" + fork + ".output}")
            case "DO_WHILE":
                return self._loop(reference, task)
            case other:
                raise AssertionError(f"nothing plays {other}")

    def _call(self, task: Task) -> Json:
        given = self._inputs(task)
        self.calls.append((str(task["name"]), given))
        return self._functions[str(task["name"])](given)

    def _script(self, given: Json) -> object:
        context = quickjs.Context()
        context.set("given", json.dumps(given))
        text = context.eval("globalThis.$ = JSON.parse(given); JSON.stringify(eval($.expression))")
        return json.loads(text)

    def _fork(self, given: Json) -> Json:
        tasks, inputs = given["tasks"], given["inputs"]
        assert isinstance(tasks, list)
        assert isinstance(inputs, dict)
        joined: Json = {}
        for task in reversed(tasks):  # the order in which branches end is nobody's promise
            reference = task["taskReferenceName"]
            joined[reference] = self._call({**task, "inputParameters": inputs[reference]})
            self._ended(reference, joined[reference])
        return joined

    def _loop(self, reference: str, task: Task) -> Json:
        items, body = self._resolve(task["items"]), task["loopOver"]
        assert isinstance(items, list)
        assert isinstance(body, list)
        output: Json = {"iteration": len(items)}
        for index, item in enumerate(items):
            self._ended(reference, {**output, "loopIndex": index, "loopItem": item})
            output[str(index + 1)] = {body[0]["taskReferenceName"]: self._call(body[0])}
        return output

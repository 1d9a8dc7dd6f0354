"""The tasks that stand for firings over a collection whose size is known only while it runs.

Elements run side by side in a FORK_JOIN_DYNAMIC, or one after the other in a DO_WHILE over the
list where the process says `parlevel: 1`. Two small scripts, before and after, name the elements'
tasks and gather what they gave in the order of the collection; no data passes through the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncflow.convert.references import ReferenceNames, expression, literal, path_to

Task = dict[str, object]

# Each element's input is a template that names its value by path and index, so that nothing in
# the value itself is taken for an expression when the forked task's input is resolved.
_PLAN = """(function () {
  if ($.items === null || typeof $.items !== 'object' || $.items.length === undefined) {
    throw new Error($.source + ' is not a list');
  }
  var tasks = [], inputs = {}, refs = [];
  for (var i = 0; i < $.items.length; i++) {
    var ref = $.prefix + '_' + i, input = {}, ins = [];
    for (var p = 0; p < $.ports.length; p++) {
      var port = $.ports[p], value = port.value;
      if (port.path) { value = '$' + '{' + port.path + (port.each ? '[' + i + ']' : '') + '}'; }
      input[port.name] = value;
      ins.push(value);
    }
    for (var key in $.fixed) { input[key] = $.fixed[key]; }
    input.ins = ins;
    var task = {name: $.name, taskReferenceName: ref, type: 'SIMPLE', inputParameters: {}};
    if ($.recovers) { task.asyncflow = {executeWhenRecovering: true}; }
    tasks.push(task);
    inputs[ref] = input;
    refs.push(ref);
  }
  return {tasks: tasks, inputs: inputs, refs: refs};
})();"""

_GATHER = """(function () {
  var gathered = {};
  for (var s = 0; s < $.signals.length; s++) {
    var name = $.signals[s], values = [];
    for (var i = 0; i < $.refs.length; i++) {
      var output = $.joined[$.refs[i]];
      values.push(output && output[name] !== undefined ? output[name] : null);
    }
    gathered[name] = values;
  }
  return gathered;
})();"""

_GATHER_LOOP = """(function () {
  var gathered = {};
  for (var s = 0; s < $.signals.length; s++) {
    var name = $.signals[s], values = [];
    for (var i = 1; i <= $.loop.iteration; i++) {
      var output = ($.loop['' + i] || {})[$.ref];
      values.push(output && output[name] !== undefined ? output[name] : null);
    }
    gathered[name] = values;
  }
  return gathered;
})();"""


@dataclass(frozen=True, slots=True)
class ElementPort:
    """One input of an element's task: a path, by element if `each`, or a constant value."""

    name: str
    path: str | None = None
    each: bool = False
    value: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementTask:
    """The task that runs for every element; `fixed` inputs are the same for all."""

    name: str
    reference: str
    ports: Sequence[ElementPort]
    fixed: dict[str, object]
    signals: Sequence[str]
    recovers: bool


def side_by_side(task: ElementTask, names: ReferenceNames, *, needs: Sequence[str]) -> tuple[list[Task], str]:
    """The tasks that run all elements at once, and the reference of the one that gathers."""
    ref = task.reference
    plan, join, gather = (names.claim(f"{ref}_{word}") for word in ("plan", "join", "gather"))
    source = next(port.path for port in task.ports if port.each)
    ports = [
        {"name": port.name, "path": port.path, "each": port.each, "value": literal(literal(port.value))}
        for port in task.ports
    ]
    planned: dict[str, object] = {
        "items": expression(str(source)),
        "source": source,
        "prefix": names.claim(f"{ref}_element"),
        "name": task.name,
        "ports": ports,
        "fixed": literal(literal(task.fixed)),  # resolved twice: here and as a forked task's input
        "recovers": task.recovers,
    }
    fork: Task = {
        "name": "fork",
        "taskReferenceName": ref,
        "type": "FORK_JOIN_DYNAMIC",
        "dynamicForkTasksParam": "tasks",
        "dynamicForkTasksInputParamName": "inputs",
        "inputParameters": {key: expression(f"{plan}.output.result.{key}") for key in ("tasks", "inputs")},
        "asyncflow": {"dependsOn": [plan]},
    }
    joining: Task = {
        "name": "join",
        "taskReferenceName": join,
        "type": "JOIN",
        "joinOn": [],
        "asyncflow": {"dependsOn": [ref]},
    }
    gathered: dict[str, object] = {
        "joined": expression(f"{join}.output"),
        "refs": expression(f"{plan}.output.result.refs"),
        "signals": list(task.signals),
    }
    first = _inline(plan, _PLAN, planned, needs=needs)
    return [first, fork, joining, _inline(gather, _GATHER, gathered, needs=[join])], gather


def one_by_one(task: ElementTask, names: ReferenceNames, *, needs: Sequence[str]) -> tuple[list[Task], str]:
    """The tasks that run the elements in order, each after the one before, and the gathering reference."""
    ref = task.reference
    body, gather = (names.claim(f"{ref}_{word}") for word in ("element", "gather"))
    values = {port.name: _loop_value(port, ref) for port in task.ports}
    parameters = values | {str(key): literal(value) for key, value in task.fixed.items()}
    parameters["ins"] = [_loop_value(port, ref) for port in task.ports]
    element: Task = {
        "name": task.name,
        "taskReferenceName": body,
        "type": "SIMPLE",
        "inputParameters": parameters,
    }
    if task.recovers:
        element["asyncflow"] = {"executeWhenRecovering": True}
    loop: Task = {
        "name": "loop",
        "taskReferenceName": ref,
        "type": "DO_WHILE",
        "items": expression(str(next(port.path for port in task.ports if port.each))),
        "loopCondition": "",
        "loopOver": [element],
        "asyncflow": {"dependsOn": list(needs)},
    }
    gathered: dict[str, object] = {
        "loop": expression(f"{ref}.output"),
        "ref": body,
        "signals": list(task.signals),
    }
    return [loop, _inline(gather, _GATHER_LOOP, gathered, needs=[ref])], gather


def _loop_value(port: ElementPort, loop: str) -> object:
    if port.each:
        return expression(path_to(loop, "output", "loopItem"))
    return literal(port.value) if port.path is None else expression(port.path)


def _inline(reference: str, script: str, inputs: dict[str, object], *, needs: Sequence[str]) -> Task:
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "INLINE",
        "inputParameters": {"evaluatorType": "javascript", "expression": script, **inputs},
        "asyncflow": {"dependsOn": list(needs)},
    }

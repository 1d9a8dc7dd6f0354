"""Task types of plugins as functions of this process: input checked by its model, then performed on the loop.

A type is found as a function of the same name is. What a plugin may write is in `plugins/tasks`; how a
function's result becomes an output is in `performing`.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.model.values import JsonObject
from asyncflow.plugins.inputs import read_input
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.tasks import Context, TaskType
from asyncflow.runtime.attempts import LocalFunction
from asyncflow.runtime.binding import Binding


class PluginTask:
    """A type of task as the engine performs it; see `LocalFunction`.

    Attributes:
        name: the type of task.
        executor: always the loop.
        binding: the context and the whole input.
    """

    def __init__(self, kind: type[TaskType]) -> None:
        """Make nothing of the class before the first task."""
        self._kind = kind
        self._made: TaskType | None = None
        self.name = kind.name
        self.executor = "loop"
        self.binding = Binding(kind.name, (), "ctx", "given", takes_any=False)

    async def function(self, ctx: Context, given: JsonObject) -> Mapping[str, object] | None:
        """Perform an attempt.

        Raises:
            TerminalTaskFailed: the input does not fit its model; no retry could help.
        """
        if self._made is None:
            self._made = self._kind()
        model = self._kind.Input
        return await self._made.run(ctx, given if model is None else read_input(model, given, self.name))


def plugin_functions(registry: Registry) -> dict[str, LocalFunction]:
    """The task types of these plugins, each made when its first task begins, and then kept."""
    return {name: PluginTask(kind) for name, kind in registry.tasks.items()}

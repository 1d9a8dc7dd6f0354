"""The records of an execution as its next definition finds them: by new name, by place, open or over.

One pass over the records, made before `decide/migration_plan` looks at any list. It also refuses names
that would collide; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from asyncflow.decide.evolve_migration import is_forked
from asyncflow.model.graph import Graph, Node
from asyncflow.model.state import ExecutionState, TaskState


class Problem(NamedTuple):
    """Why an execution cannot go on under a definition; `task` is the plain name of now, or empty."""

    task: str
    reason: str

    def __str__(self) -> str:
        """As one line."""
        return f"{self.task}: {self.reason}" if self.task else self.reason


class FoundRecords:
    """Records under the names of another definition.

    Attributes:
        inside: newest records within a node, at any depth, by the node's plain name of now.
        busy: plain names of now of the nodes with something open in them.
    """

    def __init__(self, state: ExecutionState, graph: Graph, mapping: Mapping[str, str]) -> None:
        """Look through the records once."""
        self._state, self._graph, self.mapping = state, graph, mapping
        self._former: dict[str, str] = {}  # new plain name to the old one that has records
        self._collisions: list[Problem] = []
        self.inside: dict[str, list[TaskState]] = {}
        self.busy: set[str] = set()
        for task in state.by_ref.values():
            if not is_forked(state, task):
                self._claim(self.plain(task))
            self._enter(task)

    @staticmethod
    def plain(task: TaskState) -> str:
        """The plain name of a record as it is now."""
        return task.ref.removesuffix(task.suffix)

    def renamed(self, task: TaskState) -> str:
        """The plain name that a record will have."""
        plain = self.plain(task)
        return self.mapping.get(plain, plain)

    def of(self, node: Node, suffix: str) -> TaskState | None:
        """The newest record that a node of the new definition takes over."""
        former = self._former.get(node.ref)
        return None if former is None else self._state.by_ref.get(former + suffix)

    def problems(self) -> Iterator[Problem]:
        """Names that are not there, or would stand for two tasks."""
        old, new = self._state.graph.nodes, self._graph.nodes
        for before, after in self.mapping.items():
            if before not in old:
                yield Problem(before, "the mapping names it, but the present definition has no such task")
            if after not in new:
                yield Problem(before, f"the mapping leads to {after}, which the new definition does not have")
        forked = {self.plain(task) for task in self._state.by_ref.values() if task.fork_index >= 0}
        for name in sorted((forked | self._state.forked_nodes.keys()) & new.keys()):
            yield Problem(name, "a dynamic fork made a task of this name, which is in the new definition")
        yield from self._collisions

    def _claim(self, plain: str) -> None:
        name = self.mapping.get(plain, plain)
        if name in self._graph.nodes and self._former.setdefault(name, plain) != plain:
            self._collisions.append(Problem(plain, f"it and {self._former[name]} would both be {name}"))

    def _enter(self, task: TaskState) -> None:
        owner = task.node.home.owner
        while owner is not None:
            self.inside.setdefault(owner.ref, []).append(task)
            if not task.settled:
                self.busy.add(owner.ref)
            owner = owner.home.owner

"""Nodes and how they are put in order: `>>` follows, a list forks, `after=` names what is waited for.

A node is one task, or a few that belong together, and stands in one place only. It renders itself and
what is within it; `workflow` holds the whole, `operators` makes nodes of every type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol, Self, TypeAlias, Unpack, cast, runtime_checkable

from asyncflow.errors import DefinitionError, InvalidInput, Violation
from asyncflow.sdk.options import Options, after_refs, extension, finished, option_fields, refuse_unknown
from asyncflow.sdk.references import Reference, render_mapping

Block: TypeAlias = "Node | Chain | Definable | Sequence[Block]"


@runtime_checkable
class LocalFunction(Protocol):
    """A function of this process that a definition names."""

    @property
    def name(self) -> str:
        """The task name under which definitions know it."""


class Scope(Protocol):
    """The workflow under construction, as its nodes see it."""

    name: str

    def adopt(self, node: Node) -> None:
        """Remember a node that was made while this workflow was being built."""

    def free_ref(self, label: str) -> str:
        """A reference name made from the label that no node made so far has."""


class Definable(ABC):
    """Something that is a whole workflow definition, and can stand within another as a sub-workflow."""

    name: str
    version: int

    @abstractmethod
    def to_definition(self) -> dict[str, object]:
        """The definition as Conductor's JSON."""

    @abstractmethod
    def as_node(self) -> Node:
        """A new sub-workflow node that carries the definition."""

    @abstractmethod
    def functions(self) -> Mapping[str, LocalFunction]:
        """The functions that the definition names, by task name."""


scope: ContextVar[Scope | None] = ContextVar("asyncflow.workflow", default=None)
"""The workflow whose `with` block we are in; nodes made there belong to it."""


class Node:
    """One task of a definition; `output`, `input` and `field` refer to its values in an execution."""

    def __init__(
        self,
        task_type: str,
        label: str,
        options: Options,
        *,
        fields: Mapping[str, object] | None = None,
        inputs: Mapping[str, object] | None = None,
    ) -> None:
        """Make a task of this type; the label names it where `ref` or `name` does not.

        Args:
            fields: Conductor's fields of this type, in JSON's words.
            inputs: input parameters that the type itself needs, before those of the options.
        """
        here = scope.get()
        self.type = task_type
        self.home = here.name if here is not None else ""
        self.ref = options.get("ref") or (here.free_ref(label) if here is not None else label)
        self.owner = ""
        self.function: LocalFunction | None = None
        self.carried: list[Definable] = []
        self.after: list[str] | None = None
        self._options: dict[str, object] = {}
        self._fields = dict(fields or {})
        self._inputs = dict(inputs or {})
        self.configure(**options)
        if here is not None:
            here.adopt(self)

    def configure(self, **options: Unpack[Options]) -> Self:
        """Set more options; one said before is replaced, inputs are added to those there are.

        Raises:
            InvalidInput: there is no such option, or it would change the reference name, which others may
                have used by now.
        """
        refuse_unknown(options, self.path)
        if options.get("ref") not in (None, self.ref):
            raise InvalidInput("its reference name cannot change any more", field=self.path)
        after, inputs = options.pop("after", None), options.pop("inputs", None)
        if after is not None:
            self.after = after_refs(after, self.path)
        self._inputs.update(inputs or {})
        self._options.update(options)
        return self

    @property
    def path(self) -> str:
        """Where errors say this node is: workflow and reference name."""
        return f"{self.home}.{self.ref}" if self.home else self.ref

    @property
    def last_ref(self) -> str:
        """The reference name that stands for the end of this node."""
        return self.ref

    @property
    def output(self) -> Reference:
        """What the task gives."""
        return self.field("output")

    @property
    def input(self) -> Reference:
        """What the task was given."""
        return self.field("input")

    def field(self, name: str) -> Reference:
        """A field of the task's record, such as `status`, `taskId` or `reasonForIncompletion`."""
        return Reference(f"{self.last_ref}.{name}")

    def __rshift__(self, following: Block) -> Chain:
        """This, then that; a list forks."""
        return Chain([self]) >> following

    def __rrshift__(self, before: Sequence[Block]) -> Chain:
        """A fork of the list, then this."""
        return Chain(element(before)) >> self

    def __repr__(self) -> str:
        """Type and place."""
        return f"<{self.type} {self.path}>"

    def join_ref(self) -> str:
        """The reference name a JOIN waits for when this node ends a branch."""
        return self.last_ref

    def children(self) -> Iterator[Sequence[Node]]:
        """The lists of nodes within this one."""
        return iter(())

    def tasks(self, depends_on: Sequence[str] | None = None) -> list[dict[str, object]]:
        """The tasks this node stands for, as Conductor's JSON.

        Args:
            depends_on: written as `dependsOn`; None where the order of the list says it all.
        """
        return [self._task(depends_on)]

    def _nested(self) -> dict[str, object]:
        return {}

    def _task(self, depends_on: Sequence[str] | None) -> dict[str, object]:
        fields: dict[str, object] = {"name": self._options.get("name") or self.ref}
        fields |= {"taskReferenceName": self.ref, "type": self.type}
        if self._inputs:
            fields["inputParameters"] = render_mapping(self._inputs, f"{self.path}.inputs")
        fields |= render_mapping(self._fields, self.path) | self._nested()
        fields |= option_fields(self._options, self.path)
        own: dict[str, object] = {} if depends_on is None else {"dependsOn": list(depends_on)}
        own |= extension(self._options, self.path)
        return finished(
            fields, own, cast("Mapping[str, object] | None", self._options.get("extra")), self.path
        )


class Chain:
    """Nodes that follow each other; `>>` gives a longer one and leaves this as it is."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Chain these nodes, in this order."""
        self.nodes = tuple(nodes)

    def __rshift__(self, following: Block) -> Chain:
        """The chain with that at its end; a list forks."""
        return Chain([*self.nodes, *element(following)])

    def __rrshift__(self, before: Sequence[Block]) -> Chain:
        """A fork of the list, then the chain."""
        return Chain([*element(before), *self.nodes])


class Join(Node):
    """A JOIN, whose output has the output of every branch end under its reference name."""

    def __init__(self, on: Sequence[str], options: Options, *, mode: str | None = None) -> None:
        """Wait for these references; `mode` is Conductor's `SYNC` or `ASYNC`."""
        fields: dict[str, object] = {"joinOn": list(on)}
        super().__init__("JOIN", "join", options, fields=fields | ({"joinMode": mode} if mode else {}))


class Forking(Node):
    """A forking task and the JOIN that follows it; its output is that of the JOIN."""

    join: Join

    @property
    def last_ref(self) -> str:
        """The JOIN stands for the end."""
        return self.join.ref

    def close_with(self, join: Join | None, on: Sequence[str]) -> None:
        """Take the author's JOIN, or make one that waits for these references."""
        self.join = join or Join(on, {"ref": f"join_{self.ref}"})
        take([self.join], self.path)

    def tasks(self, depends_on: Sequence[str] | None = None) -> list[dict[str, object]]:
        """The fork, then the join."""
        return [*super().tasks(depends_on), *self.join.tasks()]


class Fork(Forking):
    """Branches that run side by side, joined when the last task of each has ended."""

    def __init__(self, branches: Sequence[Block], options: Options, join: Join | None = None) -> None:
        """Fork into these branches, each a node, a chain, or a list of what follows each other.

        Its own name comes from its first task, so that forks made in other places never change it.

        Raises:
            InvalidInput: there is no list of branches, or one of them is empty.
        """
        where = options.get("ref") or "fork"
        if not isinstance(branches, list | tuple):
            raise InvalidInput(
                "branches are a list: nodes, chains, or lists of what follows each other", field=where
            )
        self._branches = [sequence(branch, where) for branch in branches]
        if not self._branches:
            raise InvalidInput("a fork needs a branch", field=where)
        super().__init__("FORK_JOIN", f"fork_{self._branches[0][0].ref}", options)
        self.close_with(join, [branch[-1].join_ref() for branch in self._branches])

    def children(self) -> Iterator[Sequence[Node]]:
        """The branches, and the join."""
        yield from self._branches
        yield [self.join]

    def _nested(self) -> dict[str, object]:
        return {"forkTasks": [render_nodes(branch) for branch in self._branches]}


def element(block: Block) -> list[Node]:
    """A block where one element of a sequence stands: a list is a fork."""
    if isinstance(block, Node):
        return [block]
    if isinstance(block, Chain):
        return list(block.nodes)
    if isinstance(block, Definable):
        return [block.as_node()]
    if isinstance(block, list | tuple):
        return [Fork(block, {})]
    raise InvalidInput(f"{block!r} is no node: make one with .node() or from the operators")


def sequence(block: Block, owner: str) -> list[Node]:
    """A block where a sequence stands, taken for this owner: a list is the sequence itself.

    Raises:
        InvalidInput: it is empty, or holds something that is no node.
        DefinitionError: a node in it has a place already.
    """
    items: Sequence[Block] = block if isinstance(block, list | tuple) else [block]
    nodes = [node for item in items for node in element(item)]
    if not nodes:
        raise InvalidInput("a branch needs a task", field=owner)
    take(nodes, owner)
    return nodes


def take(nodes: Sequence[Node], owner: str) -> None:
    """Give the nodes their place.

    Raises:
        DefinitionError: one has a place already; none has changed then.
    """
    times = Counter(nodes)
    twice = [node for node in times if node.owner or times[node] > 1]
    if twice:
        faults = [f"is used twice: in {node.owner or owner} and in {owner}" for node in twice]
        raise DefinitionError([Violation(n.path, fault) for n, fault in zip(twice, faults, strict=True)])
    for node in nodes:
        node.owner = owner


def render_nodes(nodes: Sequence[Node], free: Sequence[Node] = ()) -> list[dict[str, object]]:
    """A list of tasks: nodes that follow each other, then those ordered by `after` alone.

    A node with `after` in a sequence waits for its forerunner too; one that is free waits for nothing else,
    and starts with the list if `after` names nothing.
    """
    tasks: list[dict[str, object]] = []
    for at, node in enumerate(nodes):
        before = [nodes[at - 1].last_ref] if at else []
        tasks += node.tasks(None if node.after is None else list(dict.fromkeys(before + node.after)))
    for node in free:
        tasks += node.tasks((node.after or []) if tasks else node.after or None)
    return tasks


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Every node of the tree, each before what is within it."""
    for node in nodes:
        yield node
        for child in node.children():
            yield from walk(child)

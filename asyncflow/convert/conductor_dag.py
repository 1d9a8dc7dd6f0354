"""A task list with `dependsOn` edges as FORK_JOIN, JOIN and sequences with the same partial order.

It changes how tasks are arranged, never the tasks. `conductor` calls it for every list that is a
DAG, and takes the rest of a definition to Conductor's words.

The scheme. Where the order is series-parallel, it becomes sequences and nested forks, as a person
would draw it. What is left ("N" shapes) becomes one fork with a branch for each chain of tasks,
and each branch begins with a JOIN on what its first task depends on: a JOIN may name any
references, so this is exact for every DAG. Both forms start a task exactly when its dependencies
have ended; the test beside this module interprets the result and compares the orders.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncflow.convert.graph import ancestor_sets, direct_only, order_or_cycle, successors
from asyncflow.convert.reading import refuse
from asyncflow.convert.references import ReferenceNames

Task = dict[str, object]

FORKS = frozenset({"FORK_JOIN", "FORK", "FORK_JOIN_DYNAMIC"})
# These end when a branch is chosen, not when it has run: a JOIN on them would be too early.
_BRANCHING = frozenset({"SWITCH", "DECISION"})
_MOST_NESTING = 10  # forks within forks; deeper orders take the flat form


def depends_on(task: Task) -> list[str] | None:
    """The references the task names, None if it just follows its predecessor in the list."""
    extension = task.get("asyncflow")
    named = extension.get("dependsOn") if isinstance(extension, dict) else None
    return [str(reference) for reference in named] if isinstance(named, list) else None


def reference_of(task: Task) -> str:
    """The task's reference name, empty if it has none."""
    return str(task.get("taskReferenceName") or "")


class DagLowering:
    """The lowering of one list whose tasks say what they depend on."""

    def __init__(self, tasks: Sequence[Task], names: ReferenceNames, *, path: str) -> None:
        """Read the graph.

        Raises:
            DefinitionError: a dependency is not in the list, or the dependencies form a cycle.
        """
        self._names = names
        self._units = _units_of(tasks)
        predecessors = _predecessors(self._units, path)
        order, cycle = order_or_cycle(predecessors)
        if cycle:
            refs = " -> ".join(reference_of(self._units[node][0]) for node in [*cycle, cycle[0]])
            raise refuse(path, f"the tasks depend on each other: {refs}")
        self._order = order
        self._before = ancestor_sets(predecessors, order)
        self._direct = direct_only(predecessors, self._before)
        self._after = successors(self._direct)

    def tasks(self) -> list[Task]:
        """The list in Conductor's words; the given tasks are in it as they are."""
        return self._sequence(self._order, depth=0)

    def _sequence(self, nodes: list[int], *, depth: int) -> list[Task]:
        arranged: list[Task] = []
        for block in self._series(nodes):
            parts = self._parts(block)
            if len(block) == 1:
                arranged += self._units[block[0]]
            elif len(parts) == 1 or depth >= _MOST_NESTING:
                arranged += self._flat(block)
            else:
                branches = [self._sequence(part, depth=depth + 1) for part in parts]
                arranged += self._fork(branches, [self._end(branch) for branch in branches])
        return arranged

    def _series(self, nodes: list[int]) -> list[list[int]]:
        """The longest sequence of blocks in which all of a block precedes all of the next.

        Sorted by their number of ancestors the nodes of each block are contiguous, so a cut is
        where everything to the left is an ancestor of everything to the right.
        """
        mask = _bits(nodes)
        ranked = sorted(nodes, key=lambda node: (self._before[node] & mask).bit_count())
        shared_by_rest = [mask] * (len(ranked) + 1)
        for index in range(len(ranked) - 1, -1, -1):
            shared_by_rest[index] = shared_by_rest[index + 1] & self._before[ranked[index]]
        blocks: list[list[int]] = [[]]
        seen = 0
        for index, node in enumerate(ranked):
            if index and not seen & ~shared_by_rest[index]:
                blocks.append([])
            blocks[-1].append(node)
            seen |= 1 << node
        return blocks

    def _parts(self, block: list[int]) -> list[list[int]]:
        """The parts of a block between which there is no order at all, in list order."""
        inside, part_of = set(block), dict[int, int]()
        count = 0
        for start in sorted(block):
            if start in part_of:
                continue
            todo = [start]
            while todo:
                node = todo.pop()
                if node not in part_of:
                    part_of[node] = count
                    todo += [other for other in (*self._direct[node], *self._after[node]) if other in inside]
            count += 1
        parts: list[list[int]] = [[] for _ in range(count)]
        for node in block:
            parts[part_of[node]].append(node)
        return parts

    def _flat(self, block: list[int]) -> list[Task]:
        inside = set(block)
        needs = {node: [other for other in self._direct[node] if other in inside] for node in block}
        frees = {node: [other for other in self._after[node] if other in inside] for node in block}
        branches: dict[int, list[Task]] = {}  # by the last node of the chain
        heads: list[int] = []
        for node in block:  # ancestors first, so a chain is there before what continues it
            before = needs[node]
            if len(before) == 1 and len(frees[before[0]]) == 1:
                branches[node] = branches.pop(before[0])
            else:
                branches[node] = []
                heads.append(node)
            branches[node] += self._units[node]
        ends = {node: self._end(branch) for node, branch in branches.items()}
        first_task = {id(self._units[node][0]): node for node in heads}
        for branch in branches.values():
            head = first_task[id(branch[0])]
            if needs[head]:
                branch.insert(0, self._join([ends[other] for other in needs[head]]))
        sinks = [ends[node] for node in branches if not frees[node]]
        return self._fork(list(branches.values()), sinks)

    def _end(self, branch: list[Task]) -> str:
        """The reference whose end is the end of the branch; a marker is added where none is."""
        if branch[-1].get("type") in _BRANCHING:
            reference = self._names.claim(f"{reference_of(branch[-1])}_ended")
            branch.append({"name": "noop", "taskReferenceName": reference, "type": "NOOP"})
        return reference_of(branch[-1])

    def _fork(self, branches: list[list[Task]], ends: list[str]) -> list[Task]:
        fork: Task = {
            "name": "fork",
            "taskReferenceName": self._names.claim("fork_1"),
            "type": "FORK_JOIN",
            "forkTasks": branches,
        }
        return [fork, self._join(ends)]

    def _join(self, ends: list[str]) -> Task:
        reference = self._names.claim("join_1")
        return {"name": "join", "taskReferenceName": reference, "type": "JOIN", "joinOn": ends}


def _bits(nodes: Sequence[int]) -> int:
    mask = 0
    for node in nodes:
        mask |= 1 << node
    return mask


def _units_of(tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks, each fork together with the JOIN that follows it: Conductor wants them adjacent."""
    units: list[list[Task]] = []
    for task in tasks:
        last = units[-1] if units else []
        if task.get("type") == "JOIN" and len(last) == 1 and last[0].get("type") in FORKS:
            last.append(task)
        else:
            units.append([task])
    return units


def _predecessors(units: Sequence[Sequence[Task]], path: str) -> list[set[int]]:
    homes = {reference_of(task): number for number, unit in enumerate(units) for task in unit}
    predecessors: list[set[int]] = []
    for number, unit in enumerate(units):
        first = depends_on(unit[0])
        before = {number - 1} if first is None and number else set[int]()
        for task, reference in ((each, ref) for each in unit for ref in depends_on(each) or ()):
            if reference not in homes:
                where = f"{path}.{reference_of(task)}.asyncflow.dependsOn"
                raise refuse(where, f"{reference!r} is not a task of the same list")
            if homes[reference] != number or reference == reference_of(task):
                before.add(homes[reference])
        predecessors.append(before)
    return predecessors


def stricter_units(tasks: Sequence[Task]) -> list[str]:
    """References of tasks that the lowering starts later than `dependsOn` asks, as a fork is one unit.

    They depend on the opening of a fork and not on its JOIN; or they open a fork whose JOIN has
    further dependencies.
    """
    units = [unit for unit in _units_of(tasks) if len(unit) == 2]
    openings = {reference_of(unit[0]) for unit in units}
    joins = {id(unit[1]) for unit in units}
    later = [
        reference_of(task)
        for task in tasks
        if id(task) not in joins and openings & set(depends_on(task) or ())
    ]
    for fork, join in units:
        if set(depends_on(join) or ()) - {reference_of(fork)}:
            later.append(reference_of(fork))
    return later

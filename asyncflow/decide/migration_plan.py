"""What becomes of an execution's records under another definition: found, never done.

It reads the state and both definitions and changes neither, so it serves the dry run and the command
alike. The command is in `decide/migrating`, what it makes of the state in `decide/evolve_migration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncflow.decide.evolve_migration import is_forked
from asyncflow.decide.migration_records import FoundRecords, Problem
from asyncflow.decide.migration_shapes import is_same_shape, names_within
from asyncflow.decide.shape import CHOICES, FORKS, JOINS, STRUCTURE, chosen_list, node_done
from asyncflow.model.graph import Graph, Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import PAUSED, SKIPPED

# The flow of an execution stands, in every list of tasks that it entered, at the last one that has a
# record. What lies before it is over: it keeps its record, and where its inside is another one now it
# is *detached*, so that nothing ever follows from it. Where the flow stands, old and new have to agree:
# in type, and where a fork or a loop is under way in all of its inside, because its joins and rounds
# were counted by it. What lies behind is free: that is what one migrates for.
#
# A list of a DAG has no such line. There every task that has a record keeps its place, and one that
# holds others has to be what it was.

_SPECIAL = STRUCTURE | {"TERMINATE"}
"""The types that something else follows than the next task."""


@dataclass(slots=True)
class MigrationPlan:
    """What would become of an execution.

    Attributes:
        mapped: plain names of the tasks that have records and a place, to their names there.
        detached: numbers of the records that stay as what was done, with no place.
        under_way: full names, as they are now, of the records that go on.
        next: full names, as they will be, of tasks that begin with the migration.
        passed: names of new tasks that stand before what is done, and will never begin.
        problems: why it cannot be; empty if it can.
    """

    mapped: dict[str, str] = field(default_factory=dict)
    detached: list[int] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def plan_migration(state: ExecutionState, graph: Graph, mapping: Mapping[str, str]) -> MigrationPlan:
    """What becomes of the execution under `graph`; `mapping` is of plain names, old to new.

    Cost: linear in the records and in both definitions.
    """
    return _Planning(state, graph, mapping).plan()


class _Planning:
    """One look at a state and the definition it is to go on with."""

    def __init__(self, state: ExecutionState, graph: Graph, mapping: Mapping[str, str]) -> None:
        self._state, self._graph, self._mapping = state, graph, mapping
        self._records = FoundRecords(state, graph, mapping)
        self._made = MigrationPlan()
        self._explained = False
        self._placed: set[int] = set()  # newest records that keep a place
        self._over: set[str] = set()  # new plain names that the flow has left behind for good

    def plan(self) -> MigrationPlan:
        made, state = self._made, self._state
        if state.is_ended:
            self._refuse("", f"it is {state.status}: restart takes another version")
        elif state.repairs:
            self._refuse("", "it is being put right after a retry, rerun or revival: ask again")
        elif self._graph.definition.name != state.name:
            self._refuse("", f"{self._graph.definition.name} is another workflow than {state.name}")
        else:
            made.problems += self._records.problems()
            if not made.problems:
                self._walk(self._graph.root, self._state.graph.root, "")
                self._settle_rest()
        return made

    def _refuse(self, task: str, reason: str) -> None:
        self._made.problems.append(Problem(task, reason))

    # --- lists -----------------------------------------------------------------------------------

    def _walk(self, home: NodeList, former: NodeList | None, suffix: str) -> None:
        """Place the records of a list of the new definition; `former` is what the list was."""
        if former is not None and former.dag != home.dag and former.nodes:
            where = "the tasks" if home.owner is None else f"the tasks in {home.owner.ref}"
            self._refuse("", f"{where} were {'a DAG' if former.dag else 'a sequence'} and are none any more")
        elif home.dag:
            self._walk_dag(home, suffix)
        else:
            self._walk_sequence(home, suffix)

    def _walk_sequence(self, home: NodeList, suffix: str) -> None:
        found = [(place, self._records.of(node, suffix)) for place, node in enumerate(home.nodes)]
        reached = [(place, task) for place, task in found if task is not None and task.status != SKIPPED]
        if not reached:
            if home.nodes and home.owner is not None:
                self._made.next.append(home.nodes[0].ref + suffix)
            self._place_skipped(found)
            return
        last, standing = reached[-1]
        for place, task in reached[:-1]:
            self._pass(task, home.nodes[place], suffix)
        self._stand(standing, home.nodes[last], suffix)
        self._place_skipped(found)
        self._pass_over(home, [place for place, task in found[:last] if task is None], suffix)

    def _place_skipped(self, found: list[tuple[int, TaskState | None]]) -> None:
        self._placed.update(task.number for _, task in found if task is not None and task.status == SKIPPED)

    def _pass_over(self, home: NodeList, gaps: list[int], suffix: str) -> None:
        """New tasks before where the flow stands: never begun, or refused where all of a list has to be."""
        for place in gaps:
            node = home.nodes[place]
            if home.owner is None:
                self._made.passed.append(node.ref)
            else:
                self._refuse(node.ref + suffix, f"is new in {home.owner.ref}, before what has begun there")

    def _walk_dag(self, home: NodeList, suffix: str) -> None:
        done: set[str] = set()
        fresh: list[Node] = []
        for node in home.nodes:
            task = self._records.of(node, suffix)
            if task is None:
                fresh.append(node)
            elif task.settled and task.node.type not in STRUCTURE:
                self._keep_done(task, node)
                done.add(node.ref)
            else:
                self._stand_in_dag(task, node)
                if node_done(self._state, task.node, suffix):
                    done.add(node.ref)
        waiting = {each.ref for node in home.nodes if node.ref not in done for each in node.dependents}
        ready = [node for node in fresh if node.ref not in waiting]
        self._made.next += [node.ref + suffix for node in ready]
        if ready and home.owner is None and self._state.status == PAUSED:
            sources = [node.ref for node in ready if not node.needs]
            if sources:
                self._refuse(sources[0], "would begin at once, but the execution is paused: resume it first")

    # --- records ---------------------------------------------------------------------------------

    def _pass(self, task: TaskState, node: Node, suffix: str) -> None:
        """What the flow has left behind."""
        kind, before = task.node.type, task.node
        if not node_done(self._state, before, suffix) and not task.superseded:
            self._refuse(task.ref, "is under way, and there stands before what has begun")
        elif kind in FORKS and self._is_forking(task):
            self._stand(task, node, suffix)
        elif before.ref in self._records.busy:
            self._refuse(task.ref, "something in it is under way, and what follows it has begun")
        elif is_same_shape(before, node, self._mapping):
            self._keep_whole(task)
        elif not _SPECIAL.isdisjoint({kind, node.type}):
            self._detach_whole(task, node)
        else:
            self._place(task)

    def _stand(self, task: TaskState, node: Node, suffix: str) -> None:
        """Where the flow is now in a sequence."""
        before = task.node
        done = node_done(self._state, before, suffix)
        if done and before.type not in STRUCTURE:
            self._keep_done(task, node)
        elif before.type in CHOICES and task.settled and not done:
            self._stand_in_choice(task, node, suffix)
        else:
            self._stand_whole(task, node)
        follower = node.next
        if done and follower is not None and before.type not in FORKS:
            self._made.next.append(follower.ref + suffix)

    def _stand_in_dag(self, task: TaskState, node: Node) -> None:
        chosen = chosen_list(task) if task.node.type in CHOICES and task.settled else None
        if chosen is not None and not node_done(self._state, task.node, task.suffix):
            self._stand_in_choice(task, node, task.suffix)
        else:
            self._stand_whole(task, node)

    def _keep_done(self, task: TaskState, node: Node) -> None:
        """A task that is done and that the flow goes on from: the new one has to be such a task as well."""
        if node.type != task.node.type and not _SPECIAL.isdisjoint({node.type, task.node.type}):
            self._refuse(task.ref, f"was done as {task.node.type} and is {node.type} there")
        else:
            self._place(task)

    def _stand_in_choice(self, task: TaskState, node: Node, suffix: str) -> None:
        """A case is under way: it may change behind where it stands."""
        if node.type != task.node.type:
            self._refuse(task.ref, f"is under way as {task.node.type} and is {node.type} there")
            return
        self._place(task)
        former = chosen_list(task)
        assert former is not None  # else it would be done
        assert task.more is not None
        chosen = node.default if former is task.node.default else node.cases.get(task.more.branch or "")
        if chosen is None or not chosen.nodes:
            self._refuse(task.ref, f"its case {task.more.case!r} is under way and has no tasks there")
        else:
            self._walk(chosen, former, suffix)

    def _stand_whole(self, task: TaskState, node: Node) -> None:
        """It is under way, or holds others and the flow goes on from it: the same there, inside too."""
        before = task.node
        if node.type != before.type:
            self._refuse(task.ref, f"is under way as {before.type} and is {node.type} there")
        elif before.type == "SIMPLE" and node.name != before.name and not task.is_ended:
            self._refuse(task.ref, f"is with those who do {before.name}, and is {node.name} there")
        elif not is_same_shape(before, node, self._mapping):
            self._refuse(task.ref, f"the {before.type} is not over, and what is in it is not the same there")
        else:
            self._keep_whole(task)

    def _is_forking(self, fork: TaskState) -> bool:
        """Whether a branch of a fork goes on, or its JOIN does."""
        if fork.node.ref in self._records.busy:
            return True
        join = fork.node.follower
        record = None if join is None else self._state.by_ref.get(join.ref + fork.suffix)
        return record is not None and record.node.type in JOINS and not record.settled

    def _place(self, task: TaskState) -> None:
        self._placed.add(task.number)

    def _keep_whole(self, task: TaskState) -> None:
        self._place(task)
        prefix = task.suffix
        for each in self._records.inside.get(task.node.ref, ()):
            if each.suffix.startswith(prefix):
                self._place(each)

    def _detach_whole(self, task: TaskState, node: Node) -> None:
        """It and what is in it is over and has another shape there; names inside stay what they are."""
        self._over.update(names_within(node))
        for each in self._records.inside.get(task.node.ref, ()):
            plain = each.node.ref
            if plain in self._mapping and each.suffix.startswith(task.suffix):
                self._refuse(
                    plain, f"cannot get another name: {task.ref} is over and has another shape there"
                )

    # --- what is left ----------------------------------------------------------------------------

    def _settle_rest(self) -> None:
        """Every record that was given no place is history, or stands in the way."""
        state, made = self._state, self._made
        self._explained = bool(made.problems)
        for task in state.tasks.values():
            newest = state.by_ref[task.ref]
            if is_forked(state, task):
                self._check_forked(task)
            elif newest.number in self._placed:
                made.mapped[self._records.plain(task)] = self._records.renamed(task)
                self._check_kept(task)
            elif task.is_ended and (task.settled or task.superseded):
                self._detach(task)
            elif not self._is_explained(task):
                self._refuse(task.ref, f"is {task.status} and has no place in the new definition")
        if state.tasks and not self._placed and not made.problems:
            self._refuse("", "nothing that was done has a place there: restart it on that version")
        if not state.tasks:
            made.next += [node.ref for node in self._graph.root.nodes[:1]]

    def _is_explained(self, task: TaskState) -> bool:
        """Whether it has no place only because what it stands in was refused already."""
        return self._explained and self._records.renamed(task) in self._graph.nodes

    def _detach(self, task: TaskState) -> None:
        """History; where its name stood before the flow once more, it would count as done there."""
        plain = self._records.renamed(task)
        if plain in self._graph.nodes and plain not in self._over and not self._is_explained(task):
            self._refuse(
                task.ref, "is done, and there stands elsewhere: a task that was moved needs another name"
            )
        self._made.detached.append(task.number)

    def _check_forked(self, task: TaskState) -> None:
        if not task.is_ended and self._opener_is_lost(task):
            self._refuse(task.ref, "is under way, and the dynamic fork that made it has no place there")
        elif not task.is_ended:
            self._made.under_way.append(task.ref)

    def _opener_is_lost(self, task: TaskState) -> bool:
        opener = self._state.tasks.get(task.fork) if task.fork_index >= 0 else None
        return opener is not None and not is_forked(self._state, opener) and opener.number not in self._placed

    def _check_kept(self, task: TaskState) -> None:
        """An open record that keeps its place: its worker's name, and the fork that its JOIN waits for."""
        if task.is_ended:
            return
        self._made.under_way.append(task.ref)
        node = self._graph.nodes[self._records.renamed(task)]
        if task.node.type == "SIMPLE" and node.name != task.node.name and task.node.home.owner is not None:
            self._refuse(task.ref, f"is with those who do {task.node.name}, and is {node.name} there")
        if task.node.type in JOINS and task.fork and task.fork not in self._placed:
            self._refuse(task.ref, "waits for a fork that has no place there, or another shape")

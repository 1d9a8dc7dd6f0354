"""What is downstream of a task: the records that a rerun from it takes back.

The rule is one of the definition's structure and of nothing else: neither the clock nor the
order in which records were made decides what is lost. It reads the state and changes nothing;
`decide/rerunning` carries it out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from asyncflow.decide.gather import join_refs
from asyncflow.decide.scheduling import Frame
from asyncflow.decide.shape import FORKS, JOINS
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import SKIPPED


class Downstream:
    """What has to go, and what has to wait again, when some tasks run anew.

    `removed` are records that are there only because a target was done. `reopened` are JOINs
    that had counted one, in the order found; they keep their records, since a JOIN is made by its
    fork and not by its members. `rewound` are the loops around a target, with the iteration they go
    back to. A target itself is in none of them.

    From a target the walk goes on
    - within it: the cases, branches, forked members and iterations that it brought about;
    - behind it, in its list: all that follows in a sequence, all that depends on it in a DAG;
    - out of a case to what is behind its SWITCH; out of a loop body to the loop, which loses its
      later iterations, and to what is behind the loop;
    - to each JOIN that names one of the tasks passed so far, wherever it stands, and behind it.

    Everything else stays: parallel branches, other members of a dynamic fork, earlier iterations.
    Conductor removes whatever has a higher `seq` instead. That loses siblings which happened to be
    scheduled later, and the JOIN with them, so that its reruns inside forks hang (cases 46, 55, 56).
    """

    __slots__ = ("_dropped", "_state", "_touched", "_waiting", "_walked", "removed", "reopened", "rewound")

    def __init__(self, state: ExecutionState) -> None:
        """Begin with nothing; one pass over the records finds the joins and what they name."""
        self.removed: dict[int, None] = {}
        self.reopened: dict[int, None] = {}
        self.rewound: dict[int, int] = {}
        self._state = state
        self._dropped: set[str] = set()
        self._walked: set[str] = set()  # nodes of DAG lists, by full name
        self._touched: deque[TaskState] = deque()
        self._waiting: dict[str, list[TaskState]] = {}
        for task in state.tasks.values():
            if task.node.type in JOINS and task.more is not None and task.more.join_on is not None:
                for ref in join_refs(state, task):
                    self._waiting.setdefault(ref, []).append(task)

    def add(self, target: TaskState) -> None:
        """Take back what is downstream of one record, and its later attempts."""
        self.walk(target)
        self.settle()

    def walk(self, target: TaskState) -> None:
        """The same for one of several records; `settle` is to be called after the last of them.

        Cost: what was not taken back yet, if records come in the order of their numbers.
        """
        for attempt in self._attempts(target.ref):
            if attempt.number > target.number:
                self._remove(attempt)
        self._drop_within(target)
        self._touch(target)
        self._drop_behind(target.node, Frame.of(target))
        while self._touched:
            join = self._touched.popleft()
            if join.number not in self.reopened and join.status != SKIPPED:
                self.reopened[join.number] = None
                self._touch(join)
                self._drop_behind(join.node, Frame.of(join))

    def settle(self) -> None:
        """Leave out of what waits again what is removed."""
        for number in self.removed:
            self.reopened.pop(number, None)
            self.rewound.pop(number, None)

    # --- within and behind ---------------------------------------------------------------------

    def _drop_within(self, task: TaskState) -> None:
        """What the record brought about: nothing of it is valid once it runs anew."""
        for home in _lists_in(task.node):
            self._drop_list(home, task.suffix)
        if task.node.body is not None:
            for iteration in range(1, task.iteration + 1):
                self._drop_list(task.node.body, f"{task.suffix}__{iteration}")
        if task.more is not None and task.more.members is not None:
            for ref in task.more.members.refs:
                self._drop(ref)
        join = _join_of(task.node)
        if join is not None:
            self._drop(join.ref + task.suffix)

    def _drop_behind(self, node: Node, frame: Frame) -> None:
        current: Node | None = node
        while current is not None:
            home = current.home
            if home.dag:
                self._drop_dependents(current, frame.suffix)
            else:
                following = current.next
                while following is not None:
                    self._drop(following.ref + frame.suffix)
                    following = following.next
            if home.kind == "loop":
                self._rewind(frame)
            current = home.owner if home.kind == "case" else None

    def _drop_dependents(self, node: Node, suffix: str) -> None:
        """All that depends on the node of a DAG, directly or not.

        A JOIN among them whose fork stays is reopened: only its fork could make it anew.
        """
        found: dict[str, Node] = {}
        todo = [node]
        while todo:
            for dependent in todo.pop().dependents:
                if dependent.ref + suffix not in self._walked:
                    self._walked.add(dependent.ref + suffix)
                    found[dependent.ref] = dependent
                    todo.append(dependent)
        forks = [node, *found.values()]
        made_anew = {join.ref for fork in forks if (join := _join_of(fork)) is not None}
        for ref in made_anew:
            self._drop(ref + suffix)
        for ref, dependent in found.items():
            existing = self._state.by_ref.get(ref + suffix)
            if dependent.type in JOINS and ref not in made_anew and existing is not None:
                self._touched.append(existing)
            else:
                self._drop(ref + suffix)

    def _rewind(self, frame: Frame) -> None:
        """The loop goes back to the iteration of the frame, and waits for it again."""
        loop = self._state.tasks.get(frame.loop)
        if loop is None or self.rewound.get(loop.number, frame.iteration + 1) <= frame.iteration:
            return
        self.rewound[loop.number] = frame.iteration
        body = loop.node.body
        if body is not None:
            for iteration in range(frame.iteration + 1, loop.iteration + 1):
                self._drop_list(body, f"{loop.suffix}__{iteration}")
        self._touch(loop)
        self._drop_behind(loop.node, Frame.of(loop))

    # --- single records --------------------------------------------------------------------------

    def _drop_list(self, home: NodeList, suffix: str) -> None:
        for node in home.nodes:
            self._drop(node.ref + suffix)

    def _drop(self, ref: str) -> None:
        """Remove every attempt of a reference name; one that a user had skipped stays skipped."""
        if ref in self._dropped:
            return
        self._dropped.add(ref)
        self._touched.extend(self._waiting.get(ref, ()))
        for task in self._attempts(ref):
            if task.status != SKIPPED:
                self._remove(task)

    def _attempts(self, ref: str) -> Iterator[TaskState]:
        """Every attempt of a reference name, newest first."""
        task = self._state.by_ref.get(ref)
        while task is not None:
            yield task
            task = self._state.tasks.get(task.retry_of)

    def _remove(self, task: TaskState) -> None:
        if task.number not in self.removed:
            self.removed[task.number] = None
            self._drop_within(task)

    def _touch(self, task: TaskState) -> None:
        """The joins that had counted the record wait for it again."""
        self._touched.extend(self._waiting.get(task.ref, ()))
        if task.fork_index >= 0:
            opener = self._state.tasks.get(task.fork)
            more = None if opener is None else opener.more
            join = None if more is None else self._state.tasks.get(more.join)
            if join is not None:
                self._touched.append(join)


def begin_with(state: ExecutionState, task: TaskState) -> Iterator[TaskState]:
    """The tasks that a rerun begins with: the one asked for, and parallel ones that go with it.

    A static fork begins its branches in the order of the definition. To rerun from the head of
    one is to begin the fork again at that place, so the branches behind it begin again too (case
    55), and those before it stay. A SUB_WORKFLOW runs anew alone (cases 43, 44, 46).
    """
    yield task
    home = task.node.home
    fork = home.owner
    heads_branch = home.kind == "branch" and not home.dag and home.nodes[:1] == [task.node]
    if fork is None or not heads_branch or task.node.type == "SUB_WORKFLOW":
        return
    for branch in fork.branches[fork.branches.index(home) + 1 :]:
        for head in branch.nodes[: len(branch.nodes) if branch.dag else 1]:
            found = state.by_ref.get(head.ref + task.suffix)
            if found is not None and not head.needs and found.status != SKIPPED:
                yield found


def _lists_in(node: Node) -> Iterator[NodeList]:
    yield from node.branches
    yield from node.cases.values()
    if node.default is not None:
        yield node.default


def _join_of(fork: Node) -> Node | None:
    """The JOIN that a fork makes."""
    follower = fork.follower
    is_pair = fork.type in FORKS and follower is not None and follower.type in JOINS
    return follower if is_pair else None

"""Cases 18 to 32: a chain of three executions, root, mid and leaf, whose leaf fails."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.testing.pure import World
from tests.decide.reopening_support import fork, identity, kept, rows, simple, sub, workflow, world

FORKED = pytest.mark.parametrize("forked", [False, True], ids=["in_a_row", "forked"])


@dataclass
class Chain:
    made: World
    root: ExecutionState
    mid: ExecutionState
    leaf: ExecutionState
    forked: bool

    def fails(self) -> list[str]:
        """The rows of root and mid once the leaf failed."""
        if self.forked:
            return ["fork C", "sub F", "t2 C", "fork_join X"]
        return ["t1 C", "sub F"]

    def waits(self) -> list[str]:
        """The rows of root and mid while their child runs again."""
        if self.forked:
            return ["fork C", "sub I", "t2 C", "fork_join I"]
        return ["t1 C", "sub I"]

    def retried(self) -> list[str]:
        """The rows of an execution that was retried itself."""
        if self.forked:
            return ["fork C", "sub F*", "t2 C", "fork_join I", "sub I"]
        return ["t1 C", "sub F*", "sub I"]

    def complete(self) -> None:
        """Let everything that is open succeed, and see that no work that was kept is done again."""
        before = {s.execution_id: completed(s) for s in (self.root, self.mid, self.leaf)}
        self.made.run()
        assert [state.status for state in self.now()] == ["COMPLETED"] * 3
        for execution_id, tasks in before.items():
            assert tasks.items() <= completed(self.made.states[execution_id]).items()

    def now(self) -> tuple[ExecutionState, ExecutionState, ExecutionState]:
        """Root and the executions that are below it at this moment."""
        mid = self.made.child(self.root, "sub")
        return self.root, mid, self.made.child(mid, "sub")


def completed(state: ExecutionState) -> dict[int, int]:
    return {t.number: t.ended_ms for t in state.tasks.values() if t.status == "COMPLETED"}


def level(name: str, below: str, *, forked: bool) -> list[JsonObject]:
    if forked:
        return fork("fork", [sub("sub", below)], [simple("t2")])
    return [simple("t1"), sub("sub", below)]


def chain(*, forked: bool = False) -> Chain:
    made = world(
        workflow("root", *level("root", "mid", forked=forked)),
        workflow("mid", *level("mid", "leaf", forked=forked)),
        workflow("leaf", simple("t1"), simple("t2")),
    )
    root = made.start("root")
    worker = "t2" if forked else "t1"
    made.end(root, worker)
    mid = made.child(root, "sub")
    made.end(mid, worker)
    leaf = made.child(mid, "sub")
    made.end(leaf, "t1")
    made.now_ms += 1_000
    made.fail(leaf, "t2")
    found = Chain(made, root, mid, leaf, forked)
    assert [rows(root), rows(mid), rows(leaf)] == [found.fails(), found.fails(), ["t1 C", "t2 F"]]
    assert {root.status, mid.status, leaf.status} == {"FAILED"}
    return found


def worker(forked: bool) -> str:  # noqa: FBT001 - it is the name of the fixture
    return "t2" if forked else "t1"


@FORKED
def test_case_18_and_29_retry_root_starts_new_children(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    done = kept(found.root, worker(forked))
    found.made.retry(found.root)
    root = found.root
    mid = found.made.child(root, "sub")

    assert rows(root) == found.retried()
    assert (root.by_ref["sub"].retry_of, root.by_ref["sub"].retry_count) == (2, 1)
    assert mid is not found.mid
    assert kept(root, worker(forked)) == done
    found.made.end(mid, worker(forked))
    assert found.now()[2] is not found.leaf
    found.complete()
    assert len(root.tasks) == (5 if forked else 3)


@FORKED
def test_case_19_and_30_retry_root_with_resume_reaches_the_leaf(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.retry(found.root, resume=True)

    assert [rows(found.root), rows(found.mid)] == [found.waits(), found.waits()]
    assert found.now() == (found.root, found.mid, found.leaf)
    assert rows(found.leaf) == ["t1 C", "t2 F*", "t2 S"]
    found.complete()


@FORKED
def test_case_20_and_29_retry_mid_starts_a_new_leaf(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.retry(found.mid)

    assert [rows(found.root), rows(found.mid)] == [found.waits(), found.retried()]
    assert found.now()[1] is found.mid
    assert found.now()[2] is not found.leaf
    found.complete()


@FORKED
def test_case_21_and_30_retry_mid_with_resume(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.retry(found.mid, resume=True)

    assert [rows(found.root), rows(found.mid)] == [found.waits(), found.waits()]
    assert found.now() == (found.root, found.mid, found.leaf)
    assert rows(found.leaf) == ["t1 C", "t2 F*", "t2 S"]
    found.complete()


@FORKED
@pytest.mark.parametrize("resume", [False, True])
def test_case_22_and_30_retry_leaf(forked: bool, resume: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.retry(found.leaf, resume=resume)

    assert [rows(found.root), rows(found.mid)] == [found.waits(), found.waits()]
    assert {found.root.status, found.mid.status} == {"RUNNING"}
    assert {found.root.reason, found.mid.reason, found.root.by_ref["sub"].reason} == {None}
    assert rows(found.leaf) == ["t1 C", "t2 F*", "t2 S"]
    assert found.now() == (found.root, found.mid, found.leaf)
    found.complete()


@FORKED
def test_case_23_restart_root(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.restart(found.root)
    found.made.end(found.root, worker(forked))

    assert rows(found.root) == found.waits()
    assert found.made.child(found.root, "sub") is not found.mid
    found.complete()
    assert found.now()[2] is not found.leaf


@FORKED
def test_case_24_and_30_restart_mid(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.restart(found.mid)

    assert rows(found.root) == found.waits()
    assert found.made.child(found.root, "sub") is found.mid
    found.made.end(found.mid, worker(forked))
    assert rows(found.mid) == found.waits()
    assert found.now()[2] is not found.leaf
    found.complete()


@FORKED
def test_case_25_and_30_restart_leaf(forked: bool) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.restart(found.leaf)

    assert rows(found.leaf) == ["t1 S"]
    assert [rows(found.root), rows(found.mid)] == [found.waits(), found.waits()]
    found.complete()
    assert found.now() == (found.root, found.mid, found.leaf)


@pytest.mark.parametrize("ref", [0, "t1"])
def test_case_26_rerun_root_removes_what_was_behind(ref: str | int) -> None:
    found = chain()
    before = identity(found.root, found.root.by_ref["t1"])
    found.made.rerun(found.root, ref)

    assert rows(found.root) == ["t1 S"]
    assert (identity(found.root, found.root.by_ref["t1"]) == before) == (ref != 0)
    found.made.end(found.root, "t1")
    assert rows(found.root) == ["t1 C", "sub I"]
    found.complete()
    assert found.now()[1] is not found.mid
    assert found.now()[2] is not found.leaf


@pytest.mark.parametrize("ref", [0, "t1"])
def test_case_27_rerun_mid(ref: str | int) -> None:
    found = chain()
    found.made.rerun(found.mid, ref)

    assert [rows(found.root), rows(found.mid)] == [found.waits(), ["t1 S"]]
    found.complete()
    assert found.now()[1] is found.mid
    assert found.now()[2] is not found.leaf


@pytest.mark.parametrize("ref", [0, "fork"])
def test_case_26_and_27_hold_where_the_children_are_forked(ref: str | int) -> None:
    found = chain(forked=True)
    found.made.rerun(found.mid, ref)

    assert rows(found.root) == found.waits()
    assert rows(found.mid) == ["fork C", "sub I", "t2 S", "fork_join I"]
    assert [t.seq for t in found.mid.tasks.values()] == [1, 2, 3, 4]
    found.complete()
    assert found.now()[2] is not found.leaf


@FORKED
@pytest.mark.parametrize("ref", [0, "t1"])
def test_case_28_and_30_rerun_leaf(forked: bool, ref: str | int) -> None:  # noqa: FBT001
    found = chain(forked=forked)
    found.made.rerun(found.leaf, ref)

    assert rows(found.leaf) == ["t1 S"]
    assert [rows(found.root), rows(found.mid)] == [found.waits(), found.waits()]
    found.complete()
    assert rows(found.leaf) == ["t1 C", "t2 C"]
    assert found.now() == (found.root, found.mid, found.leaf)


# --- 31 and 32: a fork in a fork ---------------------------------------------------------------------


def nested() -> tuple[World, ExecutionState, ExecutionState]:
    inner = fork("inner", [sub("sub", "c")], [simple("ti")])
    made = world(workflow("p", *fork("outer", inner, [simple("to")])), workflow("c", simple("k")))
    parent = made.start("p")
    made.end(parent, "ti")
    made.end(parent, "to")
    child = made.child(parent, "sub")
    made.fail(child, "k")
    assert (parent.status, len(parent.tasks)) == ("FAILED", 7)
    return made, parent, child


def test_case_31_retry_of_a_fork_in_a_fork() -> None:
    made, parent, child = nested()
    made.retry(parent)

    assert len(parent.tasks) == 8
    assert (parent.by_ref["inner_join"].status, parent.by_ref["outer_join"].status) == ("IN_PROGRESS",) * 2
    assert made.child(parent, "sub") is not child
    made.run()
    assert parent.status == "COMPLETED"


@pytest.mark.parametrize("how", ["retry parent with resume", "retry child", "restart child"])
def test_case_32_the_child_of_a_fork_in_a_fork_goes_on(how: str) -> None:
    made, parent, child = nested()
    if how == "restart child":
        made.restart(child)
    else:
        made.retry(parent if "parent" in how else child, resume="resume" in how)

    assert len(parent.tasks) == 7
    assert made.child(parent, "sub") is child
    assert (parent.by_ref["inner_join"].status, parent.by_ref["outer_join"].status) == ("IN_PROGRESS",) * 2
    made.run()
    assert parent.status == "COMPLETED"

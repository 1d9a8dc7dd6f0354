"""Which branches of a definition a set of test runs took, and which they left out.

It only reads the events of runs; a definition is not run or changed here. `testing/kit` makes
the runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from asyncflow.decide.compile import compile_definition
from asyncflow.decide.shape import CHOICES, STRUCTURE
from asyncflow.model import events as ev
from asyncflow.model.definition import WorkflowDefinition, WorkflowTask, iterate_tasks
from asyncflow.model.graph import Node
from asyncflow.model.statuses import COMPLETED, COMPLETED_WITH_ERRORS, TASK_SUCCESSFUL
from asyncflow.testing.runs import TestRun
from asyncflow.testing.sources import Runnable, workflow_definition

Kind = Literal["task", "case", "loop", "fork", "retry", "failure"]
"""Tasks scheduled, cases of switches, iterations, branches of dynamic forks, retries, tolerated failures."""

KINDS: Final[tuple[Kind, ...]] = ("task", "case", "loop", "fork", "retry", "failure")
DEFAULT_CASE: Final = "default"
NO_CASE: Final = "no case"
_NEVER_RETRIED: Final = STRUCTURE | {"SET_VARIABLE", "TERMINATE", "NOOP"}


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """Something that a run of a definition may come past: at which reference name, and what."""

    kind: Kind
    ref: str
    what: str

    def __str__(self) -> str:
        """The reference name and what is to happen there."""
        return f"{self.ref}: {self.what}"


class NotCovered(AssertionError):
    """Tests leave out branches: add runs that take those named, or lower the percentage asked for."""


class BranchCoverage:
    """Which points of one definition were come past, over any number of runs.

    Counted are: every task scheduled; every case of SWITCH and DECISION, the default, or that no case
    fits; loops with one and with more iterations, over a list also with none; dynamic forks with and
    without branches; a retry of each task that has any; an optional or permissive task that failed;
    the failure workflow.
    """

    def __init__(self, workflow: Runnable, *, kinds: Iterable[Kind] = KINDS) -> None:
        """Nothing is covered yet.

        Args:
            kinds: what counts; all unless told otherwise.

        Raises:
            InvalidInput, DefinitionError: it is no workflow.
        """
        self.definition = workflow_definition(workflow)
        self._kinds = frozenset(kinds)
        self._points: dict[Point, None] = {}
        self._hits: Counter[Point] = Counter()
        self._expect(self.definition)

    def add(self, *runs: TestRun) -> None:
        """Count runs; of their children those of this definition count, too."""
        for run in runs:
            for each in run.family():
                if each.definition.name == self.definition.name:
                    self._expect(each.definition)
                    self._hits.update(set(_passed(each)))

    def _expect(self, definition: WorkflowDefinition) -> None:
        """Take in the points of a definition; bound to its task definitions it may have more."""
        found = {point: None for point in _points(definition) if point.kind in self._kinds}
        self._points.update(found)

    @property
    def points(self) -> list[Point]:
        """Everything that counts, in the order of the definition."""
        return list(self._points)

    @property
    def missing(self) -> list[Point]:
        """What no run came past, in the order of the definition."""
        return [point for point in self._points if not self._hits[point]]

    @property
    def percent(self) -> float:
        """How much of it was come past; 100 where nothing counts."""
        total = len(self._points)
        return 100.0 if not total else 100 * (total - len(self.missing)) / total

    def report(self) -> str:
        """A text with a line for each kind, and one for each point that is missing."""
        total = len(self._points)
        done = total - len(self.missing)
        lines = [f"{self.definition.name}: {done} of {total} branches covered ({self.percent:.1f} %)"]
        for kind in KINDS:
            of_kind = [point for point in self._points if point.kind == kind]
            if of_kind:
                hit = sum(1 for point in of_kind if self._hits[point])
                lines.append(f"  {kind:8}{hit:4} of {len(of_kind)}")
        lines += [f"  missing {point.kind:8} {point}" for point in self.missing]
        return "\n".join(lines)

    def require(self, fail_under: float = 100) -> None:
        """Do nothing where at least so many per cent are covered.

        Raises:
            NotCovered: they are not; the message is the report.
        """
        if self.percent < fail_under:
            raise NotCovered(f"{fail_under:g} % are asked for\n{self.report()}")


# --- what there is to come past -----------------------------------------------------------------


def _points(definition: WorkflowDefinition) -> Iterator[Point]:
    nodes = compile_definition(definition, "").nodes
    for _, task in iterate_tasks(definition):
        ref = task.task_reference_name
        yield Point("task", ref, "scheduled")
        yield from _operator_points(task, ref)
        if _says_retries(task, nodes[ref]):
            yield Point("retry", ref, "tried again")
        if task.optional or task.permissive:
            yield Point("failure", ref, "failed, and the flow went on")
    if definition.failure_workflow:
        yield Point("failure", definition.name, "failure workflow started")


def _operator_points(task: WorkflowTask, ref: str) -> Iterator[Point]:
    if task.type in CHOICES:
        for case in task.decision_cases:
            yield _case(ref, case)
        yield Point("case", ref, DEFAULT_CASE if task.default_case else NO_CASE)
    elif task.type == "DO_WHILE":
        if task.items or "_items" in task.input_parameters:
            yield Point("loop", ref, "no iteration")
        yield Point("loop", ref, "one iteration")
        yield Point("loop", ref, "more iterations")
    elif task.type == "FORK_JOIN_DYNAMIC":
        yield Point("fork", ref, "no branch")
        yield Point("fork", ref, "branches")


def _case(ref: str, case: str) -> Point:
    return Point("case", ref, f"case {case!r}")


def _says_retries(task: WorkflowTask, node: Node) -> bool:
    """Whether somebody asked for retries; what a task gets that says nothing is no branch of it."""
    own = task.extension is not None and task.extension.retry_delays is not None
    said = own or task.task_definition is not None or task.retry_count is not None
    return said and node.policy.retry_count > 0 and task.type not in _NEVER_RETRIED


# --- what a run came past -----------------------------------------------------------------------


def _passed(run: TestRun) -> Iterator[Point]:
    """Every point that the recorded events of a run came past; some more than once."""
    refs: dict[int, str] = {}
    retries: dict[int, int] = {}
    iterations: dict[int, int] = {}
    loops = {t.task_reference_name for _, t in iterate_tasks(run.definition) if t.type == "DO_WHILE"}
    for recorded in run.events:
        match recorded.event:
            case ev.TaskScheduled() as made:
                refs[made.number], retries[made.number] = made.ref, made.retry_count
                yield Point("task", made.ref, "scheduled")
                if made.retry_of and made.retry_count > retries.get(made.retry_of, 0):
                    yield Point("retry", made.ref, "tried again")
                if made.ref in loops:
                    iterations[made.number] = 0
            case ev.CaseChosen(number, _, branch):
                yield _chosen(refs[number], branch)
            case ev.LoopAdvanced(number, iteration):
                iterations[number] = max(iteration, iterations.get(number, 0))
            case ev.ForkOpened(number, _, count):
                yield Point("fork", refs[number], "branches" if count else "no branch")
            case ev.TaskEnded() as ended if ended.number in refs and _went_on(ended):
                yield Point("failure", refs[ended.number], "failed, and the flow went on")
            case ev.ExecutionEnded() as end if end.failure_workflow is not None and end.status != COMPLETED:
                yield Point("failure", run.definition.name, "failure workflow started")
    for number, most in iterations.items():
        what = ("no iteration", "one iteration")[most] if most < 2 else "more iterations"
        yield Point("loop", refs[number], what)


def _chosen(ref: str, branch: str | None) -> Point:
    if branch is None:
        return Point("case", ref, NO_CASE)
    return _case(ref, branch) if branch else Point("case", ref, DEFAULT_CASE)


def _went_on(ended: ev.TaskEnded) -> bool:
    if ended.status == COMPLETED_WITH_ERRORS:
        return True
    return ended.settled and ended.status not in TASK_SUCCESSFUL

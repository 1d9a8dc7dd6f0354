"""To which workers a task may go: those of one code version, of one host, or all but the last one.

A task with such a rule waits at a place of its own in admission, so that a worker who may not take it
neither gets it nor stands in its way. What a worker is given is `runtime/hand_out`.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.decide.policy import setting
from asyncflow.decide.scheduling import worker_name
from asyncflow.decide.wanted import UNVERSIONED
from asyncflow.model.state import ExecutionState, TaskState


class Rule(NamedTuple):
    """What a worker has to be; empty fields ask nothing."""

    version: str = ""
    host: str = ""
    not_worker: str = ""

    def accepts(self, worker: str, version: str) -> bool:
        """Whether a worker with this id and code version may have the task."""
        if self.version and self.version != (version or UNVERSIONED):
            return False
        if self.not_worker and worker == self.not_worker:
            return False
        return not self.host or host_of(worker) == self.host

    @property
    def is_preference(self) -> bool:
        """Whether it is given up after a while, so that nothing waits for a worker that never comes."""
        return bool(self.host or self.not_worker)


ANY = Rule()


class Place(NamedTuple):
    """Where tasks of one name wait for workers of one domain who meet one rule."""

    name: str
    domain: str = ""
    rule: Rule = ANY

    @property
    def resource(self) -> str:
        """Its name in admission."""
        version, host, not_worker = self.rule
        marks = (version and f"@{version}", host and f"={host}", not_worker and f"!{not_worker}")
        return f"worker:{self.name}:{self.domain}" + "".join(marks)


def rule_of(state: ExecutionState, task: TaskState, version: str) -> Rule:
    """The rule of a task that is offered; `version` is that its execution is pinned to."""
    if not task.retry_of:
        return Rule(version) if version else ANY
    wish = reassignment(task)
    before = state.tasks.get(task.retry_of)
    last = before.worker_id if before is not None else ""
    if last and wish == "not_last":
        return Rule(version, not_worker=last)
    if last and wish == "same_host":
        return Rule(version, host_of(last))
    return Rule(version) if version else ANY


def reassignment(task: TaskState) -> str:
    """Which worker is asked first for another attempt."""
    made = task.node.task
    if made.extension is None and made.task_definition is None:
        return "any"
    wish = setting(made, "reassign")
    return wish if isinstance(wish, str) else "any"


def host_of(worker: str) -> str:
    """The host in a worker id: what stands before the last colon, or all of it."""
    return worker.rpartition(":")[0] or worker


def queue_name(name: str, domain: str) -> str:
    """The name of a queue as Conductor shows it."""
    return f"{domain}:{name}" if domain else name


def task_name(task: TaskState) -> str:
    """The name under which workers poll for a task."""
    return task.name or worker_name(task.node)

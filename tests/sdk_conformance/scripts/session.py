"""What every script needs: the SDK's clients, workers for a while, and waiting for what is to come.

The scripts run in an environment of the SDK alone and know nothing of asyncflow; the address comes
from `CONDUCTOR_SERVER_URL`. `tests/sdk_conformance/running.py` starts them.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.http.models import TaskResult
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.conductor_workflow import ConductorWorkflow

NOT_IN_THIS_VERSION = 77

clients = OrkesClients(configuration=Configuration())
workflows = clients.get_workflow_client()
tasks = clients.get_task_client()
metadata = clients.get_metadata_client()
executor = clients.get_workflow_executor()


def not_in_this_version(what: str) -> NoReturn:
    """End the script: the SDK of this environment cannot do it."""
    print(what)
    sys.exit(NOT_IN_THIS_VERSION)


@contextmanager
def workers() -> Iterator[None]:
    """The decorated functions as workers, each in a process of its own, as the SDK starts and stops them."""
    handler = TaskHandler(configuration=Configuration(), scan_for_annotated_workers=True)
    handler.start_processes()
    try:
        yield
    finally:
        handler.stop_processes()


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What `look` gives once it gives something true."""
    late = time.monotonic() + seconds
    between_looks = threading.Event()
    while not (found := look()):
        assert time.monotonic() < late, f"not within {seconds} s"
        between_looks.wait(0.05)
    return found


def workflow(name: str, *steps: Any, version: int = 1) -> Any:
    """A workflow made with the builder's `>>`, not registered."""
    built = ConductorWorkflow(name=name, version=version, executor=executor)
    for step in steps:
        built >> step
    return built


def ended(execution_id: str, status: str = "COMPLETED") -> Any:
    """The execution with its tasks, once it has ended; with this status."""

    def look() -> Any:
        found = workflows.get_workflow(execution_id, include_tasks=True)
        return None if found.status in {"RUNNING", "PAUSED"} else found

    found = until(look)
    assert found.status == status, (found.status, found.reason_for_incompletion)
    return found


def waiting(execution_id: str, reference: str, status: str = "IN_PROGRESS") -> Any:
    """The newest task of this reference, once it has this status."""

    def look() -> Any:
        return next((each for each in reversed(shown(execution_id)) if is_wanted(each)), None)

    def is_wanted(task: Any) -> bool:
        return bool(task.reference_task_name == reference and task.status == status)

    return until(look)


def shown(execution_id: str) -> list[Any]:
    """The tasks of the execution, in their order."""
    return list(workflows.get_workflow(execution_id, include_tasks=True).tasks)


def result(task: Any, status: str = "COMPLETED", **output: object) -> Any:
    """What a worker says of a task it was handed."""
    return TaskResult(
        workflow_instance_id=task.workflow_instance_id,
        task_id=task.task_id,
        worker_id="by hand",
        status=status,
        output_data=output,
    )


@contextmanager
def refused(status: int) -> Iterator[None]:
    """What is called inside is answered with this status."""
    try:
        yield
    except Exception as refusal:  # noqa: BLE001 - the versions have different ones, of no common parent
        answer, said = refusal, str(refusal)
    else:
        raise AssertionError(f"answered, not refused with {status}")
    told = getattr(answer, "status", None) or int(getattr(answer, "code", 0))
    assert told == status, (told, said)

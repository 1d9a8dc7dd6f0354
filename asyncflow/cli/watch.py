"""`asyncflow workflow watch`: what changes in an execution, line by line, until it has ended.

The server's stream of events says when to look, and looking says what changed; so nothing that happened in
between is lost, and a server without that stream is looked at every other second. It only reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

import click

from asyncflow.cli.executions import head_of, number_of, summary_of, tasks_of, took
from asyncflow.cli.exits import DONE, WORKFLOW_FAILED
from asyncflow.cli.late import Late
from asyncflow.cli.output import Format, cell, coloured, moment, write_facts, write_json
from asyncflow.cli.remote import connected, fetch_execution
from asyncflow.errors import AsyncflowError, ServerRefused
from asyncflow.model.statuses import COMPLETED, EXECUTION_ENDED
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.sdk import client as sdk
else:
    sdk = Late("asyncflow.sdk.client")

_WITH_STREAM_S = 30.0  # looked at so seldom while the stream says that nothing happens
_WITHOUT_STREAM_S = 2.0
_BREATH_S = 0.2  # what happens within it is one look
_SHARE = 4  # and looking at large executions takes a fifth of the time at most


class Bell(Thread):
    """Rings whenever the server has something new to say of an execution.

    Attributes:
        rung: set by each event; whoever has looked clears it.
    """

    def __init__(self, address: sdk.Address, execution_id: str) -> None:
        """Listen from `start` on; the thread ends with the process."""
        super().__init__(name="asyncflow-watch", daemon=True)
        self.rung = Event()
        self._address, self._execution_id = address, execution_id
        self._hears = False
        self._gone = Event()

    @property
    def interval_s(self) -> float:
        """How long to wait for a ring before looking anyway."""
        return _WITH_STREAM_S if self._hears else _WITHOUT_STREAM_S

    def run(self) -> None:
        """Listen, again after every interruption, until told to stop or told that there is no stream."""
        path = sdk.path_of("api", "asyncflow", "workflow", self._execution_id, "events")
        after = ""
        while not self._gone.is_set():
            try:
                with sdk.Client(self._address) as client:
                    for event in client.events(path, after=after):
                        self._hears, after = True, event.identity or after
                        self.rung.set()
            except ServerRefused:
                return
            except AsyncflowError:
                pass
            finally:
                self._hears = False
            self._gone.wait(_WITHOUT_STREAM_S)

    def stop(self) -> None:
        """Listen no more after the next interruption."""
        self._gone.set()


def changes(server: str, execution_id: str) -> Iterator[JsonObject]:
    """The execution each time that it may have changed, the last time when it has ended.

    Raises:
        ServerRefused, ServerUnreachable: as any request; an interruption of the stream is none.
    """
    with connected(server) as client:
        bell = Bell(client.address, execution_id)
        try:
            found = fetch_execution(client, execution_id)
            yield found
            looked_s = 0.0
            if found.get("status") not in EXECUTION_ENDED:
                bell.start()
            while found.get("status") not in EXECUTION_ENDED:
                bell.rung.wait(bell.interval_s)
                Event().wait(max(_BREATH_S, _SHARE * looked_s))
                bell.rung.clear()
                began_s = monotonic()
                found = fetch_execution(client, execution_id)
                looked_s = monotonic() - began_s
                yield found
        finally:
            bell.stop()


def follow(server: str, execution_id: str, output: Format) -> int:
    """Print what changes until the execution has ended; the exit code tells how.

    `jsonl` prints each change as it comes, `json` the ended execution alone.
    """
    known: dict[str, object] = {}
    found: JsonObject = {}
    for found in changes(server, execution_id):
        for line in _news(found, known):
            _write_line(line, output)
    if output == "json":
        write_json(found)
    elif output == "table":
        write_facts(
            [
                *head_of(found),
                ("took", took(found)),
                ("tasks", summary_of(found)),
                ("output", found.get("output")),
            ]
        )
    return DONE if found.get("status") == COMPLETED else WORKFLOW_FAILED


def _news(execution: JsonObject, known: dict[str, object]) -> Iterator[JsonObject]:
    """What is not in `known` yet, which it then is: a task in another status, at last the execution."""
    for task in tasks_of(execution):
        identity, status = str(task.get("taskId")), task.get("status")
        if known.get(identity) == status:
            continue
        known[identity] = status
        at_ms = number_of(task, "endTime") or number_of(task, "startTime") or number_of(task, "scheduledTime")
        yield {
            "time": at_ms,
            "task": task.get("referenceTaskName"),
            "taskId": identity,
            "attempt": number_of(task, "retryCount") + 1,
            "status": status,
            "reason": task.get("reasonForIncompletion"),
        }
    if known.get("") != execution.get("status"):
        known[""] = execution.get("status")
        yield {
            "time": number_of(execution, "endTime") or number_of(execution, "updateTime"),
            "workflowId": execution.get("workflowId"),
            "status": execution.get("status"),
            "reason": execution.get("reasonForIncompletion"),
        }


def _write_line(line: JsonObject, output: Format) -> None:
    if output == "jsonl":
        write_json({key: value for key, value in line.items() if value is not None}, lines=True)
    elif output == "table":
        status = str(line["status"])
        again = f" attempt {line['attempt']}" if number_of(line, "attempt") > 1 else ""
        what = f"{line['task']}{again}" if "task" in line else "execution"
        reason = f"  {cell(line['reason'])}" if line["reason"] else ""
        click.echo(
            coloured(f"{moment(number_of(line, 'time')):<19}  {status:<11}  {cell(what)}{reason}", [status])
        )

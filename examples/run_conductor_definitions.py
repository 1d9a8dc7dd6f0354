"""Run every workflow definition of a folder to its end, with scripted outcomes for everybody outside.

python examples/run_conductor_definitions.py FOLDER

The folder holds JSON files with one definition each, a list of them, or a start request. All of
its definitions are registered, the definitions of a file before those of the others. Virtual time
passes in no time; HTTP, workers and people are played. Ends with 1 if a row is not as expected.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from asyncflow.errors import AsyncflowError
from asyncflow.model.documents import parse_document
from asyncflow.testing.kit import run_definition
from asyncflow.testing.outcomes import Outcome, Outcomes, Scripted
from asyncflow.testing.runs import TestRun

Definition = dict[str, Any]


@dataclass(frozen=True)
class Script:
    """One way through a definition: its input, who answers what, and how it is to end."""

    way: str = ""
    given: Definition = field(default_factory=dict)
    table: dict[str, Scripted] = field(default_factory=dict)
    ends: str = "COMPLETED"
    note: str = ""


class Row(NamedTuple):
    """What came of one way through one definition."""

    file: str
    workflow: str
    script: Script
    status: str
    wall_ms: float
    reason: str = ""
    run: TestRun | None = None

    @property
    def is_as_expected(self) -> bool:
        """Whether it ended as its script says."""
        return self.status == self.script.ends


def _forked(*names: str) -> Definition:
    tasks = [{"name": f"{name}_task", "taskReferenceName": name, "type": "SIMPLE"} for name in names]
    return {"dynamicTasks": tasks, "inputs": {name: {"of": name} for name in names}}


def _kitchen(fourth: str) -> list[Script]:
    given = {"task2Name": "task_5", "mod": "1", "oddEven": "0"}
    found: Scripted = {"response": {"body": {"hits": [{"status": "COMPLETED", "workflowId": "w1"}]}}}
    even = {"task_2": {"oddEven": "0", "mod": "4"}, fourth: _forked("left", "right"), "get_es_1": found}
    odd: dict[str, Scripted] = {"task_2": {"oddEven": "1", "mod": "1"}, "get_es_1": found}
    none: dict[str, Scripted] = {"task_2": {"oddEven": "2"}}
    return [
        Script("even: dynamic fan-out", given, even),
        Script("odd: fork and children", given, odd),
        Script("neither", given, none),
    ]


_NOT_ITERATED = Script(
    "four batches",
    {"batch": [["a", "b"], ["c"], ["d", "e", "f"], ["g"]]},
    ends="FAILED",
    note="inputs.items is no list to go through in Conductor: its script finds null, lint says so",
)
_FAILS: Scripted = Outcome.fail("UnknownHostException: no such host")
_ANY = ""

# By file and workflow, or by file alone. What is not here runs without input, every answer being empty.
SCRIPTS: dict[tuple[str, str], list[Script]] = {
    ("kitchensink.json", _ANY): _kitchen("task_4"),
    ("kitchenSink-ephemeralWorkflowWithStoredTasks.json", _ANY): _kitchen("task_4"),
    ("kitchenSink-ephemeralWorkflowWithEphemeralTasks.json", _ANY): _kitchen("task_10004"),
    ("wf1.json", _ANY): [Script(ends="refused", note="written for schema 1; Conductor refuses it as well")],
    ("do_while_keep_last_n_fix.json", "keep_last_n_example"): [_NOT_ITERATED],
    ("do_while_keep_last_n_fix.json", "keep_last_n_example_2"): [_NOT_ITERATED],
    ("do_while_wait_switch_iteration_test.json", _ANY): [
        Script("b, b, then a", table={"wait_ref": [{"result": "b"}, {"result": "b"}, {"result": "a"}]}),
    ],
    ("signal_subworkflow.json", _ANY): [
        Script(
            "child answered",
            table={"sub_workflow_ref": {"signalled": True}},
            note="wait_signal_test is in no file here: answered whole, as one task",
        ),
    ],
    ("stackoverflower.json", _ANY): [Script("500 iterations", {"n": 500})],
    ("sub_workflow_tests.json", "integration_test_wf_with_sub_wf"): [
        Script("child by name", {"subwf": "sub_workflow"}),
        Script(
            "child takes 6 s of 5",
            {"subwf": "sub_workflow"},
            {"simple_task_in_sub_wf": Outcome.delayed(6)},
            "TIMED_OUT",
        ),
    ],
    ("switch_rerun_issue.json", _ANY): [Script("yes", {"case": "yes"}), Script("no", {"case": "no"})],
    ("switch_rerun_issue_2.json", _ANY): [Script("yes", {"case": "yes"}), Script("no", {"case": "no"})],
    ("timed-out-tasks-not-removed.json", _ANY): [
        Script("polled"),
        Script("never polled", table={"ref_1": Outcome.not_taken()}, note="optional: three poll timeouts"),
    ],
    ("cpewf_task_id_dyn_fork_wf.json", _ANY): [
        Script("succeeds"),
        Script("fails twice", table={"fail_on_purpose": [Outcome.fail(), Outcome.fail(), {}]}),
        Script(
            "hangs",
            table={"fail_on_purpose": Outcome.never()},
            ends="TIMED_OUT",
            note="response timeout, three attempts",
        ),
    ],
    ("sync_workflows.json", "sync_workflow_failed_case"): [
        Script("no such host", table={"http_fail": _FAILS}, ends="FAILED"),
    ],
    ("workflow_data.json", "this_will_fail"): [
        Script("no such page", table={"get_random_fact": _FAILS}, ends="FAILED"),
    ],
    ("workflow_data.json", "http_blocked_ip"): [
        Script("blocked", table={"http_ref": Outcome.fail("address not allowed")}, ends="FAILED"),
    ],
    ("workflow_data.json", "http_async_complete"): [
        Script("accepted, then done", table={"http_ref": [{"accepted": True}, {"done": True}]}),
    ],
}  # fmt: skip


def definitions(folder: Path) -> Iterator[tuple[str, Definition, Definition]]:
    """File, definition and input of everything the folder holds, workflows and tasks, by file name."""
    for file in sorted(folder.rglob("*.json")):
        parsed: Any = parse_document(file.read_bytes())
        for each in parsed if isinstance(parsed, list) else [parsed]:
            inner = each.get("workflowDef", each)
            if "name" in inner and "$schema" not in inner:
                yield file.name, inner, each.get("input") or {}


async def rows(folder: Path) -> AsyncIterator[Row]:
    """One row for each way through each workflow definition, as they come."""
    everything = list(definitions(folder))
    for file, definition, given in everything:
        if "tasks" not in definition:
            continue
        name = definition["name"]
        scripts = SCRIPTS.get((file, name)) or SCRIPTS.get((file, _ANY)) or [Script()]
        registered = list(_registered(everything, file))
        for script in scripts:
            began = time.perf_counter()
            try:
                run = await run_definition(
                    definition,
                    {**given, **script.given},
                    outcomes=Outcomes(script.table, default={}),
                    registered=registered,
                )
            except (AsyncflowError, AssertionError) as refusal:
                yield Row(file, name, script, "refused", _ms(began), str(refusal))
            else:
                yield Row(file, name, script, run.status, _ms(began), run.reason or "", run)


def _registered(everything: list[tuple[str, Definition, Definition]], file: str) -> Iterator[Definition]:
    """One definition of each name, kind and version: that of the file itself, else the first of another."""
    found: dict[tuple[str, bool, int], Definition] = {}
    for _, definition, _ in sorted(everything, key=lambda entry: entry[0] != file):
        if definition.get("schemaVersion", 2) == 2:
            key = (definition["name"], "tasks" in definition, definition.get("version", 1))
            found.setdefault(key, definition)
    yield from found.values()


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def line(row: Row) -> str:
    """A row of the table: file, workflow, way, tasks, rounds, status, virtual and real time, remarks."""
    every = [] if row.run is None else list(row.run.family())
    tasks, rounds = sum(len(run.tasks) for run in every), row.run.rounds if row.run else 0
    seconds = row.run.duration if row.run else 0
    mark = "" if row.is_as_expected else f"EXPECTED {row.script.ends} "
    remarks = row.script.note or ("" if row.status == "COMPLETED" else row.reason[:90])
    return (
        f"{row.file[:44]:44} {row.workflow[:40]:40} {row.script.way[:22]:22} {tasks:6}{rounds:7} "
        f"{row.status:10}{seconds:9.1f}{row.wall_ms:9.0f}  {mark}{remarks}"
    )


HEAD = (
    f"{'file':44} {'workflow':40} {'way':22} {'tasks':>6}{'rounds':>7} "
    f"{'status':10}{'virt. s':>9}{'wall ms':>9}  remarks"
)


async def main(folder: Path) -> int:
    """Print the table; 1 if a row is not as expected."""
    wrong = total = 0
    print(HEAD)
    async for row in rows(folder):
        total += 1
        wrong += not row.is_as_expected
        print(line(row), flush=True)
    print(f"\n{total} ways, {total - wrong} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))

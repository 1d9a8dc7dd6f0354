"""`asyncflow run` in this process: what it prints, what it keeps, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import FAILING, HELLO, Json, call, task, workflow, write

FUNCTIONS = """
import asyncflow as af

@af.task(retries=0)
def double(value: int) -> dict:
    if value < 0:
        raise ValueError("negative")
    return {"value": 2 * value}

with af.Workflow("twice") as wf:
    first = double.node("first", value=wf.input.value)
    second = double.node("second", value=first.output.value)
    wf >> first >> second
    wf.output(value=second.output.value)
"""
DOUBLE = workflow(task("double", inputParameters={"value": "${workflow.input.value}"}), name="doubling")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "hello.json", HELLO)
    write(tmp_path / "failing.json", FAILING)
    write(tmp_path / "double.json", DOUBLE)
    write(tmp_path / "any.json", {"*": {"output": {"done": True}}})
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    return tmp_path


def result(*arguments: str | Path, given: str | None = None) -> Json:
    done = call("run", *arguments, "-o", "json", given=given)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


def tasks(execution: Json) -> list[Json]:
    listed = execution["tasks"]
    assert isinstance(listed, list)
    return listed


@pytest.mark.usefixtures("here")
def test_run_prints_the_execution_in_conductors_shape() -> None:
    shown = result("hello.json", "--input", '{"name": "you"}')

    assert shown["status"] == "COMPLETED"
    assert shown["output"] == {"greeting": "hello, you"}
    assert tasks(shown)[0]["referenceTaskName"] == "greet"


@pytest.mark.usefixtures("here")
def test_run_prints_json_lines_as_one_line() -> None:
    done = call("run", "hello.json", "-o", "jsonl")

    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["status"] == "COMPLETED"


@pytest.mark.usefixtures("here")
def test_run_prints_a_summary_for_people() -> None:
    done = call("run", "hello.json")

    assert done.exit_code == 0
    assert "status     COMPLETED" in done.stdout
    assert "1 (1 COMPLETED)" in done.stdout


@pytest.mark.usefixtures("here")
def test_run_exits_1_when_the_workflow_failed() -> None:
    done = call("run", "failing.json")

    assert done.exit_code == 1
    assert "no luck" in done.stdout


def test_run_takes_input_from_a_file_and_from_stdin(here: Path) -> None:
    write(here / "input.json", {"name": "file"})

    assert result("hello.json", "--input", "@input.json")["output"] == {"greeting": "hello, file"}
    assert result("hello.json", "--input", "@-", given="name: stdin")["output"] == {
        "greeting": "hello, stdin"
    }


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.json"],
        ["hello.json", "--input", "[1]"],
        ["hello.json", "--input", "{"],
        ["hello.json", "--input", "@missing.json"],
        ["hello.json", "--name", "other"],
        ["hello.json", "--load", "no_such_module"],
        ["hello.json", "--load", "missing.py"],
        ["hello.json", "--load", "json"],
        ["hello.json", "--resource", "disk"],
        ["hello.json", "--resource", "disk=0"],
        ["hello.json", "--allow-commands=missing"],
        ["hello.json", "--outcomes", "missing.json"],
        ["hello.json", "--outcomes", "hello.json"],
        ["hello.json", "--http-allow", "not a host"],
        ["hello.json", "--db", "missing/folder.db"],
    ],
)
def test_run_refuses_what_it_cannot_use(arguments: list[str]) -> None:
    done = call("run", *arguments)

    assert done.exit_code in {2, 3}, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_run_names_the_definition_that_is_refused(here: Path) -> None:
    write(here / "both.json", [HELLO, workflow(name="empty")])

    done = call("run", "both.json")

    assert done.exit_code == 2
    assert "workflow 'empty' tasks" in done.stderr


def test_run_reads_yaml_lists_bundles_and_start_requests(here: Path) -> None:
    child = workflow(task("inner", "NOOP"), name="child")
    parent = workflow(task("sub", "SUB_WORKFLOW", subWorkflowParam={"name": "child"}), name="parent")
    (here / "list.yaml").write_text(json.dumps([parent, child]), encoding="utf-8")
    write(here / "bundle.json", {"workflows": [parent, child], "tasks": [{"name": "unused"}]})
    write(here / "request.json", {"name": "x", "workflowDef": HELLO, "input": {"name": "request"}})
    write(here / "parent.json", parent)
    write(here / "child.json", child)

    assert result("list.yaml")["workflowName"] == "parent"
    assert result("bundle.json")["status"] == "COMPLETED"
    assert result("bundle.json", "--name", "child")["workflowName"] == "child"
    assert result("parent.json", "child.json")["status"] == "COMPLETED"
    assert result("request.json")["output"] == {"greeting": "hello, request"}


@pytest.mark.usefixtures("here")
def test_run_refuses_a_missing_sub_workflow_by_name() -> None:
    write(Path("parent.json"), workflow(task("sub", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})))

    done = call("run", "parent.json")

    assert done.exit_code == 2
    assert "child" in done.stderr


@pytest.mark.usefixtures("here")
def test_run_performs_functions_of_a_module_or_a_file() -> None:
    assert result("double.json", "--load", "functions.py", "--input", '{"value": 4}')["status"] == "COMPLETED"
    shown = result("functions.py", "--input", '{"value": 4}')
    assert shown["output"] == {"value": 16}


REFERENCES = """
import asyncflow as af
from functions import double

with af.Workflow("more") as wf:
    wf >> double.node("only", value=wf.input.value)
given = wf.input
"""


def test_run_takes_functions_and_workflows_and_nothing_else_of_a_module(here: Path) -> None:
    (here / "more.py").write_text(REFERENCES, encoding="utf-8")

    assert result("more.py", "--load", "functions", "--input", '{"value": 1}')["workflowName"] == "more"


def test_run_refuses_two_functions_of_one_name(here: Path) -> None:
    (here / "other.py").write_text(FUNCTIONS, encoding="utf-8")

    done = call("run", "double.json", "--load", "functions.py", "--load", "other.py")

    assert done.exit_code == 2
    assert "task name 'double'" in done.stderr


@pytest.mark.usefixtures("here")
def test_run_holds_a_loaded_function_to_what_its_author_said() -> None:
    done = call("run", "double.json", "--load", "functions.py", "--input", '{"value": -1}', "-o", "json")

    assert done.exit_code == 1
    (record,) = json.loads(done.stdout)["tasks"]
    assert record["status"] == "FAILED"
    assert "negative" in record["reasonForIncompletion"]


# --- tasks that nobody here can do ------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["SIMPLE", "HUMAN", "WAIT", "SOME_PLUGIN"])
def test_run_names_a_task_that_nobody_here_can_do(kind: str) -> None:
    write(Path("stuck.json"), workflow(task("stuck", kind)))

    done = call("run", "stuck.json")

    assert done.exit_code == 2
    assert "task stuck" in done.stderr
    assert "--load" in done.stderr


def test_run_goes_as_far_as_it_can_before_it_gives_up(here: Path) -> None:
    branches = [[task("stuck")], [task("brief", "WAIT", inputParameters={"duration": "1 seconds"})]]
    write(
        here / "fork.json",
        workflow(
            task("fork", "FORK_JOIN", forkTasks=branches), task("join", "JOIN", joinOn=["stuck", "brief"])
        ),
    )

    done = call("run", "fork.json", "-o", "json")

    assert done.exit_code == 2
    statuses = {each["referenceTaskName"]: each["status"] for each in json.loads(done.stdout)["tasks"]}
    assert statuses["brief"] == "COMPLETED"
    assert statuses["stuck"] == "SCHEDULED"


@pytest.mark.usefixtures("here")
def test_run_finds_a_stuck_task_inside_a_sub_workflow() -> None:
    child = workflow(task("deep"), name="child")
    inline = {"name": "child", "workflowDefinition": child}
    write(Path("parent.json"), workflow(task("sub", "SUB_WORKFLOW", subWorkflowParam=inline)))

    done = call("run", "parent.json")

    assert done.exit_code == 2
    assert "task deep" in done.stderr


@pytest.mark.usefixtures("here")
def test_rehearsal_answers_and_says_so_everywhere() -> None:
    done = call("run", "double.json", "--outcomes", "any.json")
    shown = result("double.json", "--outcomes", "any.json")

    assert done.exit_code == 0
    assert "1 attempts were answered from a file, not performed" in done.stdout
    assert "a rehearsal" in done.stderr
    assert tasks(shown)[0]["workerId"] == "outcomes:any.json"
    assert tasks(shown)[0]["outputData"] == {"done": True}


def test_rehearsal_consumes_one_outcome_per_attempt(here: Path) -> None:
    write(here / "first.json", {"double": [{"status": "FAILED", "reason": "disk"}, {"output": {"n": 2}}]})

    shown = result("double.json", "--outcomes", "first.json")

    assert [each["status"] for each in tasks(shown)] == ["FAILED", "COMPLETED"]
    assert tasks(shown)[0]["reasonForIncompletion"] == "disk"
    assert tasks(shown)[1]["outputData"] == {"n": 2}


def test_rehearsal_prefers_the_iteration_then_the_reference_then_the_name(here: Path) -> None:
    loop = task(
        "loop",
        "DO_WHILE",
        loopCondition="$.loop['iteration'] < 3",
        loopOver=[task("body") | {"name": "work"}],
    )
    write(here / "loop.json", workflow(loop, task("work", inputParameters={})))
    outcomes = {"body__2": {"output": {"at": "iteration"}}, "body": {"output": {"at": "reference"}}}
    write(here / "outcomes.json", outcomes | {"work": {"output": {"at": "name"}}, "*": {"output": {}}})

    shown = result("loop.json", "--outcomes", "outcomes.json")

    found = {each["referenceTaskName"]: each["outputData"] for each in tasks(shown)}
    assert found["body__1"] == {"at": "reference"}
    assert found["body__2"] == {"at": "iteration"}
    assert found["work"] == {"at": "name"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("outcomes", "path"),
    [
        ([], ""),
        ({"a": []}, "a"),
        ({"a": [1]}, "a[0]"),
        ({"a": {"status": "DONE"}}, "a.status"),
        ({"a": {"output": 1}}, "a.output"),
        ({"a": {"reason": 1}}, "a.reason"),
        ({"a": [{}, {"outputs": {}}]}, "a[1].outputs"),
    ],
)
def test_rehearsal_refuses_outcomes_that_are_not_well_formed(outcomes: object, path: str) -> None:
    done = call("run", "double.json", "--outcomes", write(Path("bad.json"), outcomes))

    assert done.exit_code == 2
    assert f"invalid_definition: {path}" in done.stderr


# --- a database file --------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_run_takes_up_what_is_unfinished_of_the_same_definition_and_input() -> None:
    first = call("run", "double.json", "--db", "x.db", "-o", "json", "--input", '{"value": 1}')
    other = call("run", "double.json", "--db", "x.db", "-o", "json", "--input", '{"value": 2}')
    again = call(
        "run",
        "double.json",
        "--db",
        "x.db",
        "-o",
        "json",
        "--input",
        '{"value": 1}',
        "--outcomes",
        "any.json",
    )
    after = call(
        "run",
        "double.json",
        "--db",
        "x.db",
        "-o",
        "json",
        "--input",
        '{"value": 1}',
        "--outcomes",
        "any.json",
    )
    identities = [json.loads(done.stdout)["workflowId"] for done in (first, other, again, after)]

    assert [done.exit_code for done in (first, other, again, after)] == [2, 2, 0, 0]
    assert "the same command goes on" in first.stderr
    assert identities[2] == identities[0]
    assert len(set(identities)) == 3


@pytest.mark.usefixtures("here")
def test_run_starts_another_execution_when_told_to() -> None:
    first = call("run", "double.json", "--db", "x.db", "-o", "json")
    anew = call("run", "double.json", "--db", "x.db", "-o", "json", "--new", "--outcomes", "any.json")

    assert json.loads(first.stdout)["workflowId"] != json.loads(anew.stdout)["workflowId"]
    assert anew.exit_code == 0


@pytest.mark.usefixtures("here")
def test_run_waits_for_the_failure_workflow() -> None:
    clean = workflow(task("brief", "WAIT", inputParameters={"duration": "1 seconds"}), name="clean_up")
    write(Path("both.json"), [FAILING | {"failureWorkflow": "clean_up"}, clean])

    done = call("run", "both.json", "--db", "x.db")
    listed = call("workflow", "list", "--db", "x.db", "--name", "clean_up", "-o", "json")

    assert done.exit_code == 1
    assert [row["status"] for row in json.loads(listed.stdout)] == ["COMPLETED"]


# --- what has to be allowed -------------------------------------------------------------------

COMMAND = workflow(
    task("echo", "COMMAND", inputParameters={"executable": "echo", "args": ["hi"]}, retryCount=0)
)


@pytest.mark.usefixtures("here")
def test_run_performs_commands_only_if_they_are_allowed() -> None:
    write(Path("command.json"), COMMAND)

    refused = call("run", "command.json")
    allowed = call("run", "command.json", "-o", "json", "--allow-commands")

    assert refused.exit_code == 1
    assert allowed.exit_code == 0, allowed.output
    assert json.loads(allowed.stdout)["tasks"][0]["outputData"]["stdout"] == "hi\n"


@pytest.mark.usefixtures("here")
def test_run_refuses_scripts_where_they_are_off() -> None:
    inline = task("script", "INLINE", inputParameters={"evaluatorType": "javascript", "expression": "1 + 1"})
    write(Path("script.json"), workflow(inline))

    assert result("script.json")["output"] == {"result": 2}
    assert call("run", "script.json", "--scripts", "off").exit_code == 1

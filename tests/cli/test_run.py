"""`asyncflow run` in this process: what it prints, what it keeps, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import FAILING, FUNCTIONS, HELLO, call, result, task, tasks, workflow, write


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


@pytest.mark.parametrize(
    ("text", "said"),
    [("raise SystemExit(0)", "SystemExit"), ("1 +", "SyntaxError"), ("import nothing_here", "nothing_here")],
)
def test_run_says_why_a_module_cannot_be_loaded(here: Path, text: str, said: str) -> None:
    (here / "broken.py").write_text(text, encoding="utf-8")

    done = call("run", "double.json", "--load", "broken.py")

    assert done.exit_code == 2
    assert "cannot load broken.py" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


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

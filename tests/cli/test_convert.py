"""`asyncflow import` and `asyncflow export`: files in, definitions out, losses told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import Json, call, task, workflow, write

TRACE: Json = {
    "name": "trace",
    "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"id": "a", "name": "a", "children": ["b"], "parents": []},
                {"id": "b", "name": "b", "children": [], "parents": ["a"]},
            ]
        },
        "execution": {
            "tasks": [
                {
                    "id": "a",
                    "runtimeInSeconds": 100,
                    "command": {"program": "/bin/false", "arguments": ["-x"]},
                },
                {"id": "b", "runtimeInSeconds": 50, "command": {"program": "/bin/false", "arguments": []}},
            ]
        },
    },
}
FIRES: Json = {
    "name": "{{title}}",
    "processes": [{"name": "p", "type": "dataflow", "function": "{{function}}", "ins": ["x"], "outs": ["y"]}],
    "signals": [{"name": "x", "data": [1]}, {"name": "y"}],
    "ins": [],
    "outs": ["y"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "trace.json", TRACE)
    write(tmp_path / "fires.json", FIRES)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_imported_trace_runs_at_its_time_scale() -> None:
    done = call("import", "trace.json", "--format", "wfformat", "--time-scale", "0.0001", "--out", "w.json")
    ran = call("run", "w.json", "-o", "json")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "2 tasks in w.json" in done.stderr
    assert json.loads(ran.stdout)["status"] == "COMPLETED"


@pytest.mark.usefixtures("here")
def test_import_writes_to_stdout_by_default() -> None:
    done = call("import", "trace.json", "--format", "wfformat", "--name", "mine", "--definition-version", "3")

    definition = json.loads(done.stdout)
    assert (definition["name"], definition["version"]) == ("mine", 3)


@pytest.mark.usefixtures("here")
def test_imported_commands_are_replaced_and_run() -> None:
    how = ["--format", "wfformat", "--execute", "--map", "*=echo {program} {args}"]
    done = call("import", "trace.json", *how, "--out", "w.json")
    ran = call("run", "w.json", "--allow-commands", "-o", "json")

    assert done.exit_code == 0
    outputs = [each["outputData"]["stdout"] for each in json.loads(ran.stdout)["tasks"]]
    assert outputs == ["/bin/false -x\n", "/bin/false\n"]


@pytest.mark.usefixtures("here")
def test_imported_hyperflow_takes_variables_and_can_be_simulated() -> None:
    how = ["--format", "hyperflow", "--var", "title=t"]
    plain = call("import", "fires.json", *how, "--function", "work")
    timed = call("import", "fires.json", *how, "--simulate", "--simulated-seconds", "0.5")

    assert plain.exit_code == timed.exit_code == 0, plain.stderr + timed.stderr
    assert json.loads(plain.stdout)["name"] == "t"
    assert json.loads(plain.stdout)["tasks"][0]["name"] == "work"
    assert json.loads(timed.stdout)["tasks"][0]["asyncflow"]["durationMs"] == 500


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "options",
    [
        ["trace.json", "--format", "nothing"],
        ["missing.json", "--format", "wfformat"],
        ["fires.json", "--format", "wfformat"],
        ["fires.json", "--format", "hyperflow"],
        ["trace.json", "--format", "hyperflow"],
        ["trace.json", "--format", "wfformat", "--time-scale", "-1"],
        ["trace.json", "--format", "wfformat", "--time-scale", "nan"],
        ["trace.json", "--format", "wfformat", "--simulate"],
        ["trace.json", "--format", "wfformat", "--var", "a=b"],
        ["trace.json", "--format", "wfformat", "--map", "a=b"],
        ["trace.json", "--format", "wfformat", "--execute", "--map", "a"],
        ["fires.json", "--format", "hyperflow", "--var", "title"],
        ["fires.json", "--format", "hyperflow", "--missing-runtime", "1"],
        ["trace.json", "--format", "wfformat", "--out", "missing/w.json"],
    ],
)
def test_import_refuses_what_it_cannot_use(options: list[str]) -> None:
    done = call("import", *options)

    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_import_leaves_an_old_file_alone_when_it_refuses(here: Path) -> None:
    (here / "w.json").write_text("old", encoding="utf-8")

    done = call("import", "fires.json", "--format", "wfformat", "--out", "w.json")

    assert done.exit_code == 2
    assert (here / "w.json").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in here.iterdir()) == ["fires.json", "trace.json", "w.json"]


def test_export_lowers_and_tells_what_is_lost(here: Path) -> None:
    tasks = [
        task("a", asyncflow={"dependsOn": [], "priority": 5}),
        task("b", asyncflow={"dependsOn": ["a"]}),
        task("c", asyncflow={"dependsOn": ["a"]}),
    ]
    write(here / "dag.json", workflow(*tasks, name="dag"))

    done = call("export", "dag.json", "--target", "conductor")

    assert done.exit_code == 0
    lowered = json.loads(done.stdout)
    assert "asyncflow" not in done.stdout
    assert [each["type"] for each in lowered["tasks"]] == ["SIMPLE", "FORK_JOIN", "JOIN"]
    assert "priority" in done.stderr


def test_export_refuses_a_definition_that_could_not_run(here: Path) -> None:
    write(here / "empty.json", workflow(name="empty"))

    done = call("export", "empty.json", "--target", "conductor")

    assert done.exit_code == 2
    assert "tasks" in done.stderr


@pytest.mark.parametrize(
    "file",
    ["hyperflow-montage143.json", "wfformat-1000genome-2ch-100k.json", "wfformat-montage-2mass-015d.json"],
)
def test_real_files_are_imported_and_run(file: str, data_dir: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "w.json", data_dir / "workflows" / file
    how = ["--format", "wfformat", "--time-scale", "0.0001"]
    if file.startswith("hyperflow"):
        how = ["--format", "hyperflow", "--simulate", "--simulated-seconds", "0.01"]

    imported = call("import", source, *how, "--out", out)
    ran = call("run", out, "-o", "json", "--progress", "off")

    assert imported.exit_code == 0, imported.stderr
    assert json.loads(ran.stdout)["status"] == "COMPLETED"

"""`asyncflow lint`: what is wrong with definitions, and what is most likely not meant.

Findings are the result and go to stdout; nothing is run. The rules are in `app/checking`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import click

from asyncflow.app.checking import Finding, check_task_definition, check_workflow
from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.loading import Bundle, read_bundle
from asyncflow.cli.output import Format, cell, format_option, styled, write_rows
from asyncflow.convert.conductor import lower_to_conductor
from asyncflow.errors import AsyncflowError, DefinitionError
from asyncflow.model.definition import WorkflowDefinition, to_json


class Located(NamedTuple):
    """A finding with the file and the definition it is in."""

    file: str
    definition: str
    finding: Finding

    def row(self) -> dict[str, object]:
        """As one row of the result."""
        return {"file": self.file, "definition": self.definition, **self.finding._asdict()}


@click.command(short_help="Check definitions without running them.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--target", type=click.Choice(["conductor"]), help="Warn of what would be lost there as well.")
@format_option
def lint(files: tuple[str, ...], target: str | None, output: Format) -> int:
    """Check workflow and task definitions in JSON, YAML or Python files.

    Exit code 2 if anything would be refused; warnings alone leave it at 0.
    """
    found = [located for file in files for located in _check_file(file, target)]
    if output == "table":
        _write_lines(found)
    else:
        write_rows([located.row() for located in found], {}, output)
    errors = sum(located.finding.kind == "error" for located in found)
    warnings = len(found) - errors
    click.echo(f"asyncflow: {len(files)} files, {errors} errors, {warnings} warnings", err=True)
    return USAGE if errors else DONE


def _check_file(file: str, target: str | None) -> Iterator[Located]:
    try:
        bundle = read_bundle([file])
    except DefinitionError as error:
        yield from (Located(file, "", Finding("error", v.path, v.message)) for v in error.violations)
        return
    except (AsyncflowError, CommandFailed) as error:
        yield Located(file, "", Finding("error", "", str(error).removeprefix(f"{file}: ")))
        return
    yield from _check_bundle(file, bundle, target)


def _check_bundle(file: str, bundle: Bundle, target: str | None) -> Iterator[Located]:
    for workflow in bundle.workflows:
        findings = check_workflow(workflow)
        if target is not None and all(finding.kind != "error" for finding in findings):
            findings += _losses(workflow)
        yield from (Located(file, workflow.name, finding) for finding in findings)
    for task in bundle.tasks:
        yield from (Located(file, task.name, finding) for finding in check_task_definition(task))


def _losses(workflow: WorkflowDefinition) -> list[Finding]:
    body = to_json(workflow)
    _, losses = lower_to_conductor(body)
    return [Finding("warning", "", f"for Conductor: {loss}") for loss in losses]


def _write_lines(found: list[Located]) -> None:
    for located in found:
        finding = located.finding
        colour = "red" if finding.kind == "error" else "yellow"
        where = " ".join(part for part in (located.file, located.definition) if part)
        path = f"{finding.path}: " if finding.path else ""
        click.echo(f"{cell(where)}: {styled(finding.kind, colour=colour)}: {cell(path + finding.message)}")

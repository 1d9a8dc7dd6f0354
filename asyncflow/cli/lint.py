"""`asyncflow lint`: what is wrong with definitions, and what is most likely not meant.

Findings are the result and go to stdout; nothing is run. The rules are in `app/checking`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import click

from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import Format, cell, format_option, styled, write_rows
from asyncflow.errors import AsyncflowError, DefinitionError

if TYPE_CHECKING:
    from asyncflow.app import checking
    from asyncflow.cli import loading
    from asyncflow.convert import conductor
    from asyncflow.model import compatibility
    from asyncflow.model import definition as definitions
    from asyncflow.plugins import registry
else:
    checking = Late("asyncflow.app.checking")
    loading = Late("asyncflow.cli.loading")
    conductor = Late("asyncflow.convert.conductor")
    compatibility = Late("asyncflow.model.compatibility")
    definitions = Late("asyncflow.model.definition")
    registry = Late("asyncflow.plugins.registry")


class Located(NamedTuple):
    """A finding with the file and the definition it is in."""

    file: str
    definition: str
    finding: checking.Finding

    def row(self) -> dict[str, object]:
        """As one row of the result."""
        return {"file": self.file, "definition": self.definition, **self.finding._asdict()}


@click.command(short_help="Check definitions without running them.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--target", type=click.Choice(["conductor"]), help="Warn of what would be lost there as well.")
@click.option("--against", metavar="FILE", help="Definitions of now: what breaks their users is an error.")
@format_option
def lint(files: tuple[str, ...], target: str | None, against: str | None, output: Format) -> int:
    """Check workflow and task definitions in JSON, YAML or Python files.

    Exit code 2 if anything would be refused; warnings alone leave it at 0.
    """
    former = {} if against is None else _newest(loading.read_bundle([against]))
    plugins = registry.Registry.load()
    found = [located for file in files for located in _check_file(file, target, former, plugins=plugins)]
    if output == "table":
        _write_lines(found)
    else:
        write_rows([located.row() for located in found], {}, output)
    errors = sum(located.finding.kind == "error" for located in found)
    warnings = len(found) - errors
    click.echo(f"asyncflow: {len(files)} files, {errors} errors, {warnings} warnings", err=True)
    return USAGE if errors else DONE


def _newest(bundle: loading.Bundle) -> dict[str, definitions.WorkflowDefinition]:
    """The highest version of every workflow."""
    return {each.name: each for each in sorted(bundle.workflows, key=lambda each: each.version)}


def _check_file(
    file: str,
    target: str | None,
    former: Mapping[str, definitions.WorkflowDefinition],
    *,
    plugins: registry.Registry,
) -> Iterator[Located]:
    try:
        bundle = loading.read_bundle([file])
    except DefinitionError as error:
        yield from (Located(file, "", checking.Finding("error", v.path, v.message)) for v in error.violations)
        return
    except (AsyncflowError, CommandFailed) as error:
        yield Located(file, "", checking.Finding("error", "", str(error).removeprefix(f"{file}: ")))
        return
    yield from _check_bundle(file, bundle, target, plugins)
    for workflow in bundle.workflows:
        if workflow.name in former:
            yield from _broken(file, former[workflow.name], workflow)


def _check_bundle(
    file: str, bundle: loading.Bundle, target: str | None, plugins: registry.Registry
) -> Iterator[Located]:
    for workflow in bundle.workflows:
        findings = checking.check_workflow(workflow, plugins)
        if target is not None and all(finding.kind != "error" for finding in findings):
            findings += _losses(workflow)
        yield from (Located(file, workflow.name, finding) for finding in findings)
    for task in bundle.tasks:
        yield from (Located(file, task.name, finding) for finding in checking.check_task_definition(task))


def _broken(
    file: str, before: definitions.WorkflowDefinition, after: definitions.WorkflowDefinition
) -> Iterator[Located]:
    """What a definition changes for the users of another: an error where it breaks them, else a warning."""
    for each in compatibility.differences(before, after):
        kind: checking.Kind = "error" if each.breaking else "warning"
        said = f"{each.change}, against version {before.version}: {each.message}"
        yield Located(file, after.name, checking.Finding(kind, f"{each.subject} {each.name}", said))


def _losses(workflow: definitions.WorkflowDefinition) -> list[checking.Finding]:
    body = definitions.to_json(workflow)
    _, losses = conductor.lower_to_conductor(body)
    return [checking.Finding("warning", "", f"for Conductor: {loss}") for loss in losses]


def _write_lines(found: list[Located]) -> None:
    for located in found:
        finding = located.finding
        colour = "red" if finding.kind == "error" else "yellow"
        where = " ".join(part for part in (located.file, located.definition) if part)
        path = f"{finding.path}: " if finding.path else ""
        click.echo(f"{cell(where)}: {styled(finding.kind, colour=colour)}: {cell(path + finding.message)}")

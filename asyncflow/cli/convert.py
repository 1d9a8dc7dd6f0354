"""`asyncflow import` and `asyncflow export`: definitions out of, and into, the words of other systems.

Files in, a file or stdout out; what could not be kept is said on stderr. What becomes of each
field is told in `docs/importing.md`, the work is done in `convert`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic_core import to_json as encode

from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import write_json
from asyncflow.cli.paths import FilePath
from asyncflow.errors import DefinitionError, Violation

if TYPE_CHECKING:
    from asyncflow.app import checking
    from asyncflow.cli import loading
    from asyncflow.convert import conductor, hyperflow, wfformat
    from asyncflow.convert import tasks as converted
    from asyncflow.model import definition as definitions
else:
    checking = Late("asyncflow.app.checking")
    loading = Late("asyncflow.cli.loading")
    conductor = Late("asyncflow.convert.conductor")
    hyperflow = Late("asyncflow.convert.hyperflow")
    wfformat = Late("asyncflow.convert.wfformat")
    converted = Late("asyncflow.convert.tasks")
    definitions = Late("asyncflow.model.definition")

_WFFORMAT, _HYPERFLOW = "wfformat", "hyperflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The options of `import` as they were given; None where one was not."""

    execute: bool
    maps: tuple[str, ...]
    workdir: str | None
    time_scale: float | None
    name: str | None
    version: int
    missing_runtime: float | None
    simulate: bool
    simulated: float | None
    variables: tuple[str, ...]
    function: str | None

    def wfformat(self) -> wfformat.WfFormatOptions:
        """For a WfFormat document."""
        return wfformat.WfFormatOptions(
            executables=converted.parse_executable_map(self.maps),
            workdir=self.workdir,
            execute=self.execute,
            time_scale=1.0 if self.time_scale is None else self.time_scale,
            missing_runtime_seconds=self.missing_runtime,
            name=self.name,
            version=self.version,
        )

    def hyperflow(self) -> hyperflow.HyperflowOptions:
        """For a workflow.json."""
        return hyperflow.HyperflowOptions(
            executables=converted.parse_executable_map(self.maps),
            workdir=self.workdir,
            variables=parse_variables(self.variables),
            function="command" if self.function is None else self.function,
            execute=self.execute,
            simulate=self.simulate,
            simulated_seconds=1.0 if self.simulated is None else self.simulated,
            time_scale=1.0 if self.time_scale is None else self.time_scale,
            name=self.name,
            version=self.version,
        )

    def check(self, chosen: str) -> None:
        """Refuse what the format cannot use.

        Raises:
            CommandFailed: an option of the other format was given.
        """
        of_format = {
            _WFFORMAT: {"--missing-runtime": self.missing_runtime is not None},
            _HYPERFLOW: {
                "--simulate": self.simulate,
                "--simulated-seconds": self.simulated is not None,
                "--var": bool(self.variables),
                "--function": self.function is not None,
            },
        }
        for owner, options in of_format.items():
            for option, is_given in options.items():
                if is_given and owner != chosen:
                    raise CommandFailed(f"{option} is an option of --format {owner}")
        if not self.execute and (self.maps or self.workdir is not None):
            raise CommandFailed("--map and --workdir say how commands are run: they need --execute")


@click.command(name="import", short_help="Turn a file of another system into a definition.")
@click.argument("file")
@click.option(
    "--format", "chosen", type=click.Choice([_WFFORMAT, _HYPERFLOW]), required=True, help="What FILE is."
)
@click.option("--out", type=FilePath(), help="Where to write; stdout otherwise.")
@click.option("--time-scale", type=float, help="Factor on recorded or simulated times.  [default: 1]")
@click.option("--execute", is_flag=True, help="Run the real commands instead of timed waits or functions.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="NAME=COMMAND",
    help="With --execute: what to run for an executable, * for all others; {args} are its arguments.",
)
@click.option("--workdir", metavar="DIR|EXPRESSION", help="With --execute: where commands run.")
@click.option("--name", metavar="NAME", help="The definition's name, if not the file's own.")
@click.option(
    "--definition-version",
    "version",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The definition's version.",
)
@click.option(
    "--missing-runtime", type=float, metavar="SECONDS", help="wfformat: for tasks without a recorded time."
)
@click.option("--simulate", is_flag=True, help="hyperflow: timed waits instead of functions.")
@click.option(
    "--simulated-seconds",
    "simulated",
    type=float,
    metavar="SECONDS",
    help="hyperflow: how long a simulated wait is.  [default: 1]",
)
@click.option(
    "--var", "variables", multiple=True, metavar="KEY=VALUE", help="hyperflow: a variable of the template."
)
@click.option("--function", metavar="NAME", help="hyperflow: the template's `function`.  [default: command]")
def import_(file: str, chosen: str, out: Path | None, **given: object) -> None:
    """Write the definition that FILE of another system describes, as JSON."""
    options = ImportOptions(**given)  # type: ignore[arg-type]  # click has checked them
    options.check(chosen)
    if chosen == _WFFORMAT:
        definition = wfformat.import_wfformat(
            loading.read_document(file, purpose="value"), options.wfformat()
        )
    else:
        definition = hyperflow.import_hyperflow(_text(file), options.hyperflow())
    _refuse_faults(definition)
    _write(definition, out)
    for note in _notes(definition):
        click.echo(f"asyncflow: note: {note}", err=True)
    tasks = definition.get("tasks")
    count = len(tasks) if isinstance(tasks, list) else 0
    click.echo(f"asyncflow: {definition['name']}: {count} tasks{f' in {out}' if out else ''}", err=True)


@click.command(short_help="Turn a definition into what another system runs.")
@click.argument("file")
@click.option("--target", type=click.Choice(["conductor"]), required=True, help="Which system.")
@click.option("--out", type=FilePath(), help="Where to write; stdout otherwise.")
@click.option("--name", "chosen", metavar="NAME", help="Which workflow of FILE, if not its first one.")
def export(file: str, target: str, out: Path | None, chosen: str | None) -> None:
    """Write a definition in another system's words, and say on stderr what could not be kept."""
    body = definitions.to_json(loading.read_bundle([file]).choose(chosen))
    _refuse_faults(body)
    lowered, losses = conductor.lower_to_conductor(body)
    _write(lowered, out)
    for loss in losses:
        click.echo(f"asyncflow: {target}: {loss}", err=True)


def _text(file: str) -> str:
    try:
        return loading.read_text(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file}: not UTF-8 at byte {error.start}") from error


def parse_variables(entries: tuple[str, ...]) -> dict[str, str]:
    """The values of template variables, by name.

    Raises:
        CommandFailed: one has no name or no value.
    """
    variables: dict[str, str] = {}
    for entry in entries:
        key, sign, value = entry.partition("=")
        if not sign or not key:
            raise CommandFailed(f"--var {entry}: KEY=VALUE is expected")
        variables[key] = value
    return variables


def _notes(definition: Mapping[str, object]) -> list[str]:
    metadata = definition.get("metadata")
    source = metadata.get("source") if isinstance(metadata, dict) else None
    notes = source.get("notes") if isinstance(source, dict) else None
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _refuse_faults(definition: Mapping[str, object]) -> None:
    """A definition that could not be run is not written.

    Raises:
        DefinitionError: with every fault.
    """
    found = checking.check_workflow(definitions.parse_workflow(definition))
    faults = [Violation(each.path, each.message) for each in found if each.kind == "error"]
    if faults:
        raise DefinitionError(faults)


def _write(definition: Mapping[str, object], out: Path | None) -> None:
    """To stdout, or to a file that holds either what it held before or all of this."""
    if out is None:
        write_json(definition)
        return
    written = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        written.write_bytes(encode(definition, indent=2) + b"\n")
        written.replace(out)
    except OSError as error:
        raise CommandFailed(f"{out}: {error.strerror}") from error
    finally:
        written.unlink(missing_ok=True)

"""`asyncflow task io`: how much data a task of a workflow took in and gave out, run by run.

It is read from the server's database, so over its restarts; what is unusual is told as an event.
"""

from __future__ import annotations

import click

from asyncflow.cli.executions import number_of
from asyncflow.cli.output import Format, format_option, write_json, write_rows
from asyncflow.cli.remote import as_object, as_rows, fetch, server_option, when

_RUNS = {
    "time": "ENDED (UTC)",
    "executionId": "EXECUTION",
    "status": "STATUS",
    "inputBytes": "INPUT",
    "outputBytes": "OUTPUT",
    "rowsIn": "ROWS IN",
    "rowsOut": "ROWS OUT",
    "bytesIn": "BYTES IN",
    "bytesOut": "BYTES OUT",
    "chart": "OF THE LARGEST OUTPUT",
    "odd": "UNUSUAL",
}
_BAR = 20  # characters


@click.command()
@click.argument("workflow")
@click.argument("reference", metavar="REF")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="At most this many."
)
@server_option
@format_option
def io(*, workflow: str, reference: str, limit: int, server: str, output: Format) -> None:
    """Show how much data the task REF of a WORKFLOW took in and gave out in its newest runs."""
    found = as_object(fetch(server, "api", "asyncflow", "io", workflow, reference, count=limit))
    if output != "table":
        write_json(found, lines=output == "jsonl")
        return
    usual = as_object(found.get("usual"))
    runs = as_rows(found, "runs")
    largest = max((number_of(row, "outputBytes") for row in runs), default=0)
    rows = [
        {
            **row,
            "time": when(row.get("endTime")),
            "chart": _bar(number_of(row, "outputBytes"), largest),
            "odd": _names(row.get("unusual")),
        }
        for row in runs
    ]
    chart = _bar(number_of(usual, "outputBytes"), largest)
    write_rows([*rows, {**usual, "status": "MEDIAN", "chart": chart}], _RUNS, output)


def _names(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else ""


def _bar(value: int, largest: int) -> str:
    """A line as long as the value is large."""
    return "#" * (-(-value * _BAR // largest) if largest else 0)

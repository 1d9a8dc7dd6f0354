"""Files that no tool wrote: refused by path in a moment, never a crash of Python's."""

from __future__ import annotations

import json
import math

import pytest

from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.convert.wfformat import WfFormatOptions, import_wfformat
from asyncflow.errors import DefinitionError, InvalidInput
from tests.convert.test_hyperflow import process, workflow


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, "not JSON that can be read"),
        ('{"a": ' + "1" * 5_000 + "}", "not JSON that can be read"),
        ('{"a": [1, NaN]}', "a[1]: NaN and Infinity are not JSON"),
        ("{{" + " " * 200_000 + "}", "not JSON"),
        (workflow([process("P", ["s:²"], [])], {"s": [1]}), "'²' is not a signal"),
        (workflow([process("P", ["s"], [], firingLimit="²")], {"s": [1]}), "firingLimit: must be a number"),
        (workflow([process("P", ["s"], ["t:999999999"])], {"s": [1], "t": None}), "more than 1000000 in all"),
        (
            workflow([process("P", [], ["t"], firingLimit=1, firingInterval=10**400)], {"t": None}),
            "firingInterval: must be a finite number of at least 0",
        ),
    ],
)
def test_hyperflow_file_is_refused_by_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        import_hyperflow(text, HyperflowOptions())

    assert reason in str(refused.value)


def test_open_quote_in_arguments_is_refused_by_path() -> None:
    config = {"executor": {"executable": "x", "args": "a 'b"}}
    text = workflow([process("P", ["s"], [], config=config)], {"s": [1]})

    with pytest.raises(DefinitionError, match=r"processes\[0\].config.executor.args: .*No closing quotation"):
        import_hyperflow(text, HyperflowOptions(execute=True))


@pytest.mark.parametrize("runtime", [10**400, 1e308, math.inf])
def test_runtime_that_is_no_time_is_refused_by_path(runtime: float) -> None:
    document = {"workflow": {"tasks": [{"name": "a", "runtime": runtime}]}}

    with pytest.raises(DefinitionError, match=r"workflow.tasks\[0\].runtime: must be a finite number"):
        import_wfformat(document, WfFormatOptions())


def test_wait_longer_than_a_wait_can_be_is_refused_by_its_option() -> None:
    document = {"workflow": {"tasks": [{"name": "a", "runtime": 1e200}]}}

    with pytest.raises(InvalidInput, match="time_scale: makes 'a' wait"):
        import_wfformat(document, WfFormatOptions(time_scale=1e200))


def test_time_out_of_range_is_refused_by_the_option_that_gave_it() -> None:
    with pytest.raises(InvalidInput, match="missing_runtime_seconds: must be"):
        import_wfformat({}, WfFormatOptions(missing_runtime_seconds=-1))
    with pytest.raises(InvalidInput, match="simulated_seconds: must be"):
        import_hyperflow(json.dumps({}), HyperflowOptions(simulated_seconds=math.nan))

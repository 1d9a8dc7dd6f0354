"""The runs of one test, and the branches they covered together.

It runs nothing by itself: `testing/kit` does, and `testing/coverage` counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from asyncflow.model.values import JsonObject
from asyncflow.testing.coverage import KINDS, BranchCoverage, Kind
from asyncflow.testing.kit import RunOptions, run_definition
from asyncflow.testing.runs import TestRun
from asyncflow.testing.sources import Runnable


class Kit:
    """Runs definitions and remembers the runs; what the fixture `asyncflow_kit` gives.

    Attributes:
        runs: every run made with it, oldest first.
    """

    def __init__(self) -> None:
        """Nothing was run yet."""
        self.runs: list[TestRun] = []

    async def run(
        self,
        workflow: Runnable,
        input: JsonObject | None = None,  # noqa: A002 - the word users know it by
        **options: Unpack[RunOptions],
    ) -> TestRun:
        """Run a definition; options, result and errors are those of `run_definition`."""
        run = await run_definition(workflow, input, **options)
        self.runs.append(run)
        return run

    def coverage(self, workflow: Runnable, *, kinds: Iterable[Kind] = KINDS) -> BranchCoverage:
        """The branches of a definition that the runs so far came past."""
        covered = BranchCoverage(workflow, kinds=kinds)
        covered.add(*self.runs)
        return covered

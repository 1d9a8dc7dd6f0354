"""Reports of jobs on their way to be decided: those of one round of the loop go together.

A service answers for a thousand jobs at once, and deciding them one by one costs more than what they say.
Nothing is held back longer than that round; what is decided is in `decide/jobs`.
"""

from __future__ import annotations

import asyncio

from asyncflow.model.job_inputs import JobOver, JobReport, JobsTold
from asyncflow.runtime.jobs.seams import Report

MOST = 100
"""Reports decided at one go: some 5 ms."""


class Reporting:
    """What was said in this round, by execution, in the order in which it was said."""

    def __init__(self, report: Report) -> None:
        """Nothing was."""
        self._report = report
        self._said: dict[str, list[JobReport]] = {}

    def __len__(self) -> int:
        """For how many executions something waits."""
        return len(self._said)

    def say(self, stream: str, report: JobReport) -> None:
        """Have a report decided, after all others of its execution."""
        if not self._said:
            asyncio.get_running_loop().call_soon(self.flush)
        said = self._said.get(stream)
        if said is None:
            self._said[stream] = [report]
        else:
            said.append(report)

    def flush(self) -> None:
        """Hand everything on now."""
        said, self._said = self._said, {}
        for stream, reports in said.items():
            if len(reports) == 1:
                self._report(stream, reports[0])
                continue
            for start in range(0, len(reports), MOST):
                some = tuple(reports[start : start + MOST])
                size = sum(each.output_bytes for each in some if type(each) is JobOver)
                self._report(stream, JobsTold(some, size))

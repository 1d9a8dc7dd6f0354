"""How long executions are kept after their end, by age and by number, for all workflows and for single ones.

It carries and never judges. What is beyond it is found by `store/retention` and removed by
`app/execution_sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Kept(NamedTuple):
    """What is kept of one workflow: for so many days after the end, and so many that began last; 0: all."""

    days: float = 0
    executions: int = 0


FOR_EVER = Kept()
"""Nothing is removed."""


@dataclass(frozen=True, slots=True)
class ExecutionRetention:
    """What is kept of each workflow, and where the others go.

    Attributes:
        kept: of workflows that have no rule of their own.
        workflows: of these, by name.
        archive: the file that executions are copied into before they are removed; None for none.
    """

    kept: Kept = FOR_EVER
    workflows: Mapping[str, Kept] = field(default_factory=dict)
    archive: Path | None = None

    def of(self, name: str) -> Kept:
        """What is kept of a workflow."""
        return self.workflows.get(name, self.kept)

    @property
    def removes(self) -> bool:
        """Whether anything is ever removed."""
        return self.kept != FOR_EVER or any(each != FOR_EVER for each in self.workflows.values())


ALL_KEPT = ExecutionRetention()
"""Every execution is kept for ever."""

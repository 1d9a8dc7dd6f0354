"""`[retention]` and `[retention_of.NAME]` of the configuration: how long executions are kept.

It is parsed once with the rest, see `app/config`; what is done by it is in `app/execution_sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from asyncflow.model.retention import ExecutionRetention, Kept


class KeptSection(BaseModel):
    """What is kept of one workflow; 0 means all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: float = Field(default=0, ge=0, le=36_500)
    """Since their end."""
    executions: int = Field(default=0, ge=0, le=1_000_000_000)
    """Those that began last."""

    def kept(self) -> Kept:
        """The same as the engine takes it."""
        return Kept(self.days, self.executions)


class RetentionSection(KeptSection):
    """What is kept of every workflow that has no rule of its own; by default all, for ever."""

    archive: Path | None = None
    """The file that executions are copied into before they are removed."""

    def retention(self, own_rules: Mapping[str, KeptSection]) -> ExecutionRetention:
        """The same as the engine takes it, with the rules of single workflows."""
        own = {name: each.kept() for name, each in own_rules.items()}
        return ExecutionRetention(self.kept(), own, self.archive)

"""A manager made of settings as the engine makes one, for tests of it and of workflows that use it.

It is not opened, and speaks to what its settings say; no engine is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from asyncflow.plugins.resources import ResourceContext, ResourceManager

M = TypeVar("M", bound=ResourceManager)

SECRET = "a-secret-that-nobody-sees"  # noqa: S105  # it opens nothing


def made_of(
    kind: type[M],
    settings: Mapping[str, object],
    *,
    installation: str = "contract",
    now_ms: Callable[[], int] = lambda: 0,
) -> M:
    """A manager with these settings; raises pydantic's ValidationError where they do not fit."""
    context = ResourceContext("contract", installation=installation, now_ms=now_ms)
    return kind(kind.Config.model_validate(settings), context)

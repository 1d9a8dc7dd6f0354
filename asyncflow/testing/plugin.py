"""The pytest fixtures: `asyncflow_kit` and `virtual_engine`.

Every pytest run with asyncflow installed loads this module, so it imports nothing of the engine
until a test asks. What the fixtures give is in `testing/session` and `testing/kit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncflow.testing.kit import VirtualEngine
    from asyncflow.testing.session import Kit


@pytest.fixture
def asyncflow_kit() -> Kit:
    """Runs definitions in virtual time and remembers the runs, for branch coverage.

    Works with any plugin that runs coroutine tests on asyncio.
    """
    from asyncflow.testing.session import Kit  # noqa: PLC0415 - see the module: not at pytest's start

    return Kit()


@pytest.fixture
def virtual_engine() -> type[VirtualEngine]:
    """The class of engines in virtual time, to be opened by the test with its own outcomes and functions."""
    from asyncflow.testing.kit import VirtualEngine  # noqa: PLC0415 - see the module: not at pytest's start

    return VirtualEngine

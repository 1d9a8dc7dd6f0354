"""Five processes of the unmodified Python SDK get one task each of five, whenever these come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sdk_conformance.fair_share import SDK, by_sdk, sdk, told, uneven
from tests.sdk_conformance.serving import serving


@pytest.mark.conformance
@pytest.mark.timeout(200)
async def test_five_tasks_for_five_processes_of_the_sdk_are_one_each(tmp_path: Path) -> None:
    environment = sdk()
    if environment is None:
        pytest.skip(f"{SDK} is not installed: python -m tests.sdk_conformance.run")

    async with serving(tmp_path) as url:
        table = await by_sdk(environment, url, times=15)

    assert uneven(table) <= 1, told("5 processes of the SDK", table)

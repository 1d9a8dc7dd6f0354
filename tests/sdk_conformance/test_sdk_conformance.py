"""What unmodified SDKs do as clients and as workers, against `asyncflow serve`.

The SDK that is installed beside asyncflow is always used; `python -m tests.sdk_conformance.run`
installs the others, and the tests that need one that is not there are skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sdk_conformance.environments import Environment, present, wanted
from tests.sdk_conformance.running import FAILED, Scenario, run, scenarios

THERE = {environment.name: environment for environment in present()}
EVERY = {**{environment.name: environment for environment in wanted()}, **THERE}
CASES = [
    pytest.param(environment, scenario, id=f"{name}-{scenario.name}".replace(" ", "_"))
    for name, environment in sorted(EVERY.items())
    for scenario in scenarios(environment)
]


@pytest.mark.conformance
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("environment", "scenario"), CASES)
async def test_sdk_does_not_see_a_difference(
    environment: Environment, scenario: Scenario, tmp_path: Path
) -> None:
    if environment.name not in THERE:
        pytest.skip(f"{environment.name} is not installed: python -m tests.sdk_conformance.run")

    result = await run(environment, scenario, tmp_path)

    assert result.outcome != FAILED, result.said[-6000:]
    assert not result.faults, result.faults[:3]

"""What every test may ask for: hypothesis profiles, the folder of real input, where the checkout lies.

It starts no engine and knows no module of ours. Fixtures that do live beside the tests that need
them; fakes and virtual time live in `asyncflow.testing`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CHECKOUT = Path(__file__).resolve().parent.parent

# A deadline measures the machine, not the code. CI draws the same examples every time, so that a
# red run can be repeated; a developer's run draws new ones, and keeps what failed.
_TOO_SLOW = [HealthCheck.too_slow]
settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=_TOO_SLOW)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=100,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_TOO_SLOW,
)
settings.register_profile("deep", deadline=None, max_examples=5000, suppress_health_check=_TOO_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """All cores for whole folders; one process, started at once, where files or tests are named."""
    named = [argument for argument in config.args if ".py" in argument]
    return 0 if named else None


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the repository; skips where the tests were unpacked from an sdist."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not a checkout")
    return CHECKOUT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real definitions and traces: $ASYNCFLOW_DATA, else `../shared/data` beside the checkout, or a skip."""
    named = os.environ.get("ASYNCFLOW_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder of real input: set ASYNCFLOW_DATA")
    return folder

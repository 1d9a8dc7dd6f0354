"""A manager at an endpoint of this machine, for tests of it and of workflows that use it.

The endpoint is `asyncflow.testing.aws`, or another that speaks EMR's protocol.
"""

from __future__ import annotations

from asyncflow.plugins.resources import ResourceContext
from asyncflow_emr.manager import EmrConfig, EmrManager

SECRET = "a-secret-that-nobody-sees"  # noqa: S105  # it opens nothing


def local_manager(url: str, *, installation: str = "contract") -> EmrManager:
    """A manager that is not opened yet and speaks to this address."""
    config = EmrConfig.model_validate(
        {"region": "eu-central-1", "endpoint_url": url, "access_key": "AKTEST", "secret_key": SECRET}
    )
    return EmrManager(config, ResourceContext("emr", installation=installation))

"""The EMR manager keeps the contract, against the endpoint of asyncflow.testing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from asyncflow_emr import EmrManager

from asyncflow.model.values import JsonObject
from asyncflow.testing.aws import AwsEndpoint
from asyncflow.testing.emr_service import Emr
from asyncflow.testing.faults import FakeService
from asyncflow.testing.made import SECRET, made_of
from asyncflow.testing.resource_contract import ResourceManagerContract

NOW_MS = 1_800_000_000_000


class TestEmr(ResourceManagerContract):
    """Clusters and steps."""

    input: ClassVar[JsonObject] = {"args": ["spark-submit", "report.py"]}
    task_type = "EMR_STEP"
    secrets = (SECRET,)
    page = 5
    unknown_handle = "s-0000000000000"

    @pytest.fixture
    async def service(self) -> AsyncIterator[AwsEndpoint]:
        async with AwsEndpoint(Emr(lambda: NOW_MS, page=self.page)) as endpoint:
            yield endpoint

    def make(self, service: FakeService) -> EmrManager:
        assert isinstance(service, AwsEndpoint)
        keys = {"access_key": "AKTEST", "secret_key": SECRET}
        return made_of(EmrManager, {"region": "eu-central-1", "endpoint_url": service.url, **keys})

"""What a manager promises about instances: made once, found by their token, gone for good.

A part of `testing/resource_contract`, which is what a plugin's tests inherit.
"""

from __future__ import annotations

import pytest

from asyncflow.plugins.errors import InstanceGone, OutcomeOpen, ServiceError
from asyncflow.plugins.resources import ResourceManager, takes_jobs
from asyncflow.testing.contract_setting import DONE, MEANS, NOTHING_DONE, ContractSetting, needs_instances
from asyncflow.testing.faults import Call, FakeService, Fault


class InstancePromises(ContractSetting):
    """Crash points on either side of a creation; looks and ends."""

    async def test_instance_is_made_once_found_and_ready(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """What is created carries the token, is found by it, and becomes ready."""
        needs_instances(manager)
        order = self.an_order(1)
        handle = await manager.create(order)
        service.settle()

        assert service.instances(order.token) == 1
        assert [one.handle for one in await manager.find_instance(order, 0)] == [handle]
        assert list(await manager.find_instance(self.an_order(2), 0)) == []
        assert (await manager.check(handle)).word in ("ready", "busy")

    @pytest.mark.parametrize("fault", DONE)
    async def test_instance_whose_answer_is_lost_is_found(
        self, manager: ResourceManager, service: FakeService, fault: Fault
    ) -> None:
        """An instance made by a request without an answer is found, and no second one is made."""
        self.can(fault, "create")
        needs_instances(manager)
        order = self.an_order(1)
        error = await self.raised(service, "create", fault, manager.create(order))
        assert isinstance(error, OutcomeOpen)

        async with self.opened(service) as restarted:
            found = await restarted.find_instance(order, 0)
        assert len(found) == service.instances(order.token) == 1

    @pytest.mark.parametrize("fault", NOTHING_DONE)
    async def test_instance_that_was_not_made_is_not_there(
        self, manager: ResourceManager, service: FakeService, fault: Fault
    ) -> None:
        """A refused creation leaves nothing, says what it was, and can be repeated."""
        self.can(fault, "create")
        needs_instances(manager)
        order = self.an_order(1)
        error = await self.raised(service, "create", fault, manager.create(order))

        assert isinstance(error, MEANS.get(fault, OutcomeOpen))
        assert list(await manager.find_instance(order, 0)) == []
        await manager.create(order)
        assert service.instances(order.token) == 1

    async def test_destroyed_instance_is_gone_for_good(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """Destroying twice is as once; afterwards it is gone, and takes no job."""
        needs_instances(manager)
        handle = await manager.create(self.an_order(1))
        service.settle()
        for _ in range(2):
            await manager.destroy(handle)
            service.settle()

        assert (await manager.check(handle)).word == "gone"
        assert [one.is_open for one in await manager.find_instance(self.an_order(1), 0)] in ([], [False])
        if takes_jobs(type(manager)):
            with pytest.raises(InstanceGone):
                await manager.submit(self.a_job(1, handle))

    async def test_unknown_instance_is_gone(self, manager: ResourceManager) -> None:
        """An instance that the service does not know is gone, and destroying it is done."""
        needs_instances(manager)

        assert (await manager.check(self.unknown_handle)).word == "gone"
        await manager.destroy(self.unknown_handle)

    @pytest.mark.parametrize("call", ["find_instance", "check", "destroy"])
    @pytest.mark.parametrize("fault", ["throttled", "denied", "broken", "cut_before"])
    async def test_instance_call_that_fails_says_what_it_was(
        self, manager: ResourceManager, service: FakeService, call: Call, fault: Fault
    ) -> None:
        """A failed look says nothing of the instance."""
        self.can(fault, call)
        needs_instances(manager)
        order = self.an_order(1)
        handle = await manager.create(order)
        service.settle()
        given = (order, 0) if call == "find_instance" else (handle,)
        error = await self.raised(service, call, fault, getattr(manager, call)(*given))

        assert isinstance(error, MEANS.get(fault, ServiceError))
        assert not isinstance(error, InstanceGone)

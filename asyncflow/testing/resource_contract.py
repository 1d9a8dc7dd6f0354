"""The contract of resource managers as a suite: a plugin's tests inherit it and give it a manager and a fake.

It cuts the line between request and answer, and counts in the service what was really made. What it asks of
the fake is `testing/faults.FakeService`, what may be set is in `testing/contract_setting`.
"""

from __future__ import annotations

import contextlib

from asyncflow.plugins.errors import Rejected
from asyncflow.plugins.jobs import handle_of
from asyncflow.plugins.resources import CONTRACT_VERSION, ResourceManager, has_instances, takes_jobs
from asyncflow.testing.contract_setting import ContractSetting
from asyncflow.testing.faults import FakeService
from asyncflow.testing.instance_promises import InstancePromises
from asyncflow.testing.job_promises import PollPromises, SubmitPromises
from asyncflow.testing.loop_guard import holds


class ClassPromises(ContractSetting):
    """What the class says of itself, and its manners."""

    async def test_class_is_of_this_contract(self, manager: ResourceManager) -> None:
        """The version fits, tasks have models, and the tier is one that there is."""
        kind = type(manager)
        assert kind.contract == CONTRACT_VERSION
        assert kind.tier in ("token", "tag", "none")
        assert bool(kind.tasks) == takes_jobs(kind)
        assert all(hasattr(model, "model_validate") for model in kind.tasks.values())
        assert kind.submit_timeout > 0
        assert kind.poll_timeout > 0

    async def test_class_finds_what_its_tier_says(self, manager: ResourceManager) -> None:
        """Who marks jobs can find them; who creates can find, look at and destroy."""
        kind = type(manager)
        if takes_jobs(kind):
            assert kind.poll is not ResourceManager.poll
            assert kind.cancel is not ResourceManager.cancel
            assert kind.tier != "tag" or kind.find is not ResourceManager.find
        if has_instances(kind):
            for name in ("find_instance", "check", "destroy"):
                assert getattr(kind, name) is not getattr(ResourceManager, name), name

    async def test_close_after_nothing_and_after_a_failed_open(self, service: FakeService) -> None:
        """Closing needs no opening before it."""
        await self.make(service).close()

    async def test_secrets_are_shown_nowhere(self, service: FakeService) -> None:
        """Neither manager nor settings tell a secret."""
        manager = self.make(service)
        shown = f"{manager!r} {manager.config!r} {manager.config} {vars(manager)!r}"
        assert [one for one in self.secrets if one in shown] == []

    async def test_loop_is_never_held_up(self, service: FakeService) -> None:
        """No call computes for 50 ms at a stretch or waits without letting others have a turn.

        What the loop's thread computes is measured exactly; that it waits only so far as a busy machine
        allows. The best of a few tries counts.
        """
        held = await holds(lambda number: self._from_open_to_close(service, number))

        assert any(each.is_short for each in held), held

    async def _from_open_to_close(self, service: FakeService, number: int) -> None:
        async with self.opened(service) as manager:
            await self._one_of_each(manager, service, number)

    async def _one_of_each(self, manager: ResourceManager, service: FakeService, number: int) -> None:
        handle = ""
        if has_instances(type(manager)):
            handle = await manager.create(self.an_order(100 + number))
            service.settle()
            await manager.check(handle)
        if takes_jobs(type(manager)):
            job = self.a_job(100 + number, handle)
            accepted = handle_of(await manager.submit(job))
            await manager.poll(handle, [accepted])
            with contextlib.suppress(Rejected):
                await manager.cancel(handle, accepted)


class ResourceManagerContract(SubmitPromises, PollPromises, InstancePromises, ClassPromises):
    """What every manager promises. Subclass it, with a fixture `service` and the method `make`."""

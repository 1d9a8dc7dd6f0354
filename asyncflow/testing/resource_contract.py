"""The contract of resource managers as a suite: a plugin's tests inherit it and give it a manager and a fake.

It cuts the line between request and answer, and counts in the service what was really made. What it asks of
the fake is `testing/faults.FakeService`, what may be set is in `testing/contract_setting`.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from asyncflow.plugins.resources import CONTRACT_VERSION, ResourceManager, has_instances, takes_jobs
from asyncflow.testing.contract_setting import ContractSetting
from asyncflow.testing.faults import FakeService
from asyncflow.testing.instance_promises import InstancePromises
from asyncflow.testing.job_promises import PollPromises, SubmitPromises

_MOST_BLOCKED_S = 0.05
_TRIES = 5


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
        """No call keeps the loop from others for 50 ms; the best of a few tries counts, on a busy machine."""
        held: list[float] = []
        while len(held) < _TRIES and min(held, default=1.0) >= _MOST_BLOCKED_S:
            held.append(await self._longest_hold(service, len(held)))

        assert min(held) < _MOST_BLOCKED_S

    async def _longest_hold(self, service: FakeService, number: int) -> float:
        """The longest time that nobody else had a turn, from opening to closing, in seconds."""
        longest, is_over = 0.0, False

        async def beat() -> None:
            nonlocal longest
            last = perf_counter()
            while not is_over:
                await asyncio.sleep(0)  # noqa: TID251 - a turn for everybody else, no waiting
                now = perf_counter()
                longest, last = max(longest, now - last), now

        beating = asyncio.ensure_future(beat())  # noqa: TID251 - ends with this function
        try:
            async with self.opened(service) as manager:
                await self._one_of_each(manager, service, number)
        finally:
            is_over = True
            await beating
        return longest

    async def _one_of_each(self, manager: ResourceManager, service: FakeService, number: int) -> None:
        handle = ""
        if has_instances(type(manager)):
            handle = await manager.create(self.an_order(100 + number))
            service.settle()
            await manager.check(handle)
        if takes_jobs(type(manager)):
            job = self.a_job(100 + number, handle)
            accepted = await manager.submit(job)
            await manager.poll(handle, [accepted])
            await manager.cancel(handle, accepted)


class ResourceManagerContract(SubmitPromises, PollPromises, InstancePromises, ClassPromises):
    """What every manager promises. Subclass it, with a fixture `service` and the method `make`."""

"""What a manager promises about jobs: made once whatever is lost, found by its mark, told of truly.

A part of `testing/resource_contract`, which is what a plugin's tests inherit.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from asyncflow.plugins.errors import Duplicate, InstanceGone, OutcomeOpen, Rejected, ServiceError
from asyncflow.plugins.jobs import Ended, Job, JobStatus, handle_of
from asyncflow.plugins.resources import ResourceManager
from asyncflow.testing.contract_setting import DONE, MEANS, NOTHING_DONE, ContractSetting, needs_jobs
from asyncflow.testing.faults import FakeService, Fault, FaultPlan

_PATIENCE_S, _LOOKS = 0.3, 200


class SubmitPromises(ContractSetting):
    """Crash points on either side of a submit, and what closes an open outcome."""

    async def test_submitted_job_is_there_once_and_polled(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """A submit makes one job, and its handle is one that polls know."""
        job, handle = await self.submitted(manager, service)

        assert 0 < len(handle) <= 1_000
        assert service.jobs(job.token) == 1
        assert list(await manager.poll(job.instance, [handle])) == [handle]

    async def test_end_told_with_the_handle_is_what_polls_tell(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """A job that is over at once is so for polls, too, also after a restart: the answer may be lost."""
        needs_jobs(manager)
        job = self.a_job(1, await self.an_instance(manager, service))
        given = await manager.submit(job)
        if not isinstance(given, Ended):
            pytest.skip("jobs go on after the submit")

        assert given.status.word in ("succeeded", "failed", "cancelled")
        assert await manager.poll(job.instance, [given.handle]) == {given.handle: given.status}
        async with self.opened(service) as restarted:
            assert await restarted.poll(job.instance, [given.handle]) == {given.handle: given.status}

    async def test_two_jobs_have_two_handles(self, manager: ResourceManager, service: FakeService) -> None:
        """Two attempts are two jobs, even with the same input."""
        job, handle = await self.submitted(manager, service)
        other = self.a_job(2, job.instance)

        assert handle_of(await manager.submit(other)) != handle
        assert service.jobs(other.token) == 1

    async def test_same_token_again_is_one_job(self, manager: ResourceManager, service: FakeService) -> None:
        """Tier token: asked twice, made once, and the same handle."""
        if type(manager).tier != "token":
            pytest.skip("the service knows no token")
        job, handle = await self.submitted(manager, service)

        assert await _again(manager, job) == handle
        assert service.jobs(job.token) == 1

    async def test_mark_is_on_the_job_and_found(self, manager: ResourceManager, service: FakeService) -> None:
        """Tier tag: the mark is really on what was made, and is what is found, also when it has ended."""
        if type(manager).tier != "tag":
            pytest.skip("jobs are not found by a mark")
        job, handle = await self.submitted(manager, service)
        await manager.submit(self.a_job(2, job.instance))
        before = await manager.find(job, 0)
        service.end_job(handle, self.words[0])
        after = await manager.find(job, 0)

        assert [(one.handle, one.mark, one.is_open) for one in before] == [(handle, job.mark, True)]
        assert [(one.handle, one.mark, one.is_open) for one in after] == [(handle, job.mark, False)]
        other = self.a_job(1, job.instance, payload="ffffffff")
        assert [one.mark for one in await manager.find(other, 0)] == [job.mark]

    async def test_nothing_is_found_where_nothing_was_made(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """A job of another token is not taken for this one."""
        if type(manager).find is ResourceManager.find:
            pytest.skip("jobs cannot be looked for")
        job, _ = await self.submitted(manager, service)

        assert list(await manager.find(self.a_job(2, job.instance), 0)) == []

    @pytest.mark.parametrize("fault", DONE)
    async def test_submit_whose_answer_is_lost_makes_one_job(
        self, manager: ResourceManager, service: FakeService, fault: Fault
    ) -> None:
        """The crash point behind the request: the outcome is open, and the protocol of the tier closes it."""
        self.can(fault, "submit")
        needs_jobs(manager)
        job = self.a_job(1, await self.an_instance(manager, service))
        error = await self.raised(service, "submit", fault, manager.submit(job))

        assert isinstance(error, OutcomeOpen)
        assert service.jobs(job.token) == 1
        async with self.opened(service) as restarted:
            await self._recovers(restarted, service, job)

    @pytest.mark.parametrize("fault", NOTHING_DONE)
    async def test_submit_that_was_not_done_says_so_or_is_open(
        self, manager: ResourceManager, service: FakeService, fault: Fault
    ) -> None:
        """The crash point before: nothing is there; what is said for certain is true, and then it works."""
        self.can(fault, "submit")
        needs_jobs(manager)
        job = self.a_job(1, await self.an_instance(manager, service))
        error = await self.raised(service, "submit", fault, manager.submit(job))

        if fault in MEANS:
            assert type(error) is MEANS[fault]
        assert service.jobs(job.token) == 0
        await manager.submit(job)
        assert service.jobs(job.token) == 1

    async def test_submit_given_up_leaves_a_manager_that_works(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """Cancelled in the middle of a call, the connection is not lent out again half read."""
        self.can("silent", "submit")
        needs_jobs(manager)
        job = self.a_job(1, await self.an_instance(manager, service))
        service.fail("submit", "silent")
        await _given_up(manager, service, job)

        other = self.a_job(2, job.instance)
        handle = handle_of(await manager.submit(other))
        assert list(await manager.poll(other.instance, [handle])) == [handle]

    async def test_listing_that_breaks_off_is_no_listing(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """A look-up that failed on its second page raises: half a listing proves no absence."""
        self.can("broken", "find")
        if not self.page or type(manager).find is ResourceManager.find:
            pytest.skip("listings have no pages")
        job, _ = await self.submitted(manager, service)
        for number in range(2, self.page + 2):
            await manager.submit(self.a_job(number, job.instance))
        assert len(await manager.find(job, 0)) == 1
        service.fail("find", "broken", skip=1)
        with pytest.raises(ServiceError):
            await manager.find(job, 0)

    async def _recovers(self, manager: ResourceManager, service: FakeService, job: Job) -> None:
        """What the engine does about an open outcome, by tier."""
        tier = type(manager).tier
        if tier == "tag":
            (found,) = await manager.find(job, 0)
            assert found.mark == job.mark
        elif tier == "token":
            handle = await _again(manager, job)
            assert list(await manager.poll(job.instance, [handle])) == [handle]
        assert service.jobs(job.token) == 1


class PollPromises(ContractSetting):
    """Polls that tell the truth or nothing, cancels that can be repeated."""

    async def test_poll_leaves_out_what_is_not_known(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """A handle without a job is no failed job, and hides none of the others."""
        job, handle = await self.submitted(manager, service)

        told = await manager.poll(job.instance, [self.unknown_handle, handle])
        assert list(told) == [handle]

    async def test_poll_answers_for_many_at_once(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """Every one of many handles is answered for, more than fit a page."""
        needs_jobs(manager)
        instance = await self.an_instance(manager, service)
        most = min(type(manager).poll_batch or self.many, self.many)
        handles = [handle_of(await manager.submit(self.a_job(n, instance))) for n in range(1, most + 1)]

        assert set(await manager.poll(instance, handles)) == set(handles)

    async def test_poll_tells_how_jobs_ended(self, manager: ResourceManager, service: FakeService) -> None:
        """Each end is told in the words of the contract, again and again, also after a restart."""
        needs_jobs(manager)
        instance = await self.an_instance(manager, service)
        ended: dict[str, str] = {}
        for number, word in enumerate(self.words, 1):
            handle = handle_of(await manager.submit(self.a_job(number, instance)))
            service.end_job(handle, word)
            ended[handle] = word

        assert _words(await manager.poll(instance, list(ended))) == ended
        async with self.opened(service) as restarted:
            assert _words(await restarted.poll(instance, list(ended))) == ended

    @pytest.mark.parametrize("fault", [*MEANS, "broken", "cut_before", "garbage"])
    async def test_poll_that_fails_says_nothing_of_the_job(
        self, manager: ResourceManager, service: FakeService, fault: Fault
    ) -> None:
        """A failed poll is never a failed job: it raises, and the next one answers."""
        self.can(fault, "poll")
        job, handle = await self.submitted(manager, service)
        error = await self.raised(service, "poll", fault, manager.poll(job.instance, [handle]))

        if fault in ("throttled", "denied"):
            assert type(error) is MEANS[fault]
        assert not isinstance(error, InstanceGone)
        assert list(await manager.poll(job.instance, [handle])) == [handle]

    async def test_cancel_twice_and_too_late_is_harmless(
        self, manager: ResourceManager, service: FakeService
    ) -> None:
        """A repeated cancel and one of a job that has ended do nothing, or are refused."""
        job, handle = await self.submitted(manager, service)
        for _ in range(2):
            with contextlib.suppress(Rejected):
                await manager.cancel(job.instance, handle)
        late = handle_of(await manager.submit(self.a_job(2, job.instance)))
        service.end_job(late, self.words[0])
        with contextlib.suppress(Rejected):
            await manager.cancel(job.instance, late)

        assert _words(await manager.poll(job.instance, [late])) == {late: self.words[0]}

    @pytest.mark.parametrize("fault", ["throttled", "denied", "broken", "cut_after"])
    async def test_cancel_that_fails_can_be_repeated(
        self, manager: ResourceManager, service: FakeService, fault: Fault
    ) -> None:
        """A cancel that did not get through raises what it was, and may be sent again."""
        self.can(fault, "cancel")
        job, handle = await self.submitted(manager, service)
        error = await self.raised(service, "cancel", fault, manager.cancel(job.instance, handle))
        assert isinstance(error, MEANS.get(fault, OutcomeOpen))

        await manager.cancel(job.instance, handle)


async def _given_up(manager: ResourceManager, service: FakeService, job: Job) -> None:
    """A submit that nobody answers, cancelled once the service has it, as far as the service can tell."""
    plan = getattr(service, "faults", None)
    work = asyncio.ensure_future(manager.submit(job))  # noqa: TID251 - ends with this function
    for _ in range(_LOOKS):
        await asyncio.wait([work], timeout=_PATIENCE_S)
        if work.done() or not isinstance(plan, FaultPlan) or plan.is_over:
            break
    work.cancel()
    (given,) = await asyncio.gather(work, return_exceptions=True)
    assert isinstance(given, asyncio.CancelledError | OutcomeOpen), given


async def _again(manager: ResourceManager, job: Job) -> str:
    """The handle from a repeated submit, also where the service says that it is there already."""
    try:
        return handle_of(await manager.submit(job))
    except Duplicate as known:
        return known.handle or (await manager.find(job, 0))[0].handle


def _words(told: object) -> dict[str, str]:
    assert isinstance(told, dict)
    return {handle: status.word for handle, status in told.items() if isinstance(status, JobStatus)}

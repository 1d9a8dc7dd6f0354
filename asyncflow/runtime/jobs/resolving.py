"""Jobs that may or may not be there: asked for again under their token, or looked for by their mark.

Absence is believed only when a complete listing, begun late enough, does not have it; see `patience_ms`.
Where a service offers neither token nor mark nobody can tell, and a person is asked. Read `submitting`
for how a job comes here.
"""

from __future__ import annotations

import heapq

from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import InstanceGone
from asyncflow.plugins.jobs import Found, Job
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.jobs.connection import Work
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.second_look import SKEW_MS, SecondLooks, can_find, matches, patience_ms
from asyncflow.runtime.jobs.surroundings import Open
from asyncflow.runtime.jobs.table import Row, Stage, move

_FIRST_MS, _MOST_MS = 1_000, 60_000

NO_TELLING = "it may have been handed in: the service offers neither a token nor a mark to find out"
FORGOTTEN = "it may have been handed in: its token is too old for the service, which cannot be searched"
OTHER_PAYLOAD = "the service has a job with this token and another payload"


class Inquiry:
    """What is known of a job that may be there.

    Attributes:
        first_ms: when it may first have been sent; what its token's age counts from.
        since_ms: when it may last have been sent, at the latest; what patience counts from.
        good_ms: when the service last gave a usable answer.
        is_known: the service said that it is there; it only has to be found.
        is_noting: it is to be handed in again as soon as that is recorded.
    """

    __slots__ = (
        "due_ms",
        "first_ms",
        "good_ms",
        "is_asking",
        "is_known",
        "is_noting",
        "reason",
        "since_ms",
        "tries",
    )

    def __init__(self, first_ms: int, since_ms: int) -> None:
        self.first_ms, self.since_ms, self.good_ms = first_ms, since_ms, since_ms
        self.due_ms, self.tries, self.reason = since_ms, 0, ""
        self.is_asking = self.is_known = self.is_noting = False


class Resolving:
    """The jobs of one resource of which nobody knows whether they are there.

    Attributes:
        inquiries: by row, those that were not found out.
        second: second looks at those that were handed in again.
    """

    def __init__(self, desk: Home) -> None:
        """There is none."""
        self._desk = desk
        self.inquiries: dict[Row, Inquiry] = {}
        self._due: list[tuple[int, Row]] = []
        self.second = SecondLooks(desk)

    # --- how jobs come and go ---------------------------------------------------------------------

    def left_behind(self, row: Row, intent_ms: int) -> None:
        """An earlier process may have handed it in: until this one began, at the latest."""
        started_ms = self._desk.around.started_ms
        self.inquiries[row] = Inquiry(min(intent_ms or started_ms, started_ms), started_ms)
        self._wait(row, 0)

    def sends(self, row: Row, now_ms: int) -> None:
        """It is handed in now; one that may be there already may arrive a second time."""
        inquiry = self.inquiries.get(row)
        if inquiry is not None:
            inquiry.since_ms = now_ms

    def unsure(self, row: Row, sent_ms: int, reason: str) -> None:
        """The call that handed it in gave no usable answer."""
        self._desk.tally.outcome_open += 1
        inquiry = self.inquiries.get(row)
        if inquiry is None:
            inquiry = self.inquiries[row] = Inquiry(sent_ms, sent_ms)
        inquiry.since_ms, inquiry.reason = sent_ms, reason
        self.again(row)

    def known(self, row: Row, sent_ms: int) -> None:
        """The service says that it is there, under a handle that nobody was told."""
        inquiry = self.inquiries.setdefault(row, Inquiry(sent_ms, sent_ms))
        inquiry.is_known = True
        self.again(row)

    def is_unsure(self, row: Row) -> bool:
        """Whether it may be there although nobody knows a handle."""
        return row in self.inquiries

    def again(self, row: Row) -> None:
        """Try once more, later and later."""
        inquiry = self.inquiries[row]
        wait_ms = min(_MOST_MS, _FIRST_MS << min(inquiry.tries, 10))
        inquiry.tries += 1
        self._wait(row, int(wait_ms * self._desk.around.rng.uniform(0.5, 1.0)))

    def _wait(self, row: Row, wait_ms: int) -> None:
        move(row, Stage.UNSURE)
        inquiry = self.inquiries[row]
        inquiry.due_ms = self._desk.around.now_ms() + wait_ms
        inquiry.is_asking = False
        heapq.heappush(self._due, (inquiry.due_ms, row))

    def drop(self, row: Row) -> None:
        """It was found out, or is over."""
        self.inquiries.pop(row, None)

    # --- what is done about them ------------------------------------------------------------------

    def next_due(self) -> int | None:
        """When the next one is tried."""
        due = self._due
        while due and not self._is_due(*due[0]):
            heapq.heappop(due)
        second = self.second.next_due()
        if due and second is not None:
            return min(due[0][0], second)
        return due[0][0] if due else second

    def _is_due(self, due_ms: int, row: Row) -> bool:
        inquiry = self.inquiries.get(row)
        return (
            inquiry is not None
            and inquiry.due_ms == due_ms
            and not inquiry.is_asking
            and row.stage is Stage.UNSURE
        )

    def pump(self, there: Open, now_ms: int) -> None:
        """Try as many as are due and there is room for."""
        connection, most = self._desk.connection, there.settings.connections
        while connection.has_room(most):
            due = self.next_due()
            if due is None or due > now_ms:
                return
            if self._due and self._due[0][0] <= now_ms:
                self._find_out(heapq.heappop(self._due)[1], there, now_ms)
            else:
                self.second.look(there.manager, now_ms)

    def _find_out(self, row: Row, there: Open, now_ms: int) -> None:
        """What the service offers decides how."""
        manager, inquiry = there.manager, self.inquiries[row]
        blackout_ms = int(there.settings.poll_blackout_s * 1000)
        if now_ms - inquiry.good_ms >= blackout_ms:
            self._desk.stuck(row, f"no usable answer for {blackout_ms // 1000} s: {inquiry.reason}"[:1_000])
        elif manager.tier == "token" and not inquiry.is_known and self._knows(manager, inquiry, row, now_ms):
            self._send_again(row)
        elif manager.tier != "none" and can_find(manager):
            self._look(row, there, now_ms)
        elif manager.tier == "none" and there.settings.at_least_once and not row.is_cancelled:
            self._desk.note(row, "resubmitted", inquiry.reason)
            self._send_again(row)
        else:
            self._desk.stuck(row, FORGOTTEN if manager.tier == "token" else NO_TELLING)

    @staticmethod
    def _knows(manager: ResourceManager, inquiry: Inquiry, row: Row, now_ms: int) -> bool:
        """Whether the service knows the token again; an unwanted job is better looked for than sent."""
        is_young = now_ms - inquiry.first_ms < manager.token_life * 1000
        return is_young and not (row.is_cancelled and can_find(manager))

    def _send_again(self, row: Row) -> None:
        if self._desk.around.is_draining:
            return  # the next start finds it out
        self._desk.submitting.add(row)

    # --- looking ----------------------------------------------------------------------------------

    def _look(self, row: Row, there: Open, now_ms: int) -> None:
        desk, inquiry = self._desk, self.inquiries[row]
        subject, instance = desk.subject(row), desk.instance_of(row)
        if subject is None:
            return
        if instance is None:
            self.again(row)
            return
        job = desk.around.preparing.named(subject.state, subject.job, instance=instance)
        desk.tally.finds += 1
        inquiry.is_asking = True
        since_ms = max(0, min(subject.job.intent_ms or inquiry.first_ms, inquiry.first_ms) - SKEW_MS)
        absent_from_ms = inquiry.since_ms + patience_ms(there.manager)
        work = Work(
            "find",
            there.manager.find(job, since_ms),
            there.manager.poll_timeout,
            lambda found, error: self._looked(
                row, job, found, error, is_late=now_ms >= absent_from_ms, until_ms=absent_from_ms
            ),
        )
        desk.connection.begin(work)

    def _looked(
        self, row: Row, job: Job, answer: object, error: Exception | None, *, is_late: bool, until_ms: int
    ) -> None:
        desk, inquiry = self._desk, self.inquiries.get(row)
        if inquiry is None or row.stage is not Stage.UNSURE:
            return
        found = None if error is not None else matches(answer)
        if isinstance(error, InstanceGone):
            desk.leave_instance(row, desk.connection.text(error))
            desk.instance_gone(row.instance, desk.connection.text(error))
        elif found is None:
            inquiry.reason = desk.connection.text(error) if error else "the listing is not one"
            self.again(row)
        else:
            inquiry.good_ms = desk.around.now_ms()
            ours = [match for match in found if not match.mark or match.mark.startswith(job.token)]
            if ours:
                self._found(row, job, ours)
            elif is_late:
                self._absent(row)
            else:
                self._not_yet(row, until_ms)

    def _not_yet(self, row: Row, until_ms: int) -> None:
        """Look again, and at the latest when absence can be believed."""
        self.again(row)
        inquiry = self.inquiries[row]
        if inquiry.due_ms > until_ms:
            self._wait(row, max(0, until_ms - self._desk.around.now_ms()))

    def _absent(self, row: Row) -> None:
        """It is not there and cannot come any more."""
        desk = self._desk
        if self.inquiries[row].is_known:
            desk.stuck(row, "the service says that it has the job, and does not list it")
        elif row.is_cancelled:
            desk.ended(row, "absent")
        elif not desk.around.is_draining:
            inquiry = self.inquiries[row]
            inquiry.is_asking = inquiry.is_noting = True
            at_ms: JsonObject = {"atMs": desk.around.now_ms()}  # tells it from an earlier one
            desk.note(row, "resubmitted", "it was looked for and is not there", at_ms)

    def noted(self, row: Row) -> bool:
        """Hand a job in again, if that waited for being recorded; or end one that is unwanted meanwhile."""
        desk, inquiry = self._desk, self.inquiries.get(row)
        if inquiry is None or not inquiry.is_noting:
            return False
        inquiry.is_noting = False
        if row.is_cancelled:
            desk.ended(row, "absent")
        elif not desk.around.is_draining:
            since_ms = inquiry.first_ms
            self.drop(row)
            desk.submitting.add(row)
            self.second.look_once_more(row, since_ms)
        return True

    def _found(self, row: Row, job: Job, found: list[Found]) -> None:
        """Keep the earliest; the others are one too many."""
        desk = self._desk
        if any(match.mark and match.mark != job.mark for match in found):
            desk.stuck(row, OTHER_PAYLOAD)
            return
        found.sort(key=lambda match: (match.created_ms <= 0, match.created_ms))
        kept = next((match for match in found if desk.owns(row, match.handle)), None)
        if kept is None:
            self.again(row)
            return
        desk.accept(row, kept.handle, adopted=True)
        self.second.cancel_others(row, found)

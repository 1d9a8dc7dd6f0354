"""The oracle of the kill tests of jobs: what the journal says against what the service really did.

It reads events and the truth log and asks no code that made them; tokens are derived anew. What it finds is
told in words, a line each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncflow.ids import attempt_token
from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore
from tests.crash.job_life import Chain

MOST_ONCE = {"token", "once"}
"""Tiers with which no second job is ever made, cancelled or not."""


@dataclass
class Outside:
    """A job as its service had it."""

    handle: str
    token: str
    word: str = "running"


@dataclass
class Attempt:
    """A job as its execution had it.

    Attributes:
        handles: every one that was recorded, in order.
        words: of its ends; there is to be one.
        sent_again: how often it was handed in anew because nobody could know better.
    """

    token: str
    ref: str
    handles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0


@dataclass
class Audited:
    """What was counted, and every promise that was broken."""

    tier: str
    killed: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All of it in a line."""
        counts = " ".join(f"{name}={count}" for name, count in sorted(self.counts.items()))
        return f"tier={self.tier} kills={self.killed.total()} {counts} broken={len(self.broken)}"


def read_truth(text: str) -> dict[str, Outside]:
    """What the service did, by handle, from its log."""
    made: dict[str, Outside] = {}
    for line in text.splitlines():
        _, what, subject, facts = json.loads(line)
        if what == "made":
            made[subject] = Outside(subject, facts["token"])
        else:
            made[subject].word = what
    return made


def read_attempts(installation: str, stream: str, history: Sequence[Recorded]) -> list[Attempt]:
    """The jobs of an execution, by serial number from 1, as its events tell them."""
    refs: dict[int, str] = {}
    found: list[Attempt] = []
    for recorded in history:
        event = recorded.event
        match event:
            case ev.TaskScheduled():
                refs[event.number] = event.ref
            case ev.AttemptStarted() if event.resource:
                ref = refs[event.number]
                token = attempt_token(installation, stream, ref, attempt=len(found) + 1, epoch=0)
                found.append(Attempt(token, ref))
            case ev.JobSubmitted():
                found[event.serial - 1].handles.append(event.handle)
            case ev.JobDecided():
                if event.handle:
                    found[event.serial - 1].handles.append(event.handle)
                found[event.serial - 1].sent_again += event.decision == "resubmit"
            case ev.JobNoted():
                found[event.serial - 1].kinds[event.kind] += 1
                found[event.serial - 1].sent_again += event.kind == "resubmitted"
            case ev.JobEnded():
                found[event.serial - 1].words.append(event.word)
            case _:
                pass
    return found


def judge_attempt(tier: str, attempt: Attempt, jobs: Sequence[Outside], *, lives: int) -> list[str]:
    """What is wrong with one attempt and the jobs that carry its token, after so many lives of the engine.

    At least once is one more for each life at the most, since nobody can know; and only the last is watched.
    """
    name = f"{attempt.ref} {attempt.token[:6]}"
    kept = [job for job in jobs if job.word != "cancelled"]
    watched = [job for job in jobs if tier != "again" or job.handle in attempt.handles]
    wrong = []
    if len(kept) > (lives if tier == "again" else 1):
        wrong.append(f"{name}: {len(kept)} jobs that were not cancelled")
    if tier in MOST_ONCE and len(jobs) > 1:
        wrong.append(f"{name}: {len(jobs)} jobs were made")
    if len(attempt.words) != 1:
        return [*wrong, f"{name}: ended {len(attempt.words)} times"]
    if any(job.word == "running" for job in watched):
        wrong.append(f"{name}: a job still runs")
    if len(set(attempt.handles)) > 1:
        wrong.append(f"{name}: more than one handle recorded, {attempt.handles}")
    return [*wrong, *_judge_end(name, attempt, jobs, kept)]


def _judge_end(name: str, attempt: Attempt, jobs: Sequence[Outside], kept: Sequence[Outside]) -> list[str]:
    word = attempt.words[0]
    recorded = next((job for job in jobs if job.handle in attempt.handles), None)
    if attempt.handles and recorded is None:
        return [f"{name}: its handle {attempt.handles} is of no job of its token"]
    if word in {"succeeded", "failed", "cancelled"} and recorded is not None and recorded.word != word:
        return [f"{name}: recorded {word}, in truth {recorded.word}"]
    if word in {"succeeded", "failed"} and recorded is None:
        return [f"{name}: {word} without a job"]
    if word == "absent" and kept:
        return [f"{name}: taken for absent, and {kept[0].handle} {kept[0].word}"]
    if word not in {"succeeded", "failed", "cancelled", "absent"}:
        return [f"{name}: {word}"]
    return []


async def audit(chain: Chain, killed: Counter[str]) -> Audited:
    """Compare everything that is left of a chain."""
    found = Audited(chain.tier, killed)
    truth = read_truth(chain.truth.read_text(encoding="utf-8"))
    by_token: dict[str, list[Outside]] = {}
    for job in truth.values():
        by_token.setdefault(job.token, []).append(job)
    async with SqliteStore.open(chain.database) as store:
        found.broken += await store.find_faults()
        installation = (await store.facts()).installation_id
        rows = await store.list_executions((), Page(limit=-1, order=(("execution_id", False),)))
        acknowledged = {stream for _, _, stream in chain.of_log("ack")}
        found.broken += [f"{gone} was acknowledged" for gone in acknowledged - {r.execution_id for r in rows}]
        for row in rows:  # also those whose acknowledgement went with a process
            history = (await store.read_streams([row.execution_id]))[row.execution_id]
            found.counts["executions"] += 1
            found.broken += [f"{row.name}: {wrong}" for wrong in _judge_history(row.name, history)]
            for attempt in read_attempts(installation, row.execution_id, history):
                _take_in(found, attempt, by_token.pop(attempt.token, []))
    found.counts["jobs"] = len(truth)
    found.counts["decided"] = len(chain.of_log("decided"))
    found.broken += [f"job {job.handle} has no attempt" for jobs in by_token.values() for job in jobs]
    return found


def _take_in(found: Audited, attempt: Attempt, jobs: list[Outside]) -> None:
    found.counts["attempts"] += 1
    found.counts["doubled"] += max(0, len(jobs) - 1)
    found.counts["sent_again"] += attempt.sent_again
    found.counts.update({f"end_{word}": 1 for word in attempt.words})
    found.broken += judge_attempt(found.tier, attempt, jobs, lives=found.killed.total() + 1)


def _judge_history(kind: str, history: Sequence[Recorded]) -> list[str]:
    """Whether an execution ended once, as it was to."""
    ends = [each.event.status for each in history if isinstance(each.event, ev.ExecutionEnded)]
    expected = {"COMPLETED", "TERMINATED"} if kind in {"late", "early"} else {"COMPLETED"}
    wrong = [] if len(ends) == 1 and set(ends) <= expected else [f"ended {ends}"]
    if [each.seq for each in history] != [*range(1, len(history) + 1)]:
        wrong.append("its sequence has gaps")
    return wrong

"""The oracle of jobs: what the journal says of each against what the service really did.

It reads events and the truth log and asks no code that made them; tokens are derived anew. What it finds is
told in words, a line each, each behind what kind of fault it is. `auditor` asks it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncflow.ids import attempt_token
from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded
from tests.crash.histories import names_in

ENDS = {"succeeded", "failed", "cancelled"}
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
        tier: of its service.
        handles: every one that was recorded, in order.
        words: of its ends; there is to be one.
        sent_again: how often it was handed in anew because nobody could know better.
    """

    token: str
    ref: str
    tier: str = "tag"
    handles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0


def read_truth(text: str) -> dict[str, Outside]:
    """What the service did, by handle, from its log."""
    made: dict[str, Outside] = {}
    for line in text.splitlines():
        _, what, subject, facts = json.loads(line)
        if what == "made":
            made[subject] = Outside(subject, facts["token"])
        elif subject in made and what in ENDS:
            made[subject].word = what
    return made


def read_attempts(installation: str, stream: str, history: Sequence[Recorded]) -> list[Attempt]:
    """The jobs of an execution, by serial number from 1, as its events tell them."""
    names = names_in(history)
    found: list[Attempt] = []
    for recorded in history:
        event = recorded.event
        match event:
            case ev.AttemptStarted() if event.resource:
                ref = names[event.number]
                token = attempt_token(installation, stream, ref, attempt=len(found) + 1, epoch=0)
                found.append(Attempt(token, ref, event.resource))
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


def judge_attempt(attempt: Attempt, jobs: Sequence[Outside], *, lives: int) -> list[str]:
    """What is wrong with one attempt and the jobs that carry its token, after so many lives of the engine.

    At least once is one more for each life at the most, since nobody can know; and only the last is watched.
    """
    name, tier = f"{attempt.ref} {attempt.token[:6]}", attempt.tier
    kept = [job for job in jobs if job.word != "cancelled"]
    watched = [job for job in jobs if tier != "again" or job.handle in attempt.handles]
    wrong = []
    if len(kept) > (lives if tier == "again" else 1):
        wrong.append(f"doubled: {name}: {len(kept)} jobs that were not cancelled")
    if tier in MOST_ONCE and len(jobs) > 1:
        wrong.append(f"doubled: {name}: {len(jobs)} jobs were made")
    if len(attempt.words) != 1:
        kind = "doubled" if attempt.words else "stuck"
        return [*wrong, f"{kind}: {name}: ended {len(attempt.words)} times"]
    if any(job.word == "running" for job in watched):
        wrong.append(f"stuck: {name}: a job still runs")
    if len(set(attempt.handles)) > 1:
        wrong.append(f"doubled: {name}: more than one handle recorded, {attempt.handles}")
    return [*wrong, *_judge_end(name, attempt, jobs, kept)]


def _judge_end(name: str, attempt: Attempt, jobs: Sequence[Outside], kept: Sequence[Outside]) -> list[str]:
    word = attempt.words[0]
    recorded = next((job for job in jobs if job.handle in attempt.handles), None)
    if attempt.handles and recorded is None:
        return [f"wrong: {name}: its handle {attempt.handles} is of no job of its token"]
    if word in {"succeeded", "failed", "cancelled"} and recorded is not None and recorded.word != word:
        return [f"wrong: {name}: recorded {word}, in truth {recorded.word}"]
    if word in {"succeeded", "failed"} and recorded is None:
        return [f"lost: {name}: {word} without a job"]
    if word == "absent" and kept:
        return [f"lost: {name}: taken for absent, and {kept[0].handle} {kept[0].word}"]
    if word not in {"succeeded", "failed", "cancelled", "absent"}:
        return [f"lost: {name}: {word}"]
    return []

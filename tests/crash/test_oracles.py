"""The oracles of the kill loop see what is wrong: each fault that they are there for, made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from asyncflow.model import events as ev
from asyncflow.model.events import Event
from asyncflow.model.turn import Recorded
from tests.crash.cluster_audit import judge_clusters
from tests.crash.histories import judge_history, shape_of
from tests.crash.job_audit import Attempt, Outside, judge_attempt
from tests.crash.job_managers import TIERS


@pytest.mark.parametrize(
    ("attempt", "jobs", "wrong"),
    [
        (Attempt("t", "a", "tag", ["j1"], ["succeeded"]), ["j1 succeeded", "j2 succeeded"], "2 jobs"),
        (Attempt("t", "a", "tag", ["j1"], ["succeeded"]), ["j1 succeeded", "j2 running"], "still runs"),
        (Attempt("t", "a", "tag", ["j1"], []), ["j1 running"], "ended 0 times"),
        (Attempt("t", "a", "tag", ["j1"], ["succeeded"]), ["j1 failed"], "in truth failed"),
        (Attempt("t", "a", "tag", ["j3"], ["succeeded"]), ["j1 succeeded"], "of no job"),
        (Attempt("t", "a", "tag", [], ["absent"]), ["j1 running"], "taken for absent"),
        (Attempt("t", "a", "tag", [], ["lost"]), ["j1 succeeded"], "lost"),
    ],
)
def test_oracle_sees_what_is_wrong(attempt: Attempt, jobs: list[str], wrong: str) -> None:
    made = [Outside(job.split()[0], "t", job.split()[1]) for job in jobs]

    assert any(wrong in line for line in judge_attempt(attempt, made, lives=1))


@pytest.mark.parametrize("tier", TIERS)
def test_oracle_is_content_with_one_job_of_one_attempt(tier: str) -> None:
    attempt = Attempt("t", "a", tier, ["j1"], ["succeeded"])

    assert judge_attempt(attempt, [Outside("j1", "t", "succeeded")], lives=1) == []


def history(*events: Event) -> list[Recorded]:
    return [Recorded(seq, 0, event) for seq, event in enumerate(events, start=1)]


DONE = ev.ExecutionEnded("COMPLETED", None, {})
ENDED = ev.TaskEnded(1, "COMPLETED", {})


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (history(ENDED), "stuck: it has not ended"),
        (history(ENDED, DONE, DONE), "doubled: it ended"),
        (history(ENDED, ev.ExecutionEnded("FAILED", None, {})), "wrong: it ended FAILED"),
        (history(ENDED, ENDED, DONE), "doubled: record 1"),
        (history(ENDED, ENDED, DONE)[1:], "gaps"),
    ],
)
def test_oracle_sees_what_is_wrong_in_a_history(told: list[Recorded], wrong: str) -> None:
    assert any(wrong in line for line in judge_history(told, {"COMPLETED"}))


def test_an_interrupted_attempt_does_not_show_in_the_shape_and_a_second_end_does() -> None:
    made = ev.TaskScheduled(1, "a")
    interrupted = ev.TaskEnded(1, "CANCELED", None, settled=False, state="INTERRUPTED")
    plain = shape_of("x", {"x": history(made, ENDED)})

    assert shape_of("x", {"x": history(made, interrupted, ENDED)}) == plain
    assert shape_of("x", {"x": history(made, ENDED, ENDED)}) != plain


def log(*lines: tuple[int, str, str, Mapping[str, object]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


CREATED = (0, "created", "c1", {"token": "t"})
MADE = (1, "made", "j1", {"ends_ms": 50})
PLACED = (1, "placed", "j1", {"instance": "c1"})


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (log(CREATED), "stuck: c1"),
        (log(CREATED, MADE, PLACED, (20, "destroyed", "c1", {})), "lost: j1 ran on c1"),
        (log(CREATED, (1, "destroyed", "c1", {}), MADE, PLACED), "wrong: j1 was taken by c1"),
    ],
)
def test_oracle_sees_what_is_wrong_with_instances(told: str, wrong: str) -> None:
    assert any(wrong in line for line in judge_clusters(told))


def test_oracle_is_content_with_an_instance_that_ends_behind_its_jobs() -> None:
    cancelled: tuple[int, str, str, Mapping[str, object]] = (10, "cancelled", "j1", {})

    assert judge_clusters(log(CREATED, MADE, PLACED, cancelled, (20, "destroyed", "c1", {}))) == []
    assert judge_clusters(log(CREATED, MADE, PLACED, (60, "destroyed", "c1", {}))) == []

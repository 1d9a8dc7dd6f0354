"""Workflows whose tasks are jobs of a service of one tier, and what a life does about them.

A kind is named after what it does and its tier. The managers are those of `job_managers`.
"""

from __future__ import annotations

from asyncflow.model.values import JsonObject

LATE, EARLY = "late", "early"
"""Kinds that are cancelled: while their job runs, and at once."""

CLUSTER = "cluster"
"""The resource whose jobs run on instances."""

_POLICY: JsonObject = {"retryCount": 2, "retryDelaySeconds": 0}
WIDTH = 12


def job_type(tier: str) -> str:
    """The type of task whose jobs go to the service of a tier."""
    return f"{tier.upper()}_JOB"


def job(tier: str, ref: str, **given: object) -> JsonObject:
    """A task that is a job; a `flaky` one fails the first time."""
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": job_type(tier),
        "inputParameters": {"name": ref, "n": "${workflow.input.n}", **given},
        "taskDefinition": {"name": ref, **_POLICY},
    }


def _workflow(name: str, tasks: list[JsonObject], **output: object) -> JsonObject:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": tasks, "outputParameters": output}


def protocol(tier: str) -> list[JsonObject]:
    """One job after another, three side by side, one that fails first, and those that are cancelled."""
    branches = [[job(tier, f"branch{index}")] for index in range(3)]
    fork: JsonObject = {"type": "FORK_JOIN", "forkTasks": branches}
    join: JsonObject = {"type": "JOIN", "joinOn": [f"branch{index}" for index in range(3)]}
    side_by_side = [{"name": n, "taskReferenceName": n, **t} for n, t in (("fork", fork), ("join", join))]
    return [
        single(tier),
        _workflow(f"fork_{tier}", side_by_side, joined="${join.output}"),
        _workflow(f"flaky_{tier}", [job(tier, "flaky"), job(tier, "after")], n="${flaky.output.n}"),
        _workflow(f"{LATE}_{tier}", [job(tier, "job"), job(tier, "after")]),
        _workflow(f"{EARLY}_{tier}", [job(tier, "job"), job(tier, "after")]),
    ]


def single(tier: str) -> JsonObject:
    """Two jobs, one after the other."""
    return _workflow(f"job_{tier}", [job(tier, "job"), job(tier, "after")], n="${after.output.n}")


def wide(tier: str) -> JsonObject:
    """Many jobs side by side."""
    fork: JsonObject = {
        "name": "fork",
        "taskReferenceName": "fork",
        "type": "FORK_JOIN_DYNAMIC",
        "inputParameters": {
            "forkTaskType": job_type(tier),
            "forkTaskName": "each",
            "forkTaskInputs": [{"name": "each", "n": number} for number in range(WIDTH)],
        },
    }
    join: JsonObject = {"name": "join", "taskReferenceName": "join", "type": "JOIN"}
    return _workflow(f"wide_{tier}", [fork, join], joined="${join.output}")

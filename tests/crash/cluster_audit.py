"""The oracle of instances: what the service's own log says was made, used and ended, in order.

It knows nothing of the engine. `auditor` asks it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass
class _World:
    """What is there at a moment of the log; jobs by when they end at the latest."""

    clusters: dict[str, set[str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    ends_ms: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def judge_clusters(text: str) -> list[str]:
    """Instances left over, jobs on instances that are gone, and instances ended under their jobs."""
    world = _World()
    for line in text.splitlines():
        at_ms, what, subject, facts = json.loads(line)
        match what:
            case "created":
                world.clusters[subject] = set()
                world.tokens[subject] = facts["token"]
            case "made":
                world.ends_ms[subject] = facts["ends_ms"]
            case "placed":
                _place(world, subject, facts["instance"])
            case "destroyed":
                _end(world, subject, at_ms)
            case _:
                world.ends_ms[subject] = min(at_ms, world.ends_ms[subject])
    left = [f"stuck: {each} of order {world.tokens[each][:6]} is left over" for each in world.clusters]
    return world.wrong + left


def _place(world: _World, job: str, cluster: str) -> None:
    if cluster in world.clusters:
        world.clusters[cluster].add(job)
    else:
        world.wrong.append(f"wrong: {job} was taken by {cluster}, which is gone")


def _end(world: _World, cluster: str, at_ms: int) -> None:
    running = [job for job in world.clusters.pop(cluster) if world.ends_ms[job] > at_ms]
    world.wrong += [f"lost: {job} ran on {cluster} when it was destroyed" for job in running]

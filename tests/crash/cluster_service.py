"""Instances of the service in `job_service`: made, found, looked at and ended, and all of it written down.

A service that can be searched some time later and knows no token again: whoever asks twice has two. Time is
that of the service; what it did is in the truth log beside what it did of jobs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LISTING_LAG_MS = 2_000
BOOT_MS = 1_000


@dataclass
class Cluster:
    """One instance."""

    handle: str
    token: str
    created_ms: int
    is_ended: bool = False


class Clusters:
    """All instances there ever were."""

    def __init__(self, log: Path, now_ms: Callable[[], int]) -> None:
        """There is none."""
        self.made: dict[str, Cluster] = {}
        self._log, self._now_ms = log, now_ms

    def answer(self, what: str, given: dict[str, object]) -> object:
        """What is asked for, done."""
        match what:
            case "create":
                return self._create(str(given["token"]))
            case "find_instance":
                return self._listed(str(given["token"]))
            case "check":
                return self._word(str(given["handle"]))
            case "clusters":
                return [each.handle for each in self.made.values() if not each.is_ended]
            case _:
                self._destroy(str(given["handle"]))
                return None

    def is_ready(self, handle: str) -> bool:
        """Whether jobs can be handed in there; an instance that never was is not."""
        return handle in self.made and self._word(handle) == "ready"

    def place(self, job: str, handle: str) -> None:
        """A job was taken, to run there."""
        self._did("placed", job, instance=handle)

    def _did(self, what: str, handle: str, **facts: object) -> None:
        line = json.dumps([self._now_ms(), what, handle, facts])
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def _create(self, token: str) -> str:
        handle = f"cluster-{len(self.made) + 1}"
        self._did("created", handle, token=token)
        self.made[handle] = Cluster(handle, token, self._now_ms())
        return handle

    def _listed(self, token: str) -> list[dict[str, object]]:
        latest_ms = self._now_ms() - LISTING_LAG_MS
        return [
            {"handle": each.handle, "created_ms": each.created_ms, "is_open": not each.is_ended}
            for each in self.made.values()
            if each.token == token and each.created_ms <= latest_ms
        ]

    def _word(self, handle: str) -> str:
        cluster = self.made.get(handle)
        if cluster is None or cluster.is_ended:
            return "gone"
        return "ready" if self._now_ms() >= cluster.created_ms + BOOT_MS else "creating"

    def _destroy(self, handle: str) -> None:
        cluster = self.made.get(handle)
        if cluster is not None and not cluster.is_ended:
            self._did("destroyed", handle)
            cluster.is_ended = True

"""One script of an SDK against a server of its own, and what came of it.

Which scripts there are stands in `SCENARIOS`; the servers come from `serving.py`, the SDKs from
`environments.py`. A script says by its exit code whether it passed or its SDK cannot do it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.sdk_conformance.environments import Environment
from tests.sdk_conformance.relay import Exchange, relaying
from tests.sdk_conformance.serving import CHECKOUT, admin_key, serving

PASSED, ABSENT, FAILED = "passed", "not in SDK", "FAILED"
_NOT_IN_THIS_VERSION = 77  # as in scripts/session.py
_AT_MOST_S = 100


@dataclass(frozen=True)
class Scenario:
    """A script, and whether the server asks for keys."""

    name: str
    script: str
    keys: bool = False
    javascript: bool = False


SCENARIOS = (
    Scenario("five tasks", "five_tasks", javascript=True),
    Scenario("five tasks, with keys", "five_tasks", keys=True, javascript=True),
    Scenario("definitions", "definitions", javascript=True),
    Scenario("calls that wait", "waiting_calls", javascript=True),
    Scenario("signals", "signals"),
    Scenario("workflow operations", "operations", javascript=True),
    Scenario("workflow test", "rehearsal", javascript=True),
    Scenario("workers that fail", "failing", javascript=True),
    Scenario("lease extension", "leases"),
    Scenario("worker registration", "worker_registration"),
    Scenario("task client", "task_client", javascript=True),
    Scenario("schedules", "schedules", javascript=True),
)


@dataclass(frozen=True)
class Result:
    """What came of a script: its last words, and every request it made."""

    outcome: str
    said: str
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def faults(self) -> list[Exchange]:
        """What the server answered with 5xx."""
        return [each for each in self.exchanges if each.status >= 500]


def scenarios(environment: Environment) -> list[Scenario]:
    """Those that there are for this SDK's language."""
    return [each for each in SCENARIOS if each.javascript or not environment.is_javascript]


async def run(environment: Environment, scenario: Scenario, folder: Path) -> Result:
    """Run the script against a new server with its database in the folder."""
    credentials = await admin_key(folder) if scenario.keys else {}
    async with serving(folder) as upstream, relaying(upstream) as (relay, url):
        told = {"CONDUCTOR_SERVER_URL": f"{url}/api", "CONDUCTOR_SDK": str(environment.folder), **credentials}
        code, said = await played(environment.command(scenario.script), told)
    outcome = {0: PASSED, _NOT_IN_THIS_VERSION: ABSENT}.get(code, FAILED)
    return Result(outcome, said, relay.exchanges)


async def played(
    command: list[str], told: Mapping[str, str], *, folder: Path = CHECKOUT, at_most_s: float = _AT_MOST_S
) -> tuple[int, str]:
    """Exit code and output of a program; after so many seconds it is ended with all its processes."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(Path.home()), "PYTHONDONTWRITEBYTECODE": "1", **told},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = bytearray()
    try:
        async with asyncio.timeout(at_most_s):
            async for line in process.stdout:
                said += line
            code = await process.wait()
    except TimeoutError:
        said += f"ended after {at_most_s} s\n".encode()
        code = -signal.SIGKILL
    finally:
        _end_group(process.pid)
        await process.wait()
    return code, said.decode(errors="replace")


def _end_group(group: int) -> None:
    """Workers that outlive their script are its own session's, which is ended whole."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return

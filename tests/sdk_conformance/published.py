"""The examples that an SDK publishes, run as they stand against `asyncflow serve`.

python -m tests.sdk_conformance.published VERSION=FOLDER ...

FOLDER is a checkout of the Python SDK's repository at that version, brought by whoever runs this; the
examples are copied beside the server's database and never kept. Only the address of a host that is out
of reach is replaced, by one on this machine. The SDKs are those of `run.py`.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from tests.sdk_conformance.environments import Environment, is_made, wanted
from tests.sdk_conformance.relay import Exchange, relaying
from tests.sdk_conformance.running import played
from tests.sdk_conformance.serving import serving

OUT_OF_REACH = "https://orkes-api-tester.orkesconductor.com/api"
MISSING = "imports what was not published with it"
_AT_MOST_S = 60
# 1.5.1 starts its processes anew by default, and cannot send them workers of an imported module then.
_SETTINGS = {"CONDUCTOR_MP_START_METHOD": "fork"}


class Example(NamedTuple):
    """What is run, from which folder, and what it prints when it went well."""

    name: str
    command: tuple[str, ...]
    folder: str
    proves: str


EXAMPLES = (
    Example("hello world", ("helloworld.py",), "examples/helloworld", "workflow result: Hello"),
    Example("dynamic workflow", ("dynamic_workflow.py",), "examples", "{'email': 'user_a@example.com'}"),
    Example("task configuration", ("task_configure.py",), "examples", "registered the task"),
    Example("workflow operations", ("workflow_ops.py",), "examples", "found 0 workflows"),
    Example(
        "kitchen sink",
        ("kitchensink.py",),
        "examples",
        "Workflow output: {'greetings': {'text': 'hello Orkes'",
    ),
    Example(
        "workflow tests",
        ("-m", "unittest", "-k", "test_workflow_execution", "examples.test_workflows"),
        ".",
        "OK",
    ),
)


class Played(NamedTuple):
    """What came of an example."""

    example: Example
    code: int
    said: str
    faults: list[Exchange]

    @property
    def outcome(self) -> str:
        """In a word or two."""
        if self.faults:
            return f"{len(self.faults)} × 5xx"
        if "ModuleNotFoundError" in self.said:
            return MISSING
        if self.code:
            return f"exit code {self.code}"
        return "passed" if self.example.proves in self.said else "other result"

    @property
    def is_wrong(self) -> bool:
        """Whether it is not what it should be, and not by what the example itself lacks."""
        return self.outcome not in {"passed", MISSING}


async def _answer(request: web.BaseRequest) -> web.Response:
    return web.json_response({"hostName": "here", "method": request.method})


@asynccontextmanager
async def _stand_in() -> AsyncIterator[str]:
    """The address of the host that is in the place of the one out of reach."""
    runner = web.ServerRunner(web.Server(_answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    finally:
        await runner.cleanup()


def _laid_out(checkout: Path, folder: Path, address: str) -> None:
    """Copy the examples, with the one address replaced."""
    shutil.copytree(checkout / "examples", folder / "examples", ignore=shutil.ignore_patterns("agents"))
    for file in (folder / "examples").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if OUT_OF_REACH in text:
            file.write_text(text.replace(OUT_OF_REACH, address), encoding="utf-8")


async def play(environment: Environment, checkout: Path) -> list[Played]:
    """Each example against a server of its own, one after the other."""
    came: list[Played] = []
    for example in EXAMPLES:
        with tempfile.TemporaryDirectory(prefix="asyncflow-example-") as name:
            folder = Path(name)
            async with (
                _stand_in() as address,
                serving(folder, "--http-allow", "127.0.0.1") as upstream,
                relaying(upstream) as (relay, url),
            ):
                _laid_out(checkout, folder, address)
                code, said = await played(
                    [str(environment.interpreter), *example.command],
                    {"CONDUCTOR_SERVER_URL": f"{url}/api", **_SETTINGS},
                    folder=folder / example.folder,
                    at_most_s=_AT_MOST_S,
                )
            came.append(Played(example, code, said, relay.faults()))
    return came


async def main(arguments: Sequence[str]) -> int:
    """Print a row per example and version; 1 if one is not as it should be."""
    made = {each.name: each for each in wanted() if is_made(each)}
    wrong = 0
    for argument in arguments:
        number, _, checkout = argument.partition("=")
        environment = made.get(f"python {number}")
        if environment is None or not (Path(checkout) / "examples").is_dir():
            print(f"{argument}: no such SDK (python -m tests.sdk_conformance.run), or no examples in there")
            return 2
        for result in await play(environment, Path(checkout)):
            wrong += result.is_wrong
            print(f"{number:8} {result.example.name:22} {result.outcome}", flush=True)
            if result.is_wrong:
                print(result.said[-3000:], *result.faults[:3], sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1:])))

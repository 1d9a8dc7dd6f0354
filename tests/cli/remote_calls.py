"""What the tests of commands that talk to a server share: the real server of a test, called from a thread."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import Result

from tests.cli.making import Json, begin, call, task, workflow
from tests.http.conftest import Server

STEPS = workflow(
    task("first", inputParameters={"value": "${workflow.input.value}"}),
    task("hold", "WAIT"),
    name="steps",
    outputParameters={"value": "${first.output.value}"},
)
QUICK = workflow(task("note", "SET_VARIABLE", inputParameters={"seen": True}), name="quick")
DOOMED = workflow(
    task(
        "stop", "TERMINATE", inputParameters={"terminationStatus": "FAILED", "terminationReason": "no luck"}
    ),
    name="doomed",
)


class Shell:
    """The command line, with a server of the test."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def __call__(self, *arguments: str | Path, given: str | None = None, code: int = 0) -> Result:
        """A command to its end, in a thread, while the loop serves."""
        done = await asyncio.to_thread(call, *arguments, "--server", self.server.url, given=given)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.stderr
        return done

    async def printed(self, *arguments: str | Path, code: int = 0) -> object:
        """What a command prints with -o json."""
        return json.loads((await self(*arguments, "-o", "json", code=code)).stdout)

    async def one(self, *arguments: str | Path, code: int = 0) -> Json:
        """The same, where it is an object."""
        found = await self.printed(*arguments, code=code)
        assert isinstance(found, dict)
        return found

    async def rows(self, *arguments: str | Path, code: int = 0) -> list[Json]:
        """The same, where it is a list."""
        found = await self.printed(*arguments, code=code)
        assert isinstance(found, list)
        return found

    async def registered(self, *definitions: Json) -> None:
        """Register definitions behind the command line's back."""
        answer = await self.server.put("/api/metadata/workflow", json=list(definitions))
        assert answer.status == 200, answer.text

    async def started(self, name: str = "steps", **body: object) -> str:
        """The id of an execution that was started behind the command line's back."""
        answer = await self.server.post("/api/workflow", json={"name": name, **body})
        assert answer.status == 200, answer.text
        return answer.text

    async def status(self, identity: str) -> str:
        """How an execution stands, as the server says."""
        answer = await self.server.get(f"/api/workflow/{identity}/status")
        assert isinstance(answer.json, dict)
        return str(answer.json["status"])

    async def task_id(self, identity: str, reference: str) -> str:
        """The id of the last task of a reference name."""
        answer = await self.server.get(f"/api/workflow/{identity}")
        assert isinstance(answer.json, dict)
        return next(
            str(each["taskId"])
            for each in reversed(answer.json["tasks"])
            if each["referenceTaskName"] == reference
        )


@contextmanager
def serving_process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own that is ready, and its address."""
    with begin("serve", "--port", "0", *options, cwd=folder) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("asyncflow ready on "), process.communicate()
            yield process, line.rsplit(" ", 1)[1].strip()
        finally:
            process.kill()

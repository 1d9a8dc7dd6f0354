"""Outputs of jobs at the limit of what may be recorded, and one byte past it: stored apart, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic_core import to_json

from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.payload_reference import STORED_MARK
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job

LIMIT = 10_000
_EMPTY = len(b'{"text":""}')


async def _output_of(bench: Bench, size: int) -> tuple[str, bytes, str]:
    """The status, the recorded output as text, and the reason of a job that gives so many bytes."""
    bench.service.outputs["job"] = {"text": "x" * (size - _EMPTY)}
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
        task = state.tasks[1]
        return task.status, to_json(task.output), task.reason or ""


@pytest.mark.parametrize(("size", "is_stored"), [(LIMIT, False), (LIMIT + 1, True)])
async def test_an_output_past_the_limit_is_stored_apart(
    tmp_path: Path, size: int, *, is_stored: bool
) -> None:
    bench = Bench(tmp_path / "f.db")
    limits = replace(DEFAULT_LIMITS, payload_bytes=LIMIT)
    bench.settings = replace(bench.settings, limits=limits, payload_folder=tmp_path / "payloads")

    status, output, _ = await _output_of(bench, size)

    assert status == "COMPLETED"
    assert (STORED_MARK in output) is is_stored


async def test_an_output_past_the_limit_is_refused_where_nothing_can_be_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.settings = replace(bench.settings, limits=replace(DEFAULT_LIMITS, payload_bytes=LIMIT))

    status, output, reason = await _output_of(bench, LIMIT + 1)

    assert status == "FAILED_WITH_TERMINAL_ERROR"
    assert output in (b"{}", b"null")
    assert "payload_too_large" in reason

"""Listeners of an engine in a program: told under their names, mistakes told when the engine is made."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import asyncflow as af
from tests.integration.listener_support import Ear
from tests.integration.schedule_support import workflow
from tests.integration.waiting import until


def _heard(ear: Ear) -> bool:
    return "execution.completed" in ear.names


async def test_a_program_hears_of_its_own_executions_once(tmp_path: Path) -> None:
    heard: list[str] = []
    for _ in range(2):
        ear = Ear("mine")
        async with af.Engine(tmp_path / "a.db", listeners=[ear]) as engine:
            await engine.run(workflow("w"))
            await until(partial(_heard, ear))
        heard += ear.ids

    assert len(heard) == len(set(heard)) == 10


class Misspelt(Ear):
    patterns = ("task.timedout",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Ear(), "a list of listeners"),
        ([Ear], "a list of listeners"),
        ([Ear("a"), Ear("a")], "given twice"),
        ([Misspelt()], "fits the name of no event"),
    ],
)
def test_mistakes_are_told_when_the_engine_is_made(given: object, said: str) -> None:
    with pytest.raises(af.InvalidInput, match=said):
        af.Engine(listeners=given)  # type: ignore[arg-type]

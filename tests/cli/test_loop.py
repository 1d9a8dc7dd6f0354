"""The loop of a command, apart from what runs in it."""

from __future__ import annotations

from asyncflow.cli.loop import in_loop


class Telling:
    """A result that is told when somebody writes it out."""

    def __init__(self) -> None:
        self.written = 0

    def __repr__(self) -> str:
        self.written += 1
        return "a long text"


def test_the_result_of_a_command_is_not_written_out_by_its_loop() -> None:
    result = Telling()

    async def command() -> Telling:
        return result

    assert in_loop(command) is result
    assert result.written == 0

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from asyncflow.errors import (
    ConfigurationError,
    InvalidInput,
    LimitExceeded,
    ShuttingDown,
    TaskFailed,
    TerminalTaskFailed,
)
from asyncflow.runtime.attempt_results import traceback_tail
from asyncflow.runtime.executors import ProcessExecutor
from asyncflow.sdk.tasks import task
from tests.integration import task_functions as tasks
from tests.integration.waiting import is_alive, next_turn, until, written

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
async def processes() -> AsyncIterator[ProcessExecutor]:
    async with ProcessExecutor(2) as executor:
        yield executor


@task(executor="process")
def decorated(a: int) -> int:
    return a + 1


async def test_process_gives_back_the_output(processes: ProcessExecutor) -> None:
    assert await processes.run(tasks.add, {"a": 1, "b": 2}) == {"sum": 3}
    assert await processes.run(decorated.function, {"a": 1}) == {"result": 2}


async def test_process_is_another_one_and_stays_warm(processes: ProcessExecutor) -> None:
    outputs = [await processes.run(tasks.process_id, {}) for _ in range(3)]

    assert [{"pid": pid} for pid in processes.process_ids] * 3 == outputs
    assert os.getpid() not in processes.process_ids


async def test_typed_arguments_arrive_as_their_types(processes: ProcessExecutor) -> None:
    order = tasks.Order(item="tea", count=2)

    assert await processes.run(tasks.price, {"order": order}) == {"item": "tea", "count": 4}
    assert await processes.run(tasks.whole, {"input": {"b": 1, "a": 2}}) == {"keys": ["a", "b"]}


async def test_thousand_calls_each_get_their_own_answer(processes: ProcessExecutor) -> None:
    answers = await asyncio.gather(*(processes.run(tasks.add, {"a": n, "b": n}) for n in range(1000)))

    assert answers == [{"sum": 2 * n} for n in range(1000)]
    assert processes.statistics() == (2, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (tasks.divide, TaskFailed, "ZeroDivisionError: division by zero"),
        (tasks.fail, TaskFailed, "not today"),
        (tasks.fail_for_good, TerminalTaskFailed, "never again"),
        (tasks.leave, TaskFailed, "SystemExit: 3"),
        (tasks.no_json, TaskFailed, "InvalidInput: result: what the task returned is not JSON"),
    ],
)
async def test_failure_says_what_was_raised(
    processes: ProcessExecutor, function: Callable[..., object], kind: type[TaskFailed], message: str
) -> None:
    with pytest.raises(TaskFailed) as caught:
        await processes.run(function, {})

    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)
    assert f"in {function.__name__}" in traceback_tail(caught.value) or function is tasks.no_json
    assert processes.statistics().live == 1


async def test_output_beyond_the_limit_is_refused_where_it_arises() -> None:
    async with ProcessExecutor(1, output_limit=1000) as executor:
        fits = await executor.run(tasks.wide, {"size": 1000 - len('{"result":""}')})
        with pytest.raises(LimitExceeded, match=r"payload_too_large.*at most 1000, got 1001"):
            await executor.run(tasks.wide, {"size": 1001 - len('{"result":""}')})

    assert isinstance(fits, dict)


@pytest.mark.parametrize(
    ("function", "kwargs", "end"),
    [
        (tasks.kill_itself, {}, "signal 9"),
        (tasks.vanish, {"code": 3}, "exit code 3"),
        (tasks.vanish, {"code": 0}, "exit code 0"),
    ],
)
async def test_dead_process_fails_its_call_alone(
    processes: ProcessExecutor, function: Callable[..., object], kwargs: dict[str, object], end: str
) -> None:
    name = f"{tasks.__name__}.{function.__name__}"
    with pytest.raises(TaskFailed, match=f"^the process ended with {end} while running {name}$"):
        await processes.run(function, kwargs)

    assert await processes.run(tasks.add, {"a": 1, "b": 1}) == {"sum": 2}
    assert processes.statistics().replaced == 1


async def test_process_that_dies_idle_is_replaced(processes: ProcessExecutor) -> None:
    await processes.run(tasks.process_id, {})
    (idle,) = processes.process_ids
    os.kill(idle, signal.SIGKILL)
    await until(lambda: not processes.process_ids)

    assert await processes.run(tasks.process_id, {}) != {"pid": idle}


async def broken_off(executor: ProcessExecutor, function: Callable[..., object], **files: Path) -> list[int]:
    """Begin the call, wait until it tells its processes, cancel it; the processes' ids."""
    call = asyncio.create_task(executor.run(function, {name: str(file) for name, file in files.items()}))
    told = await written(files["begun"])
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    return [int(word) for word in told.split()]


@pytest.mark.parametrize("function", [tasks.hang, tasks.hang_deaf, tasks.hang_with_child])
async def test_broken_off_call_is_dead_when_the_cancellation_goes_on(
    function: Callable[..., object], tmp_path: Path
) -> None:
    async with ProcessExecutor(1, grace_seconds=0.2) as executor:
        ids = await broken_off(executor, function, begun=tmp_path / "begun")

        assert not is_alive(ids[0])
        await until(lambda: not any(is_alive(process) for process in ids))
        assert await executor.run(tasks.add, {"a": 1, "b": 1}) == {"sum": 2}
        assert executor.statistics().replaced == 1


async def test_broken_off_function_may_clean_up(tmp_path: Path) -> None:
    async with ProcessExecutor(1, grace_seconds=30) as executor:
        files = {"begun": tmp_path / "begun", "cleaned": tmp_path / "cleaned"}
        await broken_off(executor, tasks.hang_and_clean, **files)

    assert files["cleaned"].read_text(encoding="utf-8") == "yes"


async def test_second_cancellation_kills_at_once(tmp_path: Path) -> None:
    async with ProcessExecutor(1, grace_seconds=3600) as executor:
        call = asyncio.create_task(executor.run(tasks.hang_deaf, {"begun": str(tmp_path / "begun")}))
        process = int(await written(tmp_path / "begun"))
        call.cancel()
        await until(lambda: executor.statistics().replaced)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        await until(lambda: not is_alive(process))


async def test_call_cancelled_before_it_began_costs_no_process(tmp_path: Path) -> None:
    async with ProcessExecutor(1) as executor:
        first = asyncio.create_task(executor.run(tasks.hang, {"begun": str(tmp_path / "begun")}))
        second = asyncio.create_task(executor.run(tasks.hang, {"begun": str(tmp_path / "never")}))
        await written(tmp_path / "begun")
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second

        assert executor.statistics() == (1, 1, 1, 0, 0)
        first.cancel()
    assert not (tmp_path / "never").exists()


async def test_cancelling_while_a_process_starts_loses_none() -> None:
    async with ProcessExecutor(1) as executor:
        call = asyncio.create_task(executor.run(tasks.add, {"a": 1, "b": 1}))
        await next_turn()
        assert executor.statistics().waiting == 1
        call.cancel()

        assert await executor.run(tasks.add, {"a": 1, "b": 1}) == {"sum": 2}
        assert executor.statistics().live == 1


async def test_loop_goes_on_while_processes_compute(processes: ProcessExecutor, tmp_path: Path) -> None:
    call = asyncio.create_task(processes.run(tasks.hang, {"begun": str(tmp_path / "begun")}))
    await written(tmp_path / "begun")
    ticks = iter(range(50))
    await until(lambda: next(ticks, None) is None)

    assert not call.done()
    call.cancel()


async def test_close_leaves_no_process_and_answers_who_waits(tmp_path: Path) -> None:
    async with ProcessExecutor(1, grace_seconds=0.2) as executor:
        running = asyncio.create_task(executor.run(tasks.hang_deaf, {"begun": str(tmp_path / "begun")}))
        waiting = asyncio.create_task(executor.run(tasks.add, {"a": 1, "b": 1}))
        process = int(await written(tmp_path / "begun"))

    for call in (running, waiting):
        with pytest.raises(ShuttingDown):
            await call
    with pytest.raises(ProcessLookupError):  # neither running nor a zombie
        os.kill(process, 0)
    with pytest.raises(ShuttingDown):
        await executor.run(tasks.add, {"a": 1, "b": 1})


async def test_prints_go_to_the_log(
    processes: ProcessExecutor, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "asyncflow.process")
    await processes.run(tasks.say, {})
    await processes.run(tasks.say_below_python, {})
    await until(lambda: len(caplog.records) == 6)

    lines = [(record.getMessage(), vars(record)["stream"]) for record in caplog.records]
    assert lines[:3] == [("to stdout", "stdout"), ("to stderr", "stderr"), ("no end", "stdout")]
    assert lines[3:] == [("raw", "stdout"), ("bytes", "stdout"), ("echoed", "stdout")]
    assert {vars(record)["function"] for record in caplog.records[:3]} == {f"{tasks.__name__}.say"}
    assert capfd.readouterr() == ("", "")


async def test_function_finds_its_standard_input_empty(processes: ProcessExecutor) -> None:
    assert await processes.run(tasks.read_input, {}) == {"result": ""}


class Doer:
    def __call__(self) -> None:
        """Does nothing."""


def closure() -> Callable[[], None]:
    def inner() -> None:
        """Does nothing."""

    return inner


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, "it is a lambda"),
        (closure(), "it is defined inside another function"),
        (Doer(), "it is no plain function"),
    ],
)
async def test_function_without_an_address_is_refused(
    processes: ProcessExecutor, function: Callable[..., object], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        await processes.run(function, {})
    assert processes.statistics().live == 0


async def test_integer_beyond_json_fails_the_call_alone(processes: ProcessExecutor) -> None:
    with pytest.raises(TaskFailed, match="not JSON"):
        await processes.run(tasks.huge, {})
    with pytest.raises(TaskFailed):
        await processes.run(tasks.add, {"a": 10**5000, "b": 1})

    assert processes.statistics().replaced == 0


async def test_argument_without_json_is_refused(processes: ProcessExecutor) -> None:
    with pytest.raises(InvalidInput, match="arguments are not JSON"):
        await processes.run(tasks.add, {"a": object(), "b": 1})


def test_senseless_size_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        ProcessExecutor(0)


def test_uvloop_serves_breaks_off_and_closes_alike(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for index, function in enumerate((tasks.hang, tasks.hang_deaf, tasks.hang_with_child)):
            folder = tmp_path / str(index)
            folder.mkdir()
            runner.run(test_broken_off_call_is_dead_when_the_cancellation_goes_on(function, folder))
        folder = tmp_path / "close"
        folder.mkdir()
        runner.run(test_close_leaves_no_process_and_answers_who_waits(folder))


SCRIPT = """
    import asyncio, sys
    from asyncflow.runtime.executors import ProcessExecutor

    def double(n: int) -> int:
        return 2 * n

    def hang(begun: str) -> None:
        import os, subprocess
        child = subprocess.Popen(["sleep", "300"])
        with open(begun, "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        while True:
            pass

    async def main():
        async with ProcessExecutor(1) as processes:
            print(await processes.run(double, {"n": 4}), flush=True)
            if sys.argv[1:]:
                await processes.run(hang, {"begun": sys.argv[1]})

    if __name__ == "__main__":
        asyncio.run(main())
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    return file


def start(*words: object) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"]}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *map(str, words)], env=environment, stdout=pipe, stderr=pipe, text=True
    )


def test_functions_of_a_script_run_in_processes(script: Path) -> None:
    with start(script) as started:
        output, fault = started.communicate(timeout=30)

    assert (output, fault, started.returncode) == ("{'result': 8}\n", "", 0)


def test_functions_of_a_command_line_are_refused() -> None:
    with start("-c", textwrap.dedent(SCRIPT)) as started:
        _output, fault = started.communicate(timeout=30)

    assert "the main module has no file" in fault


async def test_functions_of_a_file_loaded_by_its_path_run_in_processes(
    processes: ProcessExecutor, script: Path
) -> None:
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415

    spec = spec_from_file_location("loaded_by_path", script)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["loaded_by_path"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        assert await processes.run(vars(module)["double"], {"n": 1}) == {"result": 2}
    finally:
        del sys.modules["loaded_by_path"]


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
async def test_processes_die_with_the_engine(script: Path, tmp_path: Path) -> None:
    with start(script, tmp_path / "begun") as engine:
        ids = [int(word) for word in (await written(tmp_path / "begun")).split()]
        engine.kill()

    await until(lambda: not any(is_alive(process) for process in ids))
    assert len(ids) == 2

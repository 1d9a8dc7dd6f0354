from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator

import pytest

from asyncflow.errors import LimitExceeded, ScriptError
from asyncflow.runtime.scripts.evaluator import Mode, ScriptRequest, ScriptRunner, ScriptSettings
from asyncflow.runtime.scripts.outcome import VALUE, WALL, Outcome
from asyncflow.runtime.scripts.threads import ScriptThreads

MODES: tuple[Mode, ...] = ("thread", "process")

ENDLESS = {
    "loop": "for(;;);",
    "catch": "for(;;){try{for(;;);}catch(e){}}",
    "finally": "try{for(;;);}finally{for(;;);}",
    "generator": "function*g(){try{for(;;);}finally{for(;;);}} [...g()]",
    "async": "(async()=>{for(;;);})();for(;;);",
    "regex": "/^(a+)+$/.test('a'.repeat(40)+'b')",
    "native": "Array.prototype.indexOf.call({length:2**53-1},1)",
    "toJSON": "({toJSON(){for(;;);}})",
    "result proxy": "new Proxy({},{ownKeys(){for(;;);}})",
    "thrown text": "throw {toString(){for(;;);}}",
    "thrown stack": "var e=new Error('x');Object.defineProperty(e,'stack',{get(){for(;;);}});throw e",
    "thrown proxy": "throw new Proxy({},{get(){for(;;);}})",
    "error text": "Error.prototype.toString=()=>{for(;;);};for(;;);",
    "interrupt text": "InternalError.prototype.toString=()=>{for(;;);};for(;;);",
    "interrupt parent": "Reflect.setPrototypeOf(InternalError.prototype,{get x(){}});for(;;);",
    "primitive": "Object.prototype[Symbol.toPrimitive]=()=>{for(;;);};for(;;);",
    "stack getter": "Object.defineProperty(Error.prototype,'stack',{get(){for(;;);}});for(;;);",
    "stack hook": "Error.prepareStackTrace=()=>({toString(){for(;;);}});for(;;);",
    "stack depth": "Error.stackTraceLimit={valueOf(){for(;;);}};for(;;);",
}

MEMORY = {
    "array": "const a=[];for(;;)a.push('x'.repeat(1000)+a.length)",
    "buffer": "new ArrayBuffer(1e9)",
    "text": "'x'.repeat(1e9)",
    "objects": "let o={};for(;;)o={o}",
}

HOST_NAMES = [
    *("require", "process", "std", "os", "fetch", "XMLHttpRequest", "WebAssembly", "Java", "Polyglot"),
    *("load", "print", "scriptArgs", "__loadScript", "Worker", "setTimeout", "navigator", "global"),
]
DENIED = [
    *(f"typeof {name}" for name in HOST_NAMES),
    "typeof (function(){}).constructor('return this')().process",
    "[].constructor.constructor('return process')()",
]


@pytest.fixture(params=MODES)
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[ScriptRunner]:
    async with ScriptRunner(ScriptSettings(mode=request.param, wall_seconds=0.3, threads=2)) as runner:
        yield runner


async def usable(runner: ScriptRunner) -> bool:
    answers = [await runner.run(ScriptRequest("javascript", "[1].map(x => x + 1)", None)) for _ in range(3)]
    return answers == [[2]] * 3


@pytest.mark.parametrize("name", ENDLESS)
async def test_endless_script_ends_alone(runner: ScriptRunner, name: str) -> None:
    with pytest.raises(LimitExceeded) as raised:
        await runner.run(ScriptRequest("javascript", ENDLESS[name], {}))

    assert raised.value.limit == "script_wall_ms"
    assert await usable(runner)


@pytest.mark.parametrize("name", MEMORY)
async def test_memory_bomb_ends_alone(name: str) -> None:
    async with ScriptRunner(ScriptSettings(memory_bytes=16 << 20)) as runner:
        with pytest.raises(LimitExceeded) as raised:
            await runner.run(ScriptRequest("javascript", MEMORY[name], {}))

        assert raised.value.limit == "script_memory_bytes"
        assert await usable(runner)


@pytest.mark.parametrize(
    "source",
    ["function f(){f()};f()", "JSON.parse('['.repeat(1e6))", "eval('('.repeat(1e5))", "[" * 100_000],
)
async def test_deep_recursion_is_an_error(runner: ScriptRunner, source: str) -> None:
    with pytest.raises(ScriptError, match=r"stack|SyntaxError"):
        await runner.run(ScriptRequest("javascript", source, {}))

    assert await usable(runner)


async def test_output_is_bounded_at_the_byte(runner: ScriptRunner) -> None:
    most = runner.settings.output_bytes
    fits = await runner.run(ScriptRequest("javascript", f"'x'.repeat({most - 4})", None))

    assert isinstance(fits, str)
    assert len(fits) == most - 4
    with pytest.raises(LimitExceeded, match="script_output_bytes"):
        await runner.run(ScriptRequest("javascript", f"'x'.repeat({most - 3})", None))


@pytest.mark.parametrize("source", DENIED)
async def test_script_reaches_nothing_of_the_host(runner: ScriptRunner, source: str) -> None:
    try:
        result = await runner.run(ScriptRequest("javascript", source, {}))
    except ScriptError as error:
        result = str(error)

    assert result == "undefined" or str(result).startswith("ReferenceError: process is not defined")


@pytest.mark.parametrize("source", ["import('fs')", "import('/etc/passwd')", "Promise.resolve(1)"])
async def test_script_has_no_modules_and_no_jobs(runner: ScriptRunner, source: str) -> None:
    assert await runner.run(ScriptRequest("javascript", source, {})) == {}


@pytest.mark.parametrize(
    "source",
    ["JSON.stringify=()=>'forged';eval=null;[1]", "JSON.parse=null;String=null;[1]", "$=null;[1]"],
)
async def test_poisoned_builtins_do_not_forge_the_result(runner: ScriptRunner, source: str) -> None:
    assert await runner.run(ScriptRequest("javascript", source, {})) == [1]


@pytest.mark.parametrize(
    "program",
    ["last(repeat(1))", "def f: f; f", "[limit(1e9; repeat(1))]", "reduce range(1e12) as $i (0; .+1)"],
)
async def test_jq_endless_program_is_killed_and_child_replaced(runner: ScriptRunner, program: str) -> None:
    with pytest.raises(LimitExceeded):
        await runner.run(ScriptRequest("jq", program, None))

    assert await runner.run(ScriptRequest("jq", ".+1", 1)) == [2]
    assert runner.statistics().replaced_processes >= 1


async def test_jq_memory_bomb_meets_the_limit() -> None:
    async with ScriptRunner(ScriptSettings(memory_bytes=8 << 20, wall_seconds=60)) as runner:
        with pytest.raises(LimitExceeded) as raised:
            await runner.run(ScriptRequest("jq", '[limit(1e9; repeat("x" * 1000))] | length', None))

        assert raised.value.limit == "script_memory_bytes"
        assert await runner.run(ScriptRequest("jq", "1", None)) == [1]


async def test_jq_output_is_bounded_while_produced(runner: ScriptRunner) -> None:
    with pytest.raises(LimitExceeded, match="script_output_bytes"):
        await runner.run(ScriptRequest("jq", 'repeat("x" * 1000)', None))


@pytest.mark.parametrize("program", ['import "/etc/passwd" as $f; $f', 'include "/etc/passwd"; .'])
async def test_jq_reads_no_file(runner: ScriptRunner, program: str) -> None:
    with pytest.raises(ScriptError, match="module not found"):
        await runner.run(ScriptRequest("jq", program, None))


async def test_scripts_queued_behind_an_endless_one_still_answer() -> None:
    settings = ScriptSettings(mode="process", processes=1, wall_seconds=0.3)
    async with ScriptRunner(settings) as runner:
        programs = ["last(repeat(1))", *(f".+{n}" for n in range(20))]
        answers = await asyncio.gather(
            *(runner.run(ScriptRequest("jq", program, 1)) for program in programs), return_exceptions=True
        )

    assert isinstance(answers[0], LimitExceeded)
    assert answers[1:] == [[1 + n] for n in range(20)]


async def test_child_killed_from_outside_is_replaced(runner: ScriptRunner) -> None:
    await runner.run(ScriptRequest("jq", "1", None))
    (pid,) = runner.statistics().process_ids
    running = asyncio.gather(runner.run(ScriptRequest("jq", "last(repeat(1))", None)), return_exceptions=True)
    await asyncio.wait({running}, timeout=0.01)
    os.kill(pid, 9)
    (answer,) = await running

    assert isinstance(answer, ScriptError | LimitExceeded)
    assert await runner.run(ScriptRequest("jq", "1", None)) == [1]


@pytest.mark.parametrize("language", ["javascript", "jq"])
async def test_cancelled_scripts_leak_nothing(runner: ScriptRunner, language: str) -> None:
    runner._threads._patience = 60  # a loaded machine is no reason to give a thread up here
    endless = "for(;;);" if language == "javascript" else "last(repeat(1))"
    request = ScriptRequest(language, endless, None)  # type: ignore[arg-type]  # parametrised
    tasks = [asyncio.create_task(runner.run(request)) for _ in range(6)]
    await asyncio.wait(tasks, timeout=0.01)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert await usable(runner)
    statistics = runner.statistics()
    assert statistics.threads <= 2
    assert statistics.abandoned_threads == 0
    assert len(statistics.process_ids) <= 2


async def test_thread_that_never_returns_is_replaced() -> None:
    threads = ScriptThreads(1, patience_seconds=0.05)
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck() -> Outcome:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return Outcome(VALUE, "late")

    assert await threads.run(stuck) == Outcome(WALL)
    assert await threads.run(lambda: Outcome(VALUE, "next")) == Outcome(VALUE, "next")
    assert (threads.abandoned, threads.size, threads.busy) == (1, 1, 0)
    release.set()
    threads.close()


async def test_javascript_moves_to_processes_after_hung_threads() -> None:
    async with ScriptRunner(ScriptSettings()) as runner:
        runner._threads.abandoned = 2
        assert await runner.run(ScriptRequest("javascript", "1 + 1", None)) == 2
        assert runner.statistics().threads == 0
        assert len(runner.statistics().process_ids) == 1


async def test_leaving_the_runner_reaps_children_and_cancels_waiters() -> None:
    async with ScriptRunner(ScriptSettings(mode="process")) as runner:
        await runner.run(ScriptRequest("jq", "1", None))
        pids = runner.statistics().process_ids
        waiting = asyncio.create_task(runner.run(ScriptRequest("jq", "last(repeat(1))", None)))
        await asyncio.wait({waiting}, timeout=0.01)
    (end,) = await asyncio.gather(waiting, return_exceptions=True)

    assert isinstance(end, asyncio.CancelledError)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_child_dies_with_the_engine() -> None:
    """Killed without warning, an engine leaves a busy child; the child's own alarm must end it."""
    program = """
        import asyncio
        from asyncflow.runtime.scripts.evaluator import ScriptRequest, ScriptRunner, ScriptSettings

        async def main():
            async with ScriptRunner(ScriptSettings(mode="process", wall_seconds=1.0)) as runner:
                await runner.run(ScriptRequest("jq", "1", None))
                print(runner.statistics().process_ids[0], flush=True)
                await runner.run(ScriptRequest("jq", "last(repeat(1))", None))

        asyncio.run(main())
    """
    engine = subprocess.Popen(  # noqa: ASYNC220  # the engine under test
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    assert engine.stdout is not None
    child = int(engine.stdout.readline())
    descriptor = os.pidfd_open(child)
    engine.kill()
    engine.wait()
    engine.stdout.close()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await asyncio.wait_for(ended.wait(), timeout=60)
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)

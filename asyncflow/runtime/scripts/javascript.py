"""One JavaScript evaluation in a fresh interpreter, and the syntax check of registration.

It runs in whatever thread calls it and blocks it, so it must not be called on the loop except
for `check_javascript`; it is loaded by the child process too and therefore imports nothing of
asyncflow but `outcome`. Read `threads` and `processes` next for who calls it.

The result is what `JSON.stringify` makes of the value of the last statement: undefined,
functions, symbols, NaN and infinities become null, whole numbers become integers, a Date its
ISO text; a BigInt or a cycle is an error, in the interpreter's words. Integers beyond 2**53 in
the input lose digits, because JavaScript's numbers are doubles.
"""

from __future__ import annotations

import json
import re
import time

from asyncflow.runtime.scripts.outcome import ERROR, MEMORY, OUTPUT, VALUE, WALL, Limits, Outcome

_STACK_BYTES = 256 * 1024  # within the smallest thread stack there is, macOS's 512 KiB
_CHECK_SECONDS = 1.0
_CHECK_BYTES = 256 * 1024 * 1024

# The binding turns an exception that leaves `eval` into text with no time limit and with the GIL
# held, and it calls the exception's own `toString` and `stack` for that: a script that poisons
# them would hang the whole process. So nothing a script made may leave. The frame below catches
# every exception and makes the text inside the limit; the one that no script can catch, the
# interrupt, is an InternalError, whose prototype is frozen first, and the hook through which a
# script could touch the error before it is thrown is locked. After the script has run, the frame
# uses only what it took beforehand, on primitive strings: a method of a prototype might be the
# script's by then. It answers with a JSON array (the result), a JSON string (the error) or a number
# (the length of a result that is too long), all from `stringify`: the binding cannot convert the
# ropes that concatenation makes of long strings.
_LOCK = """
const P=InternalError.prototype;
for(const [k,v] of [['toString',function(){return 'InternalError: '+this.message}],['stack',''],
 ['name','InternalError'],['valueOf',undefined],[Symbol.toPrimitive,undefined]])
 Object.defineProperty(P,k,{value:v,writable:false,configurable:false});
Object.freeze(P);
Object.defineProperty(Error,'prepareStackTrace',{value:undefined,writable:false,configurable:false});
"""

_FRAME = """(function asyncflow_frame(parse,stringify,run,text,most){'use strict';%s
const quiet=()=>undefined;
globalThis.console={log:quiet,info:quiet,warn:quiet,error:quiet,debug:quiet,trace:quiet};
globalThis.$=parse(%s);
try{const t=stringify([run(%s)]);return t.length>most?t.length:t;}
catch(x){let m,s='';
try{m=''+text(x)}catch(_){m='the script threw a value that has no text'}
try{const k=x.stack;if(typeof k==='string')s=k}catch(_){}
return stringify(m+'\\n'+s)}
})(JSON.parse,JSON.stringify,eval,String,%d)"""

_LINE = re.compile(r"<input>:(\d+):\d+")
_MESSAGE_CHARACTERS = 2000


def evaluate_javascript(source: str, input_text: str, limits: Limits) -> Outcome:
    """Run the script once in an interpreter of its own; never raises for what a script does.

    Args:
        source: statements; the value of the last one is the result.
        input_text: the JSON value that is bound to `$`.
        limits: the bounds. The interpreter's own time limit counts CPU time of the whole
            process, so with other threads at work it fires early; the script, being pure, is
            then run again with what is left of its real time.

    Returns:
        The outcome; a value is a JSON list of one element.
    """
    program = _FRAME % (_LOCK, json.dumps(input_text), json.dumps(source), limits.output_bytes)
    begin = time.monotonic()
    budget = limits.wall_seconds
    while True:
        cpu, turn = time.process_time(), time.monotonic()
        outcome = _evaluate(program, budget, limits.memory_bytes)
        if outcome.kind != WALL:
            return outcome
        now = time.monotonic()
        left = limits.wall_seconds - (now - begin)
        if left < limits.wall_seconds / 20:
            return outcome
        rate = (time.process_time() - cpu) / max(now - turn, 1e-3)
        budget = left * max(rate, 1.0)


def lambda_source(body: str) -> str:
    """The script that calls a LAMBDA's function body; a comment on its last line is harmless."""
    return f"(function(){{{body}\n}})()"


def check_javascript(source: str) -> str | None:
    """The first syntax error of the script, or None; nothing of the script is executed.

    A whole program is parsed before its first statement runs, and the first statement put in
    front throws, so a well-formed script ends there.

    Cost: about 100 µs and a microsecond per 100 characters, on the calling thread.
    """
    probe = f"throw 0;{source}"
    program = _FRAME % (_LOCK, "'null'", json.dumps(probe), 0)
    outcome = _evaluate(program, _CHECK_SECONDS, _CHECK_BYTES)
    if outcome.kind != ERROR:
        return "the script takes too long or too much memory to parse"
    return None if outcome.text == "0" or outcome.text.startswith("0 (line") else outcome.text


def _evaluate(program: str, cpu_seconds: float, memory_bytes: int) -> Outcome:
    """What came of the frame in a fresh context; `WALL` if the interpreter interrupted it."""
    # Only for scripts: it takes 8 MB. Its Python wrapper `quickjs` would start a thread.
    import _quickjs  # type: ignore[import-not-found]  # noqa: PLC0415  # it has no stubs

    context = _quickjs.Context()
    context.set_memory_limit(memory_bytes)
    context.set_time_limit(cpu_seconds)
    context.set_max_stack_size(_STACK_BYTES)
    try:
        answer = context.eval(program)
    except Exception as error:  # noqa: BLE001  # the binding's conversions raise what they like
        return _failure(str(error))
    if isinstance(answer, int):
        return Outcome(OUTPUT, str(answer))
    text = str(answer)
    return Outcome(VALUE, text) if text.startswith("[") else _failure(json.loads(text))


def _failure(text: str) -> Outcome:
    if text.startswith("InternalError: interrupted"):
        return Outcome(WALL)
    # With no memory left for an error object the interpreter throws null; no script does.
    if text.startswith("InternalError: out of memory") or text.rstrip("\n") == "null":
        return Outcome(MEMORY)
    return Outcome(ERROR, _message(text))


def _message(text: str) -> str:
    """The error's text and, where the stack tells it, the line in the script."""
    message, _, stack = text.partition("\n    at ")
    line = _LINE.search(stack.partition("asyncflow_frame")[0])
    where = f" (line {line[1]})" if line else ""
    return message.rstrip("\n")[:_MESSAGE_CHARACTERS] + where
